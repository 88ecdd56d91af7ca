//! The lab's BPF programs: attached while their guard lives.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{Array, Map, MapData, MapInfo, PerCpuArray};
use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};

use super::Namespace;

#[cfg(bpf_object)]
static OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(
    env!("OUT_DIR"),
    "/tftp-lab-bpf"
)));
#[cfg(not(bpf_object))]
static OBJECT: Option<&[u8]> = None;

/// Which way packets go that a program looks at, seen from the interface it is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What the interface sends.
    Egress,
    /// What it receives.
    Ingress,
}

impl Side {
    fn tc(self) -> TcAttachType {
        match self {
            Self::Egress => TcAttachType::Egress,
            Self::Ingress => TcAttachType::Ingress,
        }
    }
}

/// Shares of UDP packets, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairment {
    pub drop_ppm: u32,
    pub duplicate_ppm: u32,
}

impl Impairment {
    pub fn percent(drop: f64, duplicate: f64) -> Self {
        Self {
            drop_ppm: (drop * 10_000.0) as u32,
            duplicate_ppm: (duplicate * 10_000.0) as u32,
        }
    }
}

/// What an impairment did so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impairs {
    pub seen: u64,
    pub dropped: u64,
    pub duplicated: u64,
}

/// What the kernel says of a program since it was loaded. It counts only while
/// [`aya::sys::enable_stats`] holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    pub count: u64,
    pub time: Duration,
}

/// VLAN ids; zero is no tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    pub inner: u16,
    pub outer: u16,
}

/// Programs that are attached. Dropping this closes their links, which detaches them.
#[derive(Debug)]
pub struct Attached {
    programs: Ebpf,
}

impl Attached {
    /// Reads the counters of an impairment.
    pub fn impairs(&self) -> Result<Impairs> {
        let map = self.programs.map("IMPAIRED").context("no map IMPAIRED")?;
        let counters = PerCpuArray::<_, u64>::try_from(map)?;
        let sum = |index| -> Result<u64> { Ok(counters.get(&index, 0)?.iter().sum()) };
        Ok(Impairs {
            seen: sum(0)?,
            dropped: sum(1)?,
            duplicated: sum(2)?,
        })
    }

    /// The kernel's number of a program.
    pub fn id(&self, program: &str) -> Result<u32> {
        Ok(self.info(program)?.id())
    }

    /// How often a program has run, and how long.
    pub fn runs(&self, program: &str) -> Result<Runs> {
        let info = self.info(program)?;
        Ok(Runs {
            count: info.run_count(),
            time: info.run_time(),
        })
    }

    fn info(&self, program: &str) -> Result<ProgramInfo> {
        let program = self
            .programs
            .program(program)
            .with_context(|| format!("no program {program}"))?;
        Ok(program.info()?)
    }

    /// Changes the rates of an impairment while it runs.
    pub fn set_impairment(&mut self, impairment: Impairment) -> Result<()> {
        set_array(
            &mut self.programs,
            "IMPAIR",
            &[impairment.drop_ppm, impairment.duplicate_ppm],
        )
    }
}

/// Attaches the lab's programs. Each call loads an object of its own, so settings never mix.
#[derive(Clone, Copy, Debug)]
pub struct LabPrograms;

impl LabPrograms {
    /// Why the programs cannot be used, if they cannot.
    pub fn unavailable() -> Option<&'static str> {
        match OBJECT {
            Some(_) => None,
            None => Some(
                "the lab's BPF programs were not built: run `cargo xtask setup`, then build again",
            ),
        }
    }

    /// Makes veth behave like a physical driver for what `interface` sends and receives: its frames
    /// land in page-sized buffers, and it takes frames that its peer sends by XDP_TX.
    pub fn page_sized(namespace: &Namespace, interface: &str) -> Result<Attached> {
        let mut programs = load()?;
        namespace.enter(|| {
            attach_tc(&mut programs, "pad", interface, Side::Egress)?;
            attach_xdp(&mut programs, "pass", interface)
        })?;
        Ok(Attached { programs })
    }

    /// Lets everything pass under XDP, as somebody else's program at an interface of the daemon's.
    pub fn pass(namespace: &Namespace, interface: &str) -> Result<Attached> {
        let mut programs = load()?;
        namespace.enter(|| attach_xdp(&mut programs, "pass", interface))?;
        Ok(Attached { programs })
    }

    /// Sends every UDP frame that `interface` receives back where it came from, from XDP.
    pub fn bare_xdp(namespace: &Namespace, interface: &str) -> Result<Attached> {
        let mut programs = load()?;
        namespace.enter(|| attach_xdp(&mut programs, "bare_xdp", interface))?;
        Ok(Attached { programs })
    }

    /// The same, from TC.
    pub fn bare_tc(namespace: &Namespace, interface: &str) -> Result<Attached> {
        let mut programs = load()?;
        namespace.enter(|| attach_tc(&mut programs, "bare_tc", interface, Side::Ingress))?;
        Ok(Attached { programs })
    }

    /// Drops and repeats UDP packets on one side of `interface`.
    pub fn impair(
        namespace: &Namespace,
        interface: &str,
        side: Side,
        impairment: Impairment,
    ) -> Result<Attached> {
        let mut programs = load()?;
        set_array(
            &mut programs,
            "IMPAIR",
            &[
                impairment.drop_ppm,
                impairment.duplicate_ppm,
                u32::from(side == Side::Ingress),
            ],
        )?;
        namespace.enter(|| attach_tc(&mut programs, "impair", interface, side))?;
        Ok(Attached { programs })
    }

    /// Puts whoever uses `interface` behind VLAN tags: pushed on the way out, and taken off what
    /// comes in. Frames that come without them are dropped. On the server's side it stands for a
    /// VLAN interface, which not every kernel has; XDP comes before it and sees the tags.
    pub fn tag(namespace: &Namespace, interface: &str, tags: Tags) -> Result<Attached> {
        let mut programs = load()?;
        set_array(
            &mut programs,
            "TAGS",
            &[tags.inner.into(), tags.outer.into()],
        )?;
        namespace.enter(|| {
            attach_tc(&mut programs, "push_tags", interface, Side::Egress)?;
            attach_tc(&mut programs, "pop_tags", interface, Side::Ingress)
        })?;
        Ok(Attached { programs })
    }
}

/// What is attached to `interface` to look at what comes in: the names of TC programs, and `xdp`
/// for an XDP program, as far as this kernel tells.
pub fn attached_to(namespace: &Namespace, interface: &str) -> Result<String> {
    let tcx = namespace.enter(|| {
        // Before Linux 6.6 there are no such links, and bpftool names classifiers.
        let (_, programs) =
            SchedClassifier::query_tcx(interface, TcAttachType::Ingress).unwrap_or_default();
        let names = programs.iter().filter_map(|program| program.name_as_str());
        Ok(names.map(str::to_owned).collect::<Vec<_>>().join("\n"))
    })?;
    let others = namespace.output("bpftool", ["net", "show"])?;
    let classifiers = others.split_once("tc:").map_or("", |(_, behind)| behind);
    let link = namespace.output("ip", ["-d", "link", "show", interface])?;
    let xdp = if link.contains("xdp") { "xdp" } else { "" };
    Ok([&tcx, classifiers, xdp].join("\n"))
}

/// The programs that are attached to `interface`, one a line, each with the kernel's number and tag
/// of it: the same text means the same programs.
pub fn identities(namespace: &Namespace, interface: &str) -> Result<String> {
    let link = namespace.output("ip", ["-d", "link", "show", interface])?;
    let xdp = link.lines().filter(|line| line.contains("prog/xdp"));
    let mut lines: Vec<_> = xdp.map(|line| line.trim().to_owned()).collect();
    lines.extend(namespace.enter(|| {
        let (_, programs) =
            SchedClassifier::query_tcx(interface, TcAttachType::Ingress).unwrap_or_default();
        let line = |program: &ProgramInfo| {
            let name = program.name_as_str().unwrap_or("?");
            format!(
                "tc id {} name {name} tag {:016x}",
                program.id(),
                program.tag()
            )
        };
        Ok(programs.iter().map(line).collect::<Vec<_>>())
    })?);
    Ok(lines.join("\n"))
}

/// The indices of interfaces that the daemon's program at `interface` knows, from its map.
pub fn known_interfaces(namespace: &Namespace, interface: &str) -> Result<BTreeSet<u32>> {
    let maps = namespace.enter(|| {
        let (_, programs) = SchedClassifier::query_tcx(interface, TcAttachType::Ingress)?;
        let program = programs
            .iter()
            .find(|program| {
                program
                    .name_as_str()
                    .is_some_and(|it| it.starts_with("tftp_edge"))
            })
            .with_context(|| format!("none of the daemon's programs is at {interface}"))?;
        program
            .map_ids()?
            .context("this kernel does not tell a program's maps")
    })?;
    for id in maps {
        if MapInfo::from_id(id)?.name_as_str() == Some("INTERFACES") {
            let map = Map::HashMap(MapData::from_id(id)?);
            let map = aya::maps::HashMap::<_, u32, u64>::try_from(map)?;
            return Ok(map.keys().collect::<Result<_, _>>()?);
        }
    }
    anyhow::bail!("the program at {interface} has no map INTERFACES")
}

fn load() -> Result<Ebpf> {
    let object = OBJECT.ok_or_else(|| anyhow!("{}", LabPrograms::unavailable().unwrap_or("")))?;
    EbpfLoader::new()
        .load(object)
        .context("loading the lab's BPF programs")
}

fn set_array(programs: &mut Ebpf, name: &str, values: &[u32]) -> Result<()> {
    let map = programs
        .map_mut(name)
        .with_context(|| format!("no map {name}"))?;
    let mut array = Array::<_, u32>::try_from(map)?;
    for (index, value) in (0..).zip(values) {
        array.set(index, value, 0)?;
    }
    Ok(())
}

/// The calling thread must be in the interface's namespace.
fn attach_xdp(programs: &mut Ebpf, name: &str, interface: &str) -> Result<()> {
    let program: &mut Xdp = programs
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?
        .try_into()?;
    program
        .load()
        .with_context(|| format!("the verifier refused {name}"))?;
    program
        .attach(interface, XdpMode::Driver)
        .with_context(|| format!("attaching {name} to {interface}"))?;
    Ok(())
}

/// The calling thread must be in the interface's namespace.
fn attach_tc(programs: &mut Ebpf, name: &str, interface: &str, side: Side) -> Result<()> {
    let program: &mut SchedClassifier = programs
        .program_mut(name)
        .with_context(|| format!("no program {name}"))?
        .try_into()?;
    program
        .load()
        .with_context(|| format!("the verifier refused {name}"))?;
    program
        .attach(interface, side.tc())
        .with_context(|| format!("attaching {name} to {interface}"))?;
    Ok(())
}
