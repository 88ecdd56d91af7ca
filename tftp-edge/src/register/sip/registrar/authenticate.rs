//! Whether a REGISTER comes from who it says.

use std::hash::BuildHasher as _;

use super::{No, Who};
use crate::register::Refusal;
use crate::register::sip::core::{Core, Exchange};
use crate::register::sip::digest::{Claim, Credentials, Outcome, Unreadable};
use crate::register::sip::message::{Defect, Name};
use crate::register::sip::settings::RequireDigest;

impl Core {
    /// Whether a REGISTER certainly comes from where it says: over a connection, or with a nonce
    /// that was sent there. A datagram without one may be anybody's.
    pub(super) fn is_from_there(&self, exchange: &Exchange<'_, '_>) -> Result<bool, No> {
        let incoming = exchange.incoming;
        if incoming.connection.is_some() {
            return Ok(true);
        }
        let credentials = self.credentials(exchange)?;
        let digest = &self.registrar.digest;
        let source = incoming.source.ip();
        Ok(credentials.is_some_and(|it| digest.knows(&it, source, exchange.now)))
    }

    /// Whether it has to prove who it is.
    pub(super) fn needs_digest(&self, who: &Who) -> bool {
        let require = self.registrar.settings.get().digest.require;
        match (require, &who.known) {
            (RequireDigest::Never, _) => false,
            (RequireDigest::LinesWithSecret, Ok(known)) => known.has_secret(),
            (RequireDigest::LinesWithSecret, Err(_)) | (RequireDigest::Always, _) => true,
        }
    }

    /// Whether it has proved who it is. An unknown user takes the same way as a wrong password.
    pub(super) fn authenticate(&self, exchange: &Exchange<'_, '_>, who: &Who) -> Result<bool, No> {
        let registrar = &self.registrar;
        if !self.needs_digest(who) {
            return Ok(false);
        }
        let Some(credentials) = self.credentials(exchange)? else {
            return Err(No::Challenge);
        };
        let known = who.known.as_ref();
        let secret = known.ok().and_then(|it| it.secret(&credentials.username));
        let claim = Claim {
            method: exchange.request.method_name,
            source: exchange.incoming.source.ip(),
            fingerprint: self.hasher.hash_one(exchange.incoming.bytes),
        };
        match registrar
            .digest
            .check(&credentials, &claim, secret, exchange.now)
        {
            Outcome::Good => Ok(true),
            Outcome::Stale(why) => Err(No::Stale(why)),
            Outcome::Unusable => Err(No::Challenge),
            Outcome::Wrong => {
                if let Ok(known) = known
                    && !known.has_secret()
                {
                    registrar.say_no_secret(known, exchange.now);
                }
                // It sent back a nonce that was sent to its address.
                let source = exchange.incoming.source.ip();
                let tried = tried(exchange, who, &credentials.username);
                self.desk.bans.guessed(source, &tried, true, exchange.now);
                if let Err(why) = known {
                    let (device, peer) = (who.name.as_ref(), exchange.incoming.source);
                    let device = device.map(|it| it.as_str());
                    tracing::debug!(device, %peer, reason = why.as_str(), "refused over SIP");
                }
                Err(No::Refused(Refusal::Authentication))
            }
        }
    }

    /// Those for our realm. Phones may send others along, and use either header.
    fn credentials<'m>(
        &self,
        exchange: &Exchange<'_, 'm>,
    ) -> Result<Option<Credentials<'m>>, Defect> {
        let message = exchange.request.message;
        let of = |name| message.all(name);
        let realm = self.registrar.digest.realm().as_bytes();
        for header in of(Name::Authorization).chain(of(Name::ProxyAuthorization)) {
            match Credentials::parse(header) {
                Ok(credentials) if *credentials.realm == *realm => return Ok(Some(credentials)),
                Ok(_) | Err(Unreadable::Other) => {}
                Err(Unreadable::Malformed) => return Err(Defect::Authorization),
            }
        }
        Ok(None)
    }
}

/// What was tried in vain: who keeps to one user name, line or device and changes the others tries as
/// many.
fn tried(exchange: &Exchange<'_, '_>, who: &Who, username: &[u8]) -> String {
    let device = who.name.as_ref().map_or("", |name| name.as_str());
    let line = exchange.request.to.uri().and_then(|it| it.user_text());
    let (line, username) = (line.unwrap_or_default(), String::from_utf8_lossy(username));
    format!("{device} {line} {username}")
}
