//! The operator's certificate and key, checked before a phone has to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use crate::alarms::{AlarmKind, Alarms};
use crate::live::Live;

/// How long before its end a certificate is told of.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);

/// What is wrong with the files the settings name. Somebody has to change something.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{section}.{key} {}: cannot read it: {source}", path.display())]
    Read {
        section: &'static str,
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{section}.{key} {}: {problem}", path.display())]
    Unusable {
        section: &'static str,
        key: &'static str,
        path: PathBuf,
        problem: String,
    },
    #[error(
        "{section}.key {} does not belong to the first certificate in {}; put the server's own \
         certificate first, or name its key",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        section: &'static str,
        certificate: PathBuf,
        key: PathBuf,
    },
}

impl TlsError {
    /// The key of the settings whose file is at fault, with dots.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Read { section, key, .. } | Self::Unusable { section, key, .. } => {
                format!("{section}.{key}")
            }
            Self::Mismatch { section, .. } => format!("{section}.key"),
        }
    }
}

/// Where a certificate and its key are, and who says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TlsFiles<'s> {
    /// The table of the configuration that has the keys `certificate` and `key`.
    pub(crate) section: &'static str,
    pub(crate) certificate: &'s Path,
    pub(crate) key: &'s Path,
    /// What phones do that do not take the certificate.
    pub(crate) instead: &'static str,
}

/// A certificate and its key. What stands in them can be used; whether their time is now is asked
/// again and again.
pub(crate) struct Tls {
    section: &'static str,
    instead: &'static str,
    path: PathBuf,
    certificate: CertificateDer<'static>,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(crate) fn load(files: &TlsFiles<'_>) -> Result<Self, TlsError> {
        let chain = certificates(files)?;
        let key = private_key(files)?;
        Ok(Self {
            section: files.section,
            instead: files.instead,
            path: files.certificate.to_owned(),
            certificate: chain[0].clone(),
            config: config(files, chain, key)?,
        })
    }

    /// Whether it has the same certificate as another one.
    fn is_as(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.path == other.path
    }

    /// Puts this one in the place of the one in use, with its alarm; whether it is another.
    pub(crate) fn take_place(self, live: &Live<Self>, alarms: &Alarms) -> bool {
        let before = live.take();
        let is_another = !self.is_as(&before);
        live.set(self);
        if is_another {
            before.untell(alarms);
            live.get().tell(alarms);
        }
        is_another
    }

    /// Clears its alarm: it is not in use any more.
    fn untell(&self, alarms: &Alarms) {
        alarms.clear(AlarmKind::Certificate, &self.path.to_string_lossy());
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// When the certificate expires, if that is not after `time`. A path is built from the
    /// certificate to itself: its own dates are looked at first, and nothing else is asked here.
    /// One that is not valid yet is left to the phones: a host without a clock of its own starts
    /// in the past.
    pub(crate) fn expires_by(&self, time: SystemTime) -> Option<SystemTime> {
        let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let end = EndEntityCert::try_from(&self.certificate).ok()?;
        let anchors = [anchor_from_trusted_cert(&self.certificate).ok()?];
        let verified = end.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &[],
            UnixTime::since_unix_epoch(since_epoch),
            KeyUsage::server_auth(),
            None,
            None,
        );
        match verified {
            Err(webpki::Error::CertExpired { not_after, .. }) => {
                Some(SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
            }
            _ => None,
        }
    }

    /// Raises the alarm about the certificate, or clears it.
    pub(crate) fn tell(&self, alarms: &Alarms) {
        let (kind, subject) = (AlarmKind::Certificate, self.path.to_string_lossy());
        let now = SystemTime::now();
        let Some(end) = self.expires_by(now + NOTICE) else {
            return alarms.clear(kind, &subject);
        };
        let date = httpdate::fmt_http_date(end);
        let problem = match end < now {
            true => format!(
                "expired on {date}: phones do not take it, and {}; renew {}.certificate and \
                 reload the daemon",
                self.instead, self.section
            ),
            false => format!(
                "expires on {date}; renew {}.certificate and reload the daemon before",
                self.section
            ),
        };
        alarms.raise(kind, &subject, problem);
    }
}

fn config(
    files: &TlsFiles<'_>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let unusable = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch {
            section: files.section,
            certificate: files.certificate.to_owned(),
            key: files.key.to_owned(),
        },
        error => TlsError::Unusable {
            section: files.section,
            key: "certificate",
            path: files.certificate.to_owned(),
            problem: format!("it cannot be used with its key: {error}"),
        },
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(unusable)?;
    Ok(Arc::new(config))
}

/// The server's own and those that lead to the root: one at least.
fn certificates(files: &TlsFiles<'_>) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    const KEY: &str = "certificate";
    let (section, path) = (files.section, files.certificate);
    let text = read(section, KEY, path)?;
    let unusable = |problem: String| TlsError::Unusable {
        section,
        key: KEY,
        path: path.to_owned(),
        problem,
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(format!("it is not PEM: {error}")))?;
    match chain.is_empty() {
        true => Err(unusable(
            "there is no certificate in it; write it as PEM, with -----BEGIN CERTIFICATE-----"
                .to_owned(),
        )),
        false => Ok(chain),
    }
}

fn private_key(files: &TlsFiles<'_>) -> Result<PrivateKeyDer<'static>, TlsError> {
    const KEY: &str = "key";
    let (section, path) = (files.section, files.key);
    let text = read(section, KEY, path)?;
    let unusable = |problem: String| TlsError::Unusable {
        section,
        key: KEY,
        path: path.to_owned(),
        problem,
    };
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        unusable(match error {
            pem::Error::NoItemsFound => "there is no private key without a passphrase in it; \
                 write it as PEM, as `openssl pkey` does"
                .to_owned(),
            error => format!("it is not PEM: {error}"),
        })
    })
}

fn read(section: &'static str, key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        section,
        key,
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::*;

    struct Files {
        folder: TempDir,
        certificate: PathBuf,
        key: PathBuf,
    }

    impl Files {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let files = Self {
                certificate: folder.path().join("certificate.pem"),
                key: folder.path().join("key.pem"),
                folder,
            };
            files.make(|_| {});
            files
        }

        fn make(&self, change: impl FnOnce(&mut CertificateParams)) {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["edge.example".to_owned()]).unwrap();
            change(&mut params);
            let certificate = params.self_signed(&key).unwrap();
            fs::write(&self.certificate, certificate.pem()).unwrap();
            fs::write(&self.key, key.serialize_pem()).unwrap();
        }

        fn load(&self) -> Result<Tls, TlsError> {
            Tls::load(&TlsFiles {
                section: "http.tls",
                certificate: &self.certificate,
                key: &self.key,
                instead: "ask over HTTP instead",
            })
        }

        fn error(&self) -> String {
            match self.load() {
                Ok(_) => panic!("it can be used"),
                Err(error) => {
                    let folder = self.folder.path().to_string_lossy();
                    error.to_string().replace(&*folder, "DIR")
                }
            }
        }
    }

    #[test]
    fn a_certificate_and_its_key_can_be_used() {
        let tls = Files::new().load().unwrap();
        assert_eq!(tls.expires_by(SystemTime::now()), None);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_key() {
        let files = Files::new();
        fs::remove_file(&files.key).unwrap();
        assert_eq!(
            files.error(),
            "http.tls.key DIR/key.pem: cannot read it: No such file or directory (os error 2)"
        );
        fs::write(&files.key, "secret").unwrap();
        assert!(files.error().starts_with(
            "http.tls.key DIR/key.pem: there is no private key without a passphrase in it"
        ));
        fs::write(&files.certificate, "none").unwrap();
        assert!(
            files
                .error()
                .starts_with("http.tls.certificate DIR/certificate.pem: there is no certificate")
        );
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        fs::write(&files.certificate, broken).unwrap();
        assert!(
            files
                .error()
                .starts_with("http.tls.certificate DIR/certificate.pem: it is not PEM")
        );
    }

    #[test]
    fn a_key_of_another_certificate_is_no_key() {
        let files = Files::new();
        let other = KeyPair::generate().unwrap();
        fs::write(&files.key, other.serialize_pem()).unwrap();
        assert!(files.error().starts_with(
            "http.tls.key DIR/key.pem does not belong to the first certificate in \
             DIR/certificate.pem"
        ));
    }

    #[test]
    fn an_alarm_tells_of_the_end_of_a_certificate_before_and_after_it() {
        let files = Files::new();
        let told = || {
            let alarms = Alarms::default();
            files.load().unwrap().tell(&alarms);
            alarms.list().pop().map(|alarm| alarm.problem)
        };
        assert_eq!(told(), None);
        files.make(|params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        });
        let expired = told().unwrap();
        assert!(expired.starts_with("expired on Fri, 01 Jan 2021 00:00:00 GMT: "));
        files.make(|params| params.not_after = (SystemTime::now() + NOTICE / 2).into());
        assert!(told().unwrap().starts_with("expires on "));
    }

    #[test]
    fn a_certificate_of_the_future_is_used_for_the_clock_may_be_wrong() {
        let files = Files::new();
        files.make(|params| params.not_before = date_time_ymd(2100, 1, 1));
        let tls = files.load().unwrap();
        assert_eq!(tls.expires_by(SystemTime::now()), None);
    }
}
