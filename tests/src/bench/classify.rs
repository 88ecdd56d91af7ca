//! Part h: what it costs to look for registrations: for packets that are none, and for those that
//! are; and what a trace of another phone adds.

use anyhow::{Context as _, Result, ensure};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya_obj::programs::XdpAttachType;
use tftp_ebpf::abi::{Address, mapped};
use tftp_ebpf::testing::cases::{Before, GateState};
use tftp_ebpf::testing::datagram::{Datagram, Endpoint};
use tftp_ebpf::testing::segment::{SYN, Segment};
use tftp_ebpf::testing::site::BEHIND_V4;
use tftp_ebpf::testing::{Case, Expected, Site};
use tftp_ebpf::verdict::{Reason, Rung};

use super::table::{median, spread};
use super::{BenchOptions, Cell, Table, order};
use crate::lab::{Attached, Lab, LabOptions, LabPrograms, SERVER_IF, interrupted};
use crate::programs::Programs;

/// Runs in a row of a packet that may be sampled: as many samples find room in the ring.
const SAMPLED_RUNS: u32 = 200;

/// A phone that sends none of the packets.
const ANOTHER: Address = mapped([192, 0, 2, 1]);

/// One kind of packet.
struct Packet {
    name: &'static str,
    frame: Vec<u8>,
    /// The daemon is told of every one.
    is_sampled: bool,
    gate: GateState,
}

fn packets() -> Vec<Packet> {
    let packet = |name, frame| Packet {
        name,
        frame,
        is_sampled: false,
        gate: GateState::Open,
    };
    let tcp = |port| {
        let plain = Segment::default();
        let around = plain.around.clone();
        Segment {
            around: Datagram {
                to: Endpoint { port, ..around.to },
                ..around
            },
            ..plain
        }
    };
    let udp = |port, payload: Vec<u8>| Datagram {
        to: Endpoint {
            port,
            ..Datagram::default().to
        },
        payload,
        ..Datagram::default()
    };
    let syn = Segment {
        flags: SYN,
        ..tcp(2000)
    };
    let register = udp(5060, message("REGISTER sip:10.20.0.1 SIP/2.0"));
    let answer = Datagram {
        from: Endpoint {
            address: BEHIND_V4.into(),
            port: 5060,
            ..register.to
        },
        to: register.from,
        payload: message("SIP/2.0 200 OK"),
        ..register.clone()
    };
    vec![
        packet("TCP to another port", tcp(443).with(&[0x5a; 512]).frame()),
        packet(
            "TCP to a port that shares its bit",
            tcp(80).with(&[0x5a; 512]).frame(),
        ),
        packet("UDP to another port", udp(16_385, vec![0x80; 172]).frame()),
        packet("SYN", syn.frame()),
        Packet {
            gate: GateState::Empty,
            ..packet("SYN in a storm, held back", syn.frame())
        },
        packet("SCCP KeepAlive", tcp(2000).with(&keepalive()).frame()),
        packet("SIP REGISTER, not told", register.frame()),
        Packet {
            is_sampled: true,
            ..packet("SIP REGISTER, told", register.frame())
        },
        packet("200 to REGISTER, not told", answer.frame()),
    ]
}

fn keepalive() -> [u8; 12] {
    [4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// As long as Cisco's, with CSeq where phones and servers have it.
fn message(first: &str) -> Vec<u8> {
    let mut message = format!(
        "{first}\r\n\
         Via: SIP/2.0/UDP 10.20.30.40:5060;branch=z9hG4bK7c1a91de\r\n\
         From: <sip:1001@10.20.0.1>;tag=001122334455000245fb9c43-1d4c9d4c\r\n\
         To: <sip:1001@10.20.0.1>\r\n\
         Call-ID: 00112233-44550002-2c4f2d1e-6a1b2c3d@10.20.30.40\r\n\
         Max-Forwards: 70\r\n\
         Date: Mon, 23 Nov 2026 10:00:00 GMT\r\n\
         CSeq: 101 REGISTER\r\n"
    )
    .into_bytes();
    message.resize(800, b'x');
    message
}

/// What each packet was measured at, in nanoseconds a round.
#[derive(Default)]
struct Times {
    off: Vec<f64>,
    on: Vec<f64>,
    /// While another phone is traced.
    traced: Vec<f64>,
    bare: Vec<f64>,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    if let Some(missing) = LabPrograms::unavailable() {
        anyhow::bail!("part h cannot be measured: {missing}");
    }
    let repeat = if options.quick { 20_000 } else { 500_000 };
    let packets = packets();
    let mut rows = Vec::new();
    for rung in [Rung::Xdp, Rung::Tc] {
        let lab = Lab::new(LabOptions::default())?;
        let bare = Bare::attach(&lab, rung)?;
        let mut arms = [load(rung, false)?, load(rung, true)?];
        let mut traced_arms = [load(rung, false)?, load(rung, true)?];
        let mut rings = Vec::new();
        for arm in &mut traced_arms {
            rings.push(arm.trace()?);
            arm.trace_only(Some(ANOTHER))?;
        }
        let mut times: Vec<Times> = packets.iter().map(|_| Times::default()).collect();
        for round in 0..options.rounds {
            ensure!(!interrupted(), "interrupted");
            say(&format!(
                "h: {}, round {} of {}",
                rung.as_str(),
                round + 1,
                options.rounds
            ));
            for index in order(packets.len(), round) {
                let (packet, times) = (&packets[index], &mut times[index]);
                let programs = &mut arms[usize::from(packet.is_sampled)];
                times.off.push(time(programs, rung, packet, repeat, false)?);
                times.on.push(time(programs, rung, packet, repeat, true)?);
                let programs = &mut traced_arms[usize::from(packet.is_sampled)];
                times
                    .traced
                    .push(time(programs, rung, packet, repeat, true)?);
                times.bare.push(bare.time(&packets[0].frame, repeat)?);
            }
        }
        for (packet, times) in packets.iter().zip(&times) {
            rows.push(row(rung, packet, times));
        }
    }
    Ok(table(rows, repeat))
}

/// Both programs, with or without a bound on samples.
fn load(rung: Rung, is_sampled: bool) -> Result<Programs> {
    let mut site = Site::on(rung);
    if is_sampled {
        site.registration.sample_interval_ns = 0;
        site.registration.sample_burst_ns = 0;
    }
    Programs::load(&site)
}

/// Nanoseconds a packet takes.
fn time(
    programs: &mut Programs,
    rung: Rung,
    packet: &Packet,
    repeat: u32,
    is_on: bool,
) -> Result<f64> {
    let case = Case {
        name: packet.name,
        frame: packet.frame.clone(),
        source: [0; 4],
        address: [0; 4],
        before: Before {
            unclassified: !is_on,
            gate: packet.gate,
            sampled_out: !packet.is_sampled,
            ..Before::default()
        },
        expected: Expected::Silence(Reason::NotOurs),
    };
    programs.set_up(&case)?;
    if !(is_on && packet.is_sampled) {
        return programs.time(rung, &packet.frame, repeat);
    }
    let mut ns = Vec::new();
    for _ in 0..repeat / SAMPLED_RUNS / 10 {
        ns.push(programs.time(rung, &packet.frame, SAMPLED_RUNS)?);
        programs.forget_samples();
    }
    Ok(median(ns))
}

fn row(rung: Rung, packet: &Packet, times: &Times) -> Vec<Cell> {
    let of = |times: &[f64]| median(times.iter().copied());
    let pairs = times.on.iter().zip(&times.off);
    let added: Vec<f64> = pairs.map(|(on, off)| on - off).collect();
    let pairs = times.traced.iter().zip(&times.on);
    let by_trace: Vec<f64> = pairs.map(|(traced, on)| traced - on).collect();
    let ratios = times.on.iter().zip(&times.bare).map(|(on, bare)| on / bare);
    vec![
        Cell::text(format!("{}, {}", rung.as_str(), packet.name)),
        Cell::Count(packet.frame.len() as u64),
        Cell::number(of(&times.bare), 0),
        Cell::number(of(&times.off), 0),
        Cell::number(of(&times.on), 0),
        Cell::number(of(&added), 0),
        spread(&added, 0),
        Cell::number(median(ratios), 2),
        Cell::number(of(&times.traced), 0),
        Cell::number(of(&by_trace), 0),
        spread(&by_trace, 0),
    ]
}

fn table(rows: Vec<Vec<Cell>>, repeat: u32) -> Table {
    Table {
        part: 'h',
        title: "kernel time to look for registrations".to_owned(),
        columns: vec![
            "program, packet",
            "bytes",
            "bare ns",
            "off ns",
            "on ns",
            "added ns",
            "rounds",
            "on x bare",
            "traced ns",
            "by trace ns",
            "rounds",
        ],
        rows,
        ratios: Vec::new(),
        method: format!(
            "Method: BPF_PROG_TEST_RUN of the daemon's programs, {repeat} times in a row each round: \
             with registrations not looked at, then looked at, then a program that passes TCP on \
             after a look at two fields; `added` is on less off of the same round. `traced` is on, by \
             the programs that are attached while a trace runs, with another phone traced; `by \
             trace` is that less on. While no trace runs, `on` is what a packet takes. Nothing is \
             attached. A packet that is told is run {SAMPLED_RUNS} times between two readings of \
             the ring buffer. The kernel reports whole nanoseconds, with warm caches; runs of \
             BPF_PROG_TEST_RUN cost some themselves, which `bare` shows."
        ),
    }
}

/// The program that only passes, by the kernel's number of it.
struct Bare {
    program: Tested,
    _attached: Attached,
}

enum Tested {
    Xdp(Xdp),
    Tc(SchedClassifier),
}

impl Bare {
    fn attach(lab: &Lab, rung: Rung) -> Result<Self> {
        let (attached, name) = match rung {
            Rung::Xdp => (LabPrograms::bare_xdp(&lab.server, SERVER_IF)?, "bare_xdp"),
            _ => (LabPrograms::bare_tc(&lab.server, SERVER_IF)?, "bare_tc"),
        };
        let id = attached.id(name)?;
        let info = loaded_programs()
            .flatten()
            .find(|info| info.id() == id)
            .with_context(|| format!("program {id} is gone"))?;
        let program = match rung {
            Rung::Xdp => Tested::Xdp(Xdp::from_program_info(
                info,
                name.into(),
                XdpAttachType::Interface,
            )?),
            _ => Tested::Tc(SchedClassifier::from_program_info(info, name.into())?),
        };
        Ok(Self {
            program,
            _attached: attached,
        })
    }

    fn time(&self, frame: &[u8], repeat: u32) -> Result<f64> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        let result = match &self.program {
            Tested::Xdp(program) => program.test_run(options)?,
            Tested::Tc(program) => program.test_run(options)?,
        };
        Ok(result.duration.as_nanos() as f64)
    }
}
