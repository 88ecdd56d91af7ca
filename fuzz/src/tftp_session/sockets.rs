//! The transfer of the daemon, without its sockets.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_ebpf::wire::tftp::Granted;
use tftp_edge::content::Version;
use tftp_edge::tftp::resend::Policy;
use tftp_edge::tftp::transfer::{Repeated, Step, Transfer};

use super::{Server, Wish};

pub(super) struct Sockets {
    version: Arc<Version>,
    wish: Wish,
    now: Instant,
    /// None before the first request, and after the end.
    transfer: Option<Transfer>,
    has_given_up: bool,
}

impl Sockets {
    pub(super) fn new(content: &[u8], wish: Wish) -> Self {
        Self {
            version: Arc::new(Version {
                name: "f".into(),
                stage: Stage::Other,
                generation: 1,
                published: SystemTime::UNIX_EPOCH,
                bytes: Bytes::copy_from_slice(content),
            }),
            wish,
            now: Instant::now(),
            transfer: None,
            has_given_up: false,
        }
    }

    fn begin(&mut self, out: &mut Vec<Vec<u8>>) {
        let granted = Granted {
            blksize: self.wish.blksize.unwrap_or(0),
            windowsize: self.wish.windowsize.unwrap_or(0),
            timeout: 0,
            tsize: self.wish.tsize.then_some(self.version.bytes.len() as u64),
        };
        let version = Arc::clone(&self.version);
        let policy = Policy::default();
        let (transfer, _) =
            Transfer::begin(version, self.wish.mode, granted, policy, self.now, 0.5, out);
        self.transfer = Some(transfer);
    }

    fn step(&mut self, step: Step) {
        if let Step::Ended(reason) = step {
            self.transfer = None;
            assert!(matches!(reason, Reason::Complete | Reason::TimedOut));
            self.has_given_up |= reason == Reason::TimedOut;
        }
    }
}

impl Server for Sockets {
    fn receive(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        match (datagram, &mut self.transfer) {
            ([0, 1], None) if !self.has_given_up => self.begin(&mut out),
            ([0, 4, high, low], Some(transfer)) => {
                let number = u16::from_be_bytes([*high, *low]);
                let step = transfer.on_ack(number, self.now, 0.5, &mut out);
                self.step(step);
            }
            ([0, 1], Some(transfer)) => {
                let repeated = transfer.on_repeat(self.now, 0.5, &mut out);
                // A client that begins anew gets a transfer of its own, which is not this one.
                self.has_given_up |= repeated == Repeated::Anew;
            }
            _ => {}
        }
        out
    }

    fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let until = self.now + time;
        while let Some(transfer) = &mut self.transfer
            && transfer.deadline() <= until
        {
            assert!(transfer.deadline() >= self.now, "a deadline in the past");
            self.now = transfer.deadline();
            let step = transfer.on_timer(self.now, 0.5, &mut out);
            self.step(step);
        }
        self.now = until;
        out
    }

    fn has_given_up(&self) -> bool {
        self.has_given_up
    }
}
