//! The rules of the kernel program, over memory in place of its maps.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};
use tftp_ebpf::testing::cases::{Before, Case};
use tftp_ebpf::testing::{Datagram, MemoryFrame, MemoryMaps, Site, host, table};
use tftp_ebpf::verdict::{Reason, Verdict};

use super::{Server, Wish};

/// Files of the site that are fetched: their edges are those of blocks and slabs.
const NAMES: [&str; FILES] = [
    "sep001122334455.cnf.xml",
    "ringlist.xml",
    "empty.xml",
    "one.xml",
    "english_united_states/ipc-sccp.jar",
];
pub(super) const FILES: usize = 5;

thread_local! {
    /// A site at rest; its content is large, and made once.
    static SITE: (Site, Case, Rc<RefCell<MemoryMaps>>) = {
        let site = Site::new();
        let any = table(&site).swap_remove(0);
        let at_rest = Case {
            before: Before::default(),
            ..any
        };
        let maps = MemoryMaps::new(site.clone());
        (site, at_rest, Rc::new(RefCell::new(maps)))
    };
}

pub(super) struct Kernel {
    maps: Rc<RefCell<MemoryMaps>>,
    name: &'static str,
    options: String,
    /// Our port, once an answer has told it.
    port: Option<u16>,
    /// A block was acknowledged.
    is_proved: bool,
    /// A late copy of the request has begun another transfer, which nobody is waiting for.
    has_begun_anew: bool,
    now_ns: u64,
}

impl Kernel {
    pub(super) fn new(file: usize, wish: Wish) -> Self {
        let maps = SITE.with(|(_, at_rest, maps)| {
            maps.borrow_mut().set_up(at_rest, host::NOW_NS);
            Rc::clone(maps)
        });
        let mut options = String::new();
        if let Some(blksize) = wish.blksize {
            options += &format!("blksize {blksize} ");
        }
        if wish.tsize {
            options += "tsize 0";
        }
        Self {
            maps,
            name: NAMES[file],
            options,
            port: None,
            is_proved: false,
            has_begun_anew: false,
            now_ns: host::NOW_NS,
        }
    }

    pub(super) fn content(&self) -> Vec<u8> {
        SITE.with(|(site, ..)| site.bytes(site.file(self.name)).to_vec())
    }
}

impl Server for Kernel {
    fn receive(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        // A client cannot answer before it knows the port.
        let mut packet = Datagram::default();
        match (datagram[1], self.port) {
            (1, _) => packet = packet.read(self.name, "octet", &self.options),
            (_, None) => return Vec::new(),
            (_, Some(port)) => {
                packet.to.port = port;
                packet.payload = datagram.to_vec();
            }
        }
        self.now_ns += 1_000_000;
        self.maps.borrow_mut().renew_lease(self.now_ns);
        let outcome = host::run(
            &self.maps.borrow(),
            MemoryFrame::<0>::new(packet.frame()),
            self.now_ns,
        );
        match outcome.reason {
            Reason::Data => self.is_proved = true,
            Reason::FirstData | Reason::Oack => self.has_begun_anew = self.is_proved,
            _ => {}
        }
        match outcome.reason.verdict() {
            Verdict::Drop => Vec::new(),
            Verdict::Answer => {
                let frame = outcome.frame;
                let answer = SlicedPacket::from_ethernet(&frame).expect("an answer parses");
                let Some(TransportSlice::Udp(udp)) = answer.transport else {
                    panic!("an answer that is not UDP");
                };
                let port = *self.port.get_or_insert(udp.source_port());
                assert_eq!(
                    udp.source_port(),
                    port,
                    "the same transfer has the same port"
                );
                vec![udp.payload().to_vec()]
            }
            Verdict::Pass | Verdict::Classify => {
                panic!("a plain request or ACK was passed on: {:?}", outcome.reason)
            }
        }
    }

    fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        self.now_ns += time.as_nanos() as u64;
        Vec::new()
    }

    /// Only for a new transfer: the daemon sweeps what has stalled.
    fn has_given_up(&self) -> bool {
        self.has_begun_anew
    }
}
