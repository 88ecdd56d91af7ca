//! A phone that is played for a test of the rules, with its time stepped by hand.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tftp_ebpf::stage::Stage as FileStage;
use tftp_ebpf::verdict::Rung;

use super::case::{Case, Heard};
use super::served::{Held, Served};
use super::{Cause, Floors, diagnose};
use crate::inventory::{Contents, DeviceName, Protocol, Site, Snapshot, parse_csv};
use crate::journal::event::{Answer, Fact, Happening, Request};
use crate::journal::{Finding, Gap, Outcome, Phone, Settings};
use crate::register::storm::Turn;
use crate::register::{Mode, Refusal, Transport};
use crate::stats::Path;

pub(super) struct Scene {
    pub(super) name: DeviceName,
    pub(super) phone: Phone,
    pub(super) at_ms: u64,
    pub(super) snapshot: Snapshot,
    pub(super) files: HashMap<String, Held>,
    pub(super) mode: Mode,
    pub(super) is_shut_out: bool,
    pub(super) not_rendered: Option<&'static str>,
    pub(super) heard: Option<Heard>,
    pub(super) neighbour: Option<IpAddr>,
    pub(super) turn: Option<Turn>,
    pub(super) gaps: Vec<Gap>,
    /// Of the version that is served.
    pub(super) generation: u64,
    pub(super) len_bytes: u64,
}

pub(super) const STARTED_MS: u64 = 1_000_000;

/// The only address of this host.
pub(super) const OURS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

impl Served for HashMap<String, Held> {
    fn file(&self, name: &str, _client: IpAddr) -> Held {
        self.get(name).cloned().unwrap_or(Held::Absent)
    }
}

fn source() -> SocketAddr {
    ([10, 0, 0, 9], 49_152).into()
}

impl Scene {
    /// A phone of the inventory, as a row of it has it: name, model, protocol, lines and load.
    pub(super) fn of(row: &str) -> Self {
        let csv = format!(
            "name,model,protocol,lines,load\n{row}{}\n",
            match row.split(',').count() {
                4 => ",",
                _ => "",
            }
        );
        let mut contents = Contents {
            devices: parse_csv(csv.as_bytes()).unwrap(),
            ..Contents::default()
        };
        contents.sites.insert(
            "default".to_owned(),
            [("servers".to_owned(), "10.0.0.1; 10.0.0.2".to_owned())].into(),
        );
        let name = contents.devices[0].name;
        Self::with(name, contents)
    }

    /// A phone that nobody knows.
    pub(super) fn of_stranger(name: &str) -> Self {
        Self::with(name.parse().unwrap(), Contents::default())
    }

    fn with(name: DeviceName, contents: Contents) -> Self {
        Self {
            name,
            phone: Phone::new(source(), STARTED_MS),
            at_ms: STARTED_MS,
            snapshot: Snapshot::new(contents, &Site::default()),
            files: HashMap::new(),
            mode: Mode::Registrar,
            is_shut_out: false,
            not_rendered: None,
            heard: None,
            neighbour: None,
            turn: None,
            gaps: Vec::new(),
            generation: 7,
            len_bytes: 6_000,
        }
    }

    pub(super) fn config(&self) -> String {
        self.name.config_file()
    }

    pub(super) fn after(&mut self, ms: u64) -> &mut Self {
        self.at_ms += ms;
        self
    }

    fn take(&mut self, what: Happening) -> &mut Self {
        self.phone
            .take(&what, source(), self.at_ms, &Settings::default());
        self
    }

    fn request(&self, name: &str) -> Request {
        Request {
            name: name.into(),
            stage: FileStage::of_name(name.as_bytes()),
            path: Path::Rung(Rung::Xdp),
            generation: Some(self.generation),
            len_bytes: self.len_bytes,
        }
    }

    pub(super) fn asks(&mut self, name: &str) -> &mut Self {
        let request = self.request(name);
        self.take(Happening::Requested(request))
    }

    pub(super) fn gets(&mut self, name: &str, outcome: Outcome) -> &mut Self {
        let answer = Answer {
            outcome,
            took: Duration::from_millis(2),
            resends: u32::from(outcome == Outcome::TimedOut) * 5,
        };
        let request = self.request(name);
        self.take(Happening::Answered(request, answer))
    }

    /// A boot up to its configuration.
    pub(super) fn fetches_config(&mut self) -> &mut Self {
        let trust = format!("ctl{}.tlv", self.name.as_str().to_lowercase());
        let config = self.config();
        self.gets(&trust, Outcome::Absent)
            .after(10)
            .gets(&config, Outcome::Complete)
            .after(10)
    }

    pub(super) fn fact(&mut self, fact: Fact) -> &mut Self {
        self.take(Happening::Fact(fact))
    }

    pub(super) fn registering(&mut self) -> &mut Self {
        self.fact(Fact::Registering {
            protocol: Protocol::Sip,
            transport: Transport::Tcp,
        })
    }

    pub(super) fn registered(&mut self) -> &mut Self {
        self.fact(Fact::Registered {
            protocol: Protocol::Sip,
            transport: Transport::Tcp,
            load: Some("sip88xx.12-5".into()),
        })
    }

    pub(super) fn refused(
        &mut self,
        refusal: Refusal,
        wait_s: Option<u32>,
        detail: &str,
    ) -> &mut Self {
        self.fact(Fact::Refused {
            protocol: Protocol::Sip,
            refusal,
            wait_s,
            detail: (!detail.is_empty()).then(|| detail.into()),
        })
    }

    pub(super) fn alarm(&mut self, code: u16, text: &str) -> &mut Self {
        self.fact(Fact::Alarm {
            code: Some(code),
            text: text.into(),
        })
    }

    /// What is found now.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let floors = Floors {
            stage_ms: 30_000,
            firmware_ms: 600_000,
            silence_ms: 300_000,
        };
        let was_heard_of = !self.phone.boots.is_empty();
        let case = Case {
            name: self.name,
            phone: was_heard_of.then_some(&self.phone),
            inventory: Some(&self.snapshot),
            device: self.snapshot.devices.get(&self.name).map(AsRef::as_ref),
            site: "default",
            served: &self.files,
            mode: self.mode,
            is_registered: self.phone.registered_ms.is_some(),
            has_registration: false,
            is_shut_out: self.is_shut_out,
            not_rendered: self.not_rendered,
            neighbours_heard: self.heard,
            neighbour: self.neighbour,
            is_ours: |address| address == OURS,
            turn: self.turn,
            gaps: &self.gaps,
            patience_ms: floors.of(match was_heard_of {
                true => self.phone.stage,
                false => crate::journal::Stage::Dhcp,
            }),
            fault_patience_ms: floors.stage_ms,
            silence_ms: floors.silence_ms,
            started_ms: STARTED_MS,
            now_ms: self.at_ms,
        };
        diagnose(&case)
    }

    pub(super) fn causes(&self) -> Vec<Cause> {
        self.findings().iter().map(|it| it.cause).collect()
    }

    /// The most likely finding, which must be of this cause.
    #[track_caller]
    pub(super) fn first(&self, cause: Cause) -> Finding {
        let findings = self.findings();
        match findings.first() {
            Some(first) if first.cause == cause => first.clone(),
            _ => panic!("{cause} was to be found first: {findings:#?}"),
        }
    }

    /// Nothing is the matter, yet.
    #[track_caller]
    pub(super) fn is_well(&mut self) -> &mut Self {
        let findings = self.findings();
        assert!(findings.is_empty(), "{findings:#?}");
        self
    }
}
