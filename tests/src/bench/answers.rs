//! Part a: what the kernel programs cost: for each DATA answer, and for each packet they pass on.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya::sys::{Stats, enable_stats};
use aya_obj::programs::XdpAttachType;
use tempfile::TempDir;

use super::load::Load;
use super::runs::{Kind, program_of};
use super::table::{median, spread};
use super::{BenchOptions, Cell, Goal, Ratio, Table, order};
use crate::client::{Outcome, Request, Retry, get};
use crate::demo::{Edge, Mode};
use crate::lab::{
    Attached, CLIENT_IF, CLIENT_V4, Lab, LabOptions, LabPrograms, Process, Runs, SERVER_IF,
    SERVER_V4, interrupted,
};
use crate::server::Place;

/// Transfers under way at a time.
const LANES: usize = 16;

/// The file that is fetched. It is no configuration and no firmware: it is there from the start.
const FILE: &str = "measured.bin";
/// Below the size from which files are read only when asked for.
const FILE_LEN: usize = 1 << 20;

/// Blocks of a transfer that are asked for: less than the file has at the largest size.
const BLOCKS: u16 = 700;

/// Where the bare programs are sent to: any port but one that answers.
const ECHO_PORT: u16 = 60_000;

/// What answers in a lab of its own.
enum Answerer {
    Edge(Process),
    Bare(Attached, &'static str),
}

impl Answerer {
    fn runs(&self, kind: Kind) -> Result<Runs> {
        match self {
            Self::Edge(process) => Ok(program_of(process.pid(), kind)?.runs),
            Self::Bare(programs, name) => programs.runs(name),
        }
    }
}

struct Rig<'lab> {
    name: &'static str,
    lab: &'lab Lab,
    answerer: Answerer,
    kind: Kind,
    /// On the clients' side, with XDP only.
    padding: Option<Attached>,
    _folder: TempDir,
}

/// A rig under one kind of load.
struct Case {
    rig: usize,
    blksize: Option<u16>,
    ns: Vec<f64>,
    /// The empty program on the clients' side, which saw the answers.
    empty_ns: Vec<f64>,
    runs: u64,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Vec<Table>> {
    if let Some(missing) = LabPrograms::unavailable() {
        anyhow::bail!("part a cannot be measured: {missing}");
    }
    let _counting = enable_stats(Stats::RunTime).context("asking the kernel to time programs")?;
    let labs = [(); 4]
        .iter()
        .map(|()| Lab::new(LabOptions::default()))
        .collect::<Result<Vec<_>>>()?;
    let rigs = [
        edge_rig("xdp", &labs[0], options, Mode::Xdp, Kind::Xdp)?,
        bare_rig("bare xdp", &labs[1], Kind::Xdp)?,
        edge_rig("tc", &labs[2], options, Mode::Tc, Kind::Tc)?,
        bare_rig("bare tc", &labs[3], Kind::Tc)?,
    ];
    let case = |rig, blksize| Case {
        rig,
        blksize,
        ns: Vec::new(),
        empty_ns: Vec::new(),
        runs: 0,
    };
    let mut cases = [
        case(1, None),
        case(0, Some(512)),
        case(0, Some(1428)),
        case(3, None),
        case(2, Some(512)),
        case(2, Some(1428)),
    ];
    let loads = if options.quick { 1 } else { 6 };
    for round in 0..options.rounds {
        ensure!(!interrupted(), "interrupted");
        say(&format!("a: round {} of {}", round + 1, options.rounds));
        for index in order(cases.len(), round) {
            let case = &mut cases[index];
            case.play(&rigs[case.rig], loads)?;
        }
    }
    let passing = passing(options, &rigs)?;
    Ok(vec![answers_table(&cases, &rigs), passing])
}

impl Case {
    fn play(&mut self, rig: &Rig<'_>, loads: usize) -> Result<()> {
        // The first load is not measured: it warms the caches.
        rig.load(self.blksize)?;
        let before = rig.answerer.runs(rig.kind)?;
        let empty_before = rig.empty()?;
        for _ in 0..loads {
            rig.load(self.blksize)?;
        }
        let after = rig.answerer.runs(rig.kind)?;
        let (count, ns) = mean(before, after);
        let expected = (loads * LANES * usize::from(BLOCKS)) as u64;
        ensure!(
            count >= expected,
            "{}: the program ran {count} times for {expected} answers",
            rig.name
        );
        self.ns.push(ns);
        self.runs += count;
        if let (Some(before), Some(after)) = (empty_before, rig.empty()?) {
            self.empty_ns.push(mean(before, after).1);
        }
        Ok(())
    }
}

/// How often, and how long each in nanoseconds.
fn mean(before: Runs, after: Runs) -> (u64, f64) {
    let count = after.count - before.count;
    let time = after.time.saturating_sub(before.time);
    (count, time.as_nanos() as f64 / count as f64)
}

impl Rig<'_> {
    fn load(&self, blksize: Option<u16>) -> Result<()> {
        let place = Place::Namespace(&self.lab.client);
        let from = CLIENT_V4.into();
        let mut load = match blksize {
            None => Load::echoes(place, from, (SERVER_V4, ECHO_PORT).into(), LANES),
            Some(blksize) => {
                let request = match blksize {
                    512 => Request::plain(FILE),
                    _ => Request::sized(FILE, blksize),
                };
                Load::transfers(place, from, server(), &request, LANES)
            }
        }
        .with_context(|| format!("beginning on {}", self.name))?;
        load.run(BLOCKS)
            .with_context(|| format!("under load on {}", self.name))
    }

    fn empty(&self) -> Result<Option<Runs>> {
        self.padding.as_ref().map(|it| it.runs("pass")).transpose()
    }
}

fn server() -> SocketAddr {
    (SERVER_V4, 69).into()
}

fn edge_rig<'lab>(
    name: &'static str,
    lab: &'lab Lab,
    options: &BenchOptions,
    mode: Mode,
    kind: Kind,
) -> Result<Rig<'lab>> {
    let folder = tempfile::tempdir()?;
    let padding = pad(lab, kind)?;
    let edge = Edge::new(
        &options.daemon,
        folder.path(),
        Place::Namespace(&lab.server),
        mode,
        20_000,
    )?;
    write_file(&edge.root().join(FILE))?;
    let process = edge.start()?;
    let rig = Rig {
        name,
        lab,
        answerer: Answerer::Edge(process),
        kind,
        padding,
        _folder: folder,
    };
    // A file that only the daemon has would be measured as something else.
    let fetched = lab.client.enter(|| {
        get(
            CLIENT_V4.into(),
            server(),
            Request::sized(FILE, 1428),
            Retry::default(),
        )
    })?;
    ensure!(
        fetched.outcome == Outcome::Complete && fetched.bytes.len() == FILE_LEN,
        "{name}: fetching {FILE} ended with {:?}",
        fetched.outcome
    );
    let runs = rig.answerer.runs(rig.kind)?.count;
    ensure!(
        runs as usize > FILE_LEN / 1428,
        "{name}: the kernel program does not answer: it ran {runs} times"
    );
    Ok(rig)
}

fn write_file(path: &Path) -> Result<()> {
    let content: Vec<u8> = (0..FILE_LEN as u32)
        .map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8)
        .collect();
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}

fn bare_rig<'lab>(name: &'static str, lab: &'lab Lab, kind: Kind) -> Result<Rig<'lab>> {
    let padding = pad(lab, kind)?;
    let answerer = match kind {
        Kind::Xdp => Answerer::Bare(LabPrograms::bare_xdp(&lab.server, SERVER_IF)?, "bare_xdp"),
        Kind::Tc => Answerer::Bare(LabPrograms::bare_tc(&lab.server, SERVER_IF)?, "bare_tc"),
    };
    Ok(Rig {
        name,
        lab,
        answerer,
        kind,
        padding,
        _folder: tempfile::tempdir()?,
    })
}

fn pad(lab: &Lab, kind: Kind) -> Result<Option<Attached>> {
    match kind {
        Kind::Xdp => LabPrograms::page_sized(&lab.client, CLIENT_IF).map(Some),
        Kind::Tc => Ok(None),
    }
}

fn answers_table(cases: &[Case], rigs: &[Rig<'_>]) -> Table {
    let empty = median(cases.iter().flat_map(|case| case.empty_ns.iter().copied()));
    let mut rows = vec![vec![
        Cell::text("empty xdp"),
        Cell::None,
        Cell::None,
        Cell::number(empty, 0),
        Cell::None,
        Cell::None,
        Cell::None,
    ]];
    let mut ratios = Vec::new();
    let mut bare: &[f64] = &[];
    for case in cases {
        if case.blksize.is_none() {
            bare = &case.ns;
        }
        // Round by round, so that what slows both down falls out.
        let pairs = || case.ns.iter().zip(bare);
        let ratio = median(pairs().map(|(ns, bare)| ns / bare));
        let net = median(pairs().map(|(ns, bare)| (ns - empty) / (bare - empty)));
        rows.push(vec![
            Cell::text(rigs[case.rig].name),
            case.blksize
                .map_or(Cell::None, |size| Cell::Count(size.into())),
            Cell::Count(case.runs),
            Cell::number(median(case.ns.iter().copied()), 0),
            spread(&case.ns, 0),
            Cell::number(ratio, 2),
            Cell::number(net, 2),
        ]);
        if case.blksize == Some(512) {
            let what = format!("{}, 512-byte DATA against bare", rigs[case.rig].name);
            ratios.push(Ratio::new(what, ratio, " x", Goal::AtMost(3.0)));
        }
    }
    Table {
        part: 'a',
        title: "kernel time per DATA answer".to_owned(),
        columns: vec![
            "program",
            "block",
            "runs",
            "ns/run",
            "rounds",
            "x bare",
            "x bare net",
        ],
        rows,
        ratios,
        method: format!(
            "Method: the kernel's own count and time of each program's runs (BPF_ENABLE_STATS), \
             under real transfers: {LANES} of them in lockstep, each sending the next ACK when its \
             DATA has come, so every run but one in {BLOCKS} is an ACK answered with the next DATA. \
             BPF_PROG_TEST_RUN cannot measure that: a repeated ACK is a duplicate, and not \
             answered. `bare` swaps addresses and ports and sends the frame back; it gets the same \
             ACKs from the same sockets. Each has a veth pair of its own, all measured in turns; \
             ns/run is the median over the rounds, ratios are medians of the rounds' ratios. XDP \
             frames arrive padded to 1514 bytes, which is how veth gets buffers with room, so the \
             program shrinks them and the kernel need not clear grown bytes; TC frames arrive as \
             short as they are and do grow. `empty xdp` is a program that only returns: what is \
             left of it is the clock itself, subtracted in `net`."
        ),
    }
}

/// Frames that are none of the program's business.
fn strangers() -> [(&'static str, Vec<u8>); 3] {
    [
        ("TCP", frame(6, 5060, 66)),
        ("UDP, SIP", frame(17, 5060, 500)),
        ("UDP, RTP", frame(17, 16_384, 214)),
    ]
}

/// Ethernet and IPv4 around `protocol`, to `port`.
fn frame(protocol: u8, port: u16, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
    frame[22] = 64;
    frame[23] = protocol;
    frame[26..30].copy_from_slice(&CLIENT_V4.octets());
    frame[30..34].copy_from_slice(&SERVER_V4.octets());
    frame[34..36].copy_from_slice(&40_000_u16.to_be_bytes());
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    match protocol {
        17 => frame[38..40].copy_from_slice(&((len - 34) as u16).to_be_bytes()),
        _ => frame[46] = 5 << 4,
    }
    frame
}

/// One program that BPF_PROG_TEST_RUN can run.
enum Tested {
    Xdp(Xdp),
    Tc(SchedClassifier),
}

impl Tested {
    fn of(rig: &Rig<'_>) -> Result<Self> {
        let id = match &rig.answerer {
            Answerer::Edge(process) => program_of(process.pid(), rig.kind)?.id,
            Answerer::Bare(programs, name) => programs.id(name)?,
        };
        let info = loaded_programs()
            .flatten()
            .find(|info| info.id() == id)
            .with_context(|| format!("program {id} is gone"))?;
        let name = "measured".into();
        Ok(match rig.kind {
            Kind::Xdp => Self::Xdp(Xdp::from_program_info(
                info,
                name,
                XdpAttachType::Interface,
            )?),
            Kind::Tc => Self::Tc(SchedClassifier::from_program_info(info, name)?),
        })
    }

    fn time(&self, frame: &[u8], repeat: u32) -> Result<Duration> {
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        // XDP_PASS; TC_ACT_OK from the bare program, TC_ACT_UNSPEC from ours.
        let (result, pass) = match self {
            Self::Xdp(program) => (program.test_run(options)?, [2, 2]),
            Self::Tc(program) => (program.test_run(options)?, [0, u32::MAX]),
        };
        ensure!(
            pass.contains(&result.return_value),
            "a strange frame was not passed on: {}",
            result.return_value
        );
        Ok(result.duration)
    }
}

fn passing(options: &BenchOptions, rigs: &[Rig<'_>]) -> Result<Table> {
    let repeat = if options.quick { 100_000 } else { 1_000_000 };
    // What the bare programs pass on, too.
    let [(_, tcp), ..] = strangers();
    let mut rows = Vec::new();
    // Each of ours, and the bare one of its kind.
    for (rig, bare) in [(&rigs[0], &rigs[1]), (&rigs[2], &rigs[3])] {
        let program = Tested::of(rig)?;
        let bare = Tested::of(bare)?;
        for (what, frame) in strangers() {
            let mut ns = Vec::new();
            let mut added = Vec::new();
            for _ in 0..options.rounds {
                let time = program.time(&frame, repeat)?.as_nanos() as f64;
                ns.push(time);
                added.push(time - bare.time(&tcp, repeat)?.as_nanos() as f64);
            }
            rows.push(vec![
                Cell::text(format!("{}, {what}", rig.name)),
                Cell::Count(frame.len() as u64),
                Cell::number(median(ns), 0),
                Cell::number(median(added.iter().copied()), 0),
                spread(&added, 0),
            ]);
        }
    }
    Ok(Table {
        part: 'a',
        title: "kernel time added to a packet that is passed on".to_owned(),
        columns: vec![
            "program, packet",
            "bytes",
            "ns/packet",
            "added ns",
            "rounds",
        ],
        rows,
        ratios: Vec::new(),
        method: format!(
            "Method: BPF_PROG_TEST_RUN of the program the daemon has loaded, {repeat} times in a \
             row each round, beside the bare program, which passes TCP on after a look at two fields; `added` is the difference. The \
             kernel reports whole nanoseconds, with warm caches."
        ),
    })
}
