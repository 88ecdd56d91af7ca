//! Whether a phone may register, and if not, why: the checks in their order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::inventory::{Device, DeviceName, DeviceSettings, Protocol, Snapshot};
use crate::register::newcomers::{Newcomer, Offer};
use crate::register::sccp::registrar::{Moment, Registrar};
use crate::register::sccp::wire::{Charset, Dialect, Register, TokenReq, Version};
use crate::register::storm::{Applicant, Decision};
use crate::register::{ConnectionId, Refusal, Registration};

/// 7961s give one of these two.
const SAME_MODEL: [u32; 2] = [5, 30_018];

/// What a phone says of itself in Register.
#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) device: DeviceName,
    pub(super) type_id: u32,
    pub(super) dialect: Dialect,
    pub(super) load: Option<Arc<str>>,
}

impl Application {
    pub(super) fn read(register: &Register<'_>, min_version: u8) -> Result<Self, Refusal> {
        let device = name(register.name())?;
        let version = Version::negotiate(register.version(), register.device_type());
        let version = version.filter(|it| it.number() >= min_version);
        Ok(Self {
            device,
            type_id: register.device_type(),
            dialect: Dialect {
                version: version.ok_or(Refusal::OldVersion)?,
                charset: register.charset(),
            },
            load: register.load().map(Arc::from),
        })
    }

    /// A phone that asks for a token does not say which version it speaks.
    pub(super) fn of_token(token: &TokenReq<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            device: name(token.name())?,
            type_id: token.device_type(),
            dialect: Dialect {
                version: Version::OLDEST,
                charset: Charset::Latin1,
            },
            load: None,
        })
    }
}

fn name(bytes: &[u8]) -> Result<DeviceName, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::Malformed)?;
    text.parse().map_err(|_| Refusal::Malformed)
}

/// What becomes of an application.
#[derive(Debug)]
pub(super) enum Verdict {
    Admit(Admitted),
    /// Nobody knows the phone yet: it is being taken in.
    Pending,
    /// It is refused; with a time, it may come again then.
    Refuse(Refusal, Option<Duration>),
}

#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) device: Arc<Device>,
    pub(super) settings: Arc<DeviceSettings>,
    pub(super) snapshot: Arc<Snapshot>,
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal, None)
    }
}

/// Who applies, from where.
pub(super) struct Gate<'r> {
    pub(super) registrar: &'r Registrar,
    pub(super) peer: SocketAddr,
    pub(super) connection: ConnectionId,
    /// Who got a token over the connection a moment ago, and a place in the queue with it.
    pub(super) token_of: Option<DeviceName>,
}

impl Gate<'_> {
    /// Whether anything of this source is listened to: asked before its message is read.
    pub(super) fn check_source(&self, now: Moment) -> Result<(), Refusal> {
        let desk = &self.registrar.desk;
        if desk.bans.is_banned(self.peer.ip(), now.instant) {
            return Err(Refusal::Banned);
        }
        match desk.access.get().allows(self.peer.ip()) {
            true => Ok(()),
            false => Err(Refusal::Denied),
        }
    }

    pub(super) fn judge(&self, application: &Application, now: Moment) -> Verdict {
        let admitted = match self.look_up(application) {
            Ok(Some(admitted)) => admitted,
            Ok(None) => return Verdict::Pending,
            Err(refusal) => return refusal.into(),
        };
        let table = &self.registrar.desk.table;
        let there = table.get(&application.device);
        if let Some(there) = &there
            && self.is_duplicate(there)
        {
            return Verdict::Refuse(
                Refusal::Duplicate,
                Some(self.registrar.settings.get().lost_after()),
            );
        }
        if self.token_of == Some(application.device) {
            return Verdict::Admit(admitted);
        }
        // Over another connection it has begun anew, and asks as many questions as any.
        let is_refresh = there.is_some_and(|it| self.is_own(&it));
        let applicant = self.applicant(application, is_refresh, now);
        match self.registrar.desk.storm.ask(&applicant, now.instant) {
            Decision::Admit => Verdict::Admit(admitted),
            Decision::Wait(wait) => Verdict::Refuse(Refusal::Storm, Some(wait)),
            Decision::Stale => Refusal::Stale.into(),
        }
    }

    pub(super) fn applicant<'a>(
        &self,
        application: &'a Application,
        is_refresh: bool,
        now: Moment,
    ) -> Applicant<'a> {
        Applicant {
            device: &application.device,
            protocol: Protocol::Sccp,
            is_refresh,
            arrived: now.instant,
        }
    }

    /// None while the device is being taken in.
    fn look_up(&self, application: &Application) -> Result<Option<Admitted>, Refusal> {
        let desk = &self.registrar.desk;
        let known = desk.directory.snapshot().and_then(|snapshot| {
            let device = snapshot.devices.get(&application.device)?.clone();
            Some((snapshot, device))
        });
        let Some((snapshot, device)) = known else {
            let newcomer = Newcomer {
                device: application.device,
                type_id: Some(application.type_id),
                protocol: Protocol::Sccp,
                source: self.peer.ip().to_canonical(),
            };
            return match desk.newcomers.offer(&newcomer) {
                Offer::Pending => Ok(None),
                Offer::Refused(refusal) => Err(refusal),
            };
        };
        if device.protocol != Protocol::Sccp {
            return Err(Refusal::ProtocolMismatch);
        }
        let model = snapshot.models.find(&device.model);
        // Of some models no public source has the number: then every phone may be one.
        if let Some(expected) = model.and_then(|model| model.type_id)
            && expected != application.type_id
            && !(SAME_MODEL.contains(&expected) && SAME_MODEL.contains(&application.type_id))
        {
            return Err(Refusal::WrongModel);
        }
        let settings = snapshot
            .settings(&device)
            .map_err(|_| Refusal::BadConfiguration)?;
        Ok(Some(Admitted {
            device,
            settings,
            snapshot,
        }))
    }

    /// Whether the device is registered from another address and still there. From the same
    /// address, it is the same phone that has begun anew.
    pub(super) fn is_duplicate(&self, there: &Registration) -> bool {
        let is_other = there.source.ip() != self.peer.ip();
        let is_open = |id| self.registrar.connections.is_open(id);
        is_other && connection_of(there).is_some_and(is_open) && !self.is_own(there)
    }

    /// Whether it is what was registered over this connection.
    fn is_own(&self, there: &Registration) -> bool {
        connection_of(there) == Some(self.connection)
    }
}

/// The connection of SCCP a device is registered over: those of SIP have numbers of their own.
pub(super) fn connection_of(there: &Registration) -> Option<ConnectionId> {
    let connection = there.connection;
    connection.filter(|_| there.protocol == Protocol::Sccp)
}

/// What the phone shows; 31 characters.
pub(super) fn text(refusal: Refusal, wait: Option<Duration>) -> String {
    let text = match refusal {
        Refusal::UnknownDevice => "Unknown device",
        Refusal::BadConfiguration => "Bad configuration",
        Refusal::Capacity => "Server is full",
        Refusal::Malformed => "Malformed register",
        Refusal::ProtocolMismatch => "Not an SCCP device",
        Refusal::Duplicate => "Registered elsewhere",
        Refusal::OldVersion => "Old protocol version",
        Refusal::Sequence => "Register first",
        Refusal::AutoRegistration => "No free number",
        Refusal::WrongModel => "Wrong model",
        Refusal::Denied | Refusal::Banned => "Address not allowed",
        Refusal::Storm | Refusal::Stale => "Busy",
        // These are SIP's, or come after the registration.
        Refusal::Authentication | Refusal::LineMismatch | Refusal::CapabilitiesTimeout => {
            "Registration refused"
        }
    };
    match wait {
        Some(wait) => format!("{text}, {} s", wait_s(wait)),
        None => text.to_owned(),
    }
}

/// In whole seconds, never less than asked.
pub(super) fn wait_s(wait: Duration) -> u32 {
    let whole = wait
        .as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0));
    u32::try_from(whole).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_phone_shows_fits() {
        let longest = Duration::from_secs(9999);
        for refusal in Refusal::ALL {
            for wait in [None, Some(longest)] {
                assert!(text(refusal, wait).len() <= 31, "{refusal:?}");
            }
        }
    }

    #[test]
    fn a_wait_is_never_cut() {
        assert_eq!(wait_s(Duration::from_millis(30_001)), 31);
        assert_eq!(wait_s(Duration::from_secs(30)), 30);
        assert_eq!(wait_s(Duration::MAX), u32::MAX);
    }
}
