//! Whether the phones and the daemon say the same about who is registered.

use std::collections::HashMap;
use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use tftp_edge::inventory::Protocol;
use tftp_edge::register::export::Row;

use super::Metrics;
use crate::phones::{Over, PhoneSpec, Progress};

/// Disagreements that are told.
const TOLD: usize = 10;

/// One protocol over one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    pub over: Over,
    /// Phones that say they are registered.
    pub phones: u64,
    /// Registrations that `tftp-edge registrations` lists.
    pub listed: u64,
}

/// What both sides say at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    pub counts: Vec<Count>,
    /// What `/metrics` counts: SCCP, SIP.
    pub metrics: [u64; Protocol::ALL.len()],
    /// Rows that no phone would say of itself, the first of them.
    pub wrong: Vec<String>,
}

impl Agreement {
    /// `listed` is what `tftp-edge registrations --json` prints: an object a line.
    pub fn new(
        phones: &[PhoneSpec],
        progress: &Progress,
        listed: &[u8],
        metrics: &Metrics,
    ) -> Result<Self> {
        let known: HashMap<&str, &PhoneSpec> =
            phones.iter().map(|phone| (&*phone.device, phone)).collect();
        let mut counts = Over::ALL.map(|over| Count {
            over,
            phones: Progress::read(&progress.registered[over as usize]),
            listed: 0,
        });
        let mut wrong = Vec::new();
        for line in listed.split(|&byte| byte == b'\n') {
            if line.is_empty() {
                continue;
            }
            let row: Row = serde_json::from_slice(line).with_context(|| {
                format!("reading a registration: {}", String::from_utf8_lossy(line))
            })?;
            let over = match (row.protocol, row.transport.has_connections()) {
                (Protocol::Sccp, true) => Over::Sccp,
                (Protocol::Sip, true) => Over::SipTcp,
                (Protocol::Sip, false) => Over::SipUdp,
                (Protocol::Sccp, false) => bail!("{} has SCCP without a connection", row.device),
            };
            counts[over as usize].listed += 1;
            if let Some(why) = contradiction(&row, &known)
                && wrong.len() < TOLD
            {
                wrong.push(format!("{}: {why}", row.device));
            }
        }
        let counted = |protocol: Protocol| {
            let label = [("protocol", protocol.as_str())];
            metrics.sum("tftp_edge_registrations", &label) as u64
        };
        Ok(Self {
            counts: counts.into(),
            metrics: [Protocol::Sccp, Protocol::Sip].map(counted),
            wrong,
        })
    }

    /// Whether all three say the same, of every phone.
    pub fn holds(&self) -> bool {
        let [sccp, sip] = self.metrics;
        let phones = |over: Over| self.counts[over as usize].phones;
        self.wrong.is_empty()
            && self.counts.iter().all(|it| it.phones == it.listed)
            && sccp == phones(Over::Sccp)
            && sip == phones(Over::SipTcp) + phones(Over::SipUdp)
    }
}

/// What is wrong about a row, going by the phone it is about.
fn contradiction(row: &Row, known: &HashMap<&str, &PhoneSpec>) -> Option<String> {
    let device = row.device.to_string();
    let Some(phone) = known.get(device.as_str()) else {
        return Some("there is no such phone".to_owned());
    };
    let protocol = phone.family.protocol();
    if protocol != row.protocol.as_str() {
        return Some(format!("speaks {protocol}, not {}", row.protocol.as_str()));
    }
    if phone.address != row.address {
        return Some(format!("is at {}, not {}", phone.address, row.address));
    }
    (!row.connected).then(|| "is listed without its connection".to_owned())
}

impl fmt::Display for Agreement {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |value: fn(&Count) -> u64| self.counts.iter().map(value).sum::<u64>();
        let [sccp, sip] = self.metrics;
        write!(
            to,
            "registered, as the phones say: {}; as the daemon lists: {}; as its metrics count: {}",
            all(|it| it.phones),
            all(|it| it.listed),
            sccp + sip
        )?;
        if self.holds() {
            return writeln!(to, ": they agree, phone by phone");
        }
        writeln!(to, ": THEY DO NOT AGREE")?;
        for count in &self.counts {
            let (over, phones, listed) = (count.over.as_str(), count.phones, count.listed);
            writeln!(to, "{over:<10} phones {phones}, listed {listed}")?;
        }
        writeln!(to, "metrics: {sccp} SCCP, {sip} SIP")?;
        self.wrong
            .iter()
            .try_for_each(|why| writeln!(to, "WRONG {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phones::Family;

    fn phone(device: &str, family: Family, last: u8) -> PhoneSpec {
        PhoneSpec {
            device: device.into(),
            family,
            address: [10, 0, 0, last].into(),
            files: Vec::new(),
        }
    }

    /// Two phones are registered; `change` is made to what the daemon lists.
    fn agreement(change: impl FnOnce(String) -> String, metrics: &str) -> Agreement {
        let phones = [
            phone("SEP001B54000001", Family::Sccp7940, 1),
            phone("SEP001B54000002", Family::Sip8851, 2),
        ];
        let progress = Progress::default();
        Progress::add(&progress.registered[Over::Sccp as usize], 1);
        Progress::add(&progress.registered[Over::SipTcp as usize], 1);
        let row = |phone: &PhoneSpec| {
            format!(
                "{{\"device\":\"{}\",\"protocol\":\"{}\",\"transport\":\"tcp\",\"address\":\"{}\",\
                 \"port\":5060,\"lines\":[],\"site\":\"default\",\"since\":1,\"expires\":2,\
                 \"connected\":true}}\n",
                phone.device,
                phone.family.protocol(),
                phone.address
            )
        };
        let listed = change(phones.iter().map(row).collect());
        let metrics = Metrics::parse(metrics);
        Agreement::new(&phones, &progress, listed.as_bytes(), &metrics).expect("well formed rows")
    }

    const BOTH: &str = "tftp_edge_registrations{protocol=\"sccp\"} 1\n\
                        tftp_edge_registrations{protocol=\"sip\"} 1\n";

    #[test]
    fn phones_list_and_metrics_that_say_the_same_agree() {
        let agreement = agreement(|rows| rows, BOTH);
        assert!(agreement.holds(), "{agreement}");
    }

    #[test]
    fn whatever_differs_is_seen() {
        let no_sip = BOTH.replace("sip\"} 1", "sip\"} 0");
        assert!(!agreement(|rows| rows, &no_sip).holds());
        let first = |rows: String| rows.lines().take(1).map(str::to_owned).collect();
        assert!(!agreement(first, BOTH).holds());
        for (from, to) in [
            ("10.0.0.1", "10.0.0.3"),
            ("SEP001B54000002", "SEP001B54000003"),
            ("true", "false"),
        ] {
            let wrong = agreement(|rows| rows.replace(from, to), BOTH);
            assert!(!wrong.holds(), "{from} is {to}");
            assert!(!wrong.wrong.is_empty(), "{from} is {to}");
        }
    }
}
