//! The kernel's own copy of the programs, loaded as the daemon loads them and run one frame at a
//! time by BPF_PROG_TEST_RUN.
//!
//! The kernel gives such a run a frame with room to grow, which seems to have come in on the
//! loopback interface: that a driver leaves no room is not seen here, and [`can_run`] says what else
//! is not.

use std::any::Any;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues, RingBuf};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use aya::util::nr_cpus;
use aya::{Ebpf, Pod};
use nix::time::{ClockId, clock_gettime};
use tftp_ebpf::abi::registration::{ClassCounts, Gate, Registration, Sample, Sampling};
use tftp_ebpf::abi::trace::Slots;
use tftp_ebpf::abi::{
    Address, Budget, CounterBlock, Event, Interface, Lease, Policy, REASON_SLOTS, Transfer,
    TransferKey,
};
use tftp_ebpf::classify::{Class, Decision};
use tftp_ebpf::testing::site::IFINDEX;
use tftp_ebpf::testing::{Case, Classified, Outcome, Site, Transfers};
use tftp_ebpf::verdict::{Reason, Rung, Verdict};
use tftp_edge::kernel::Settings;
use tftp_edge::kernel::object::{KernelBanks, Object, Sizes, add_ring, client_key};
use tftp_edge::kernel::programs::{
    CLASSIFY_TC_PROGRAM, CLASSIFY_XDP_PROGRAM, HANDLE_TC_PROGRAM, HANDLE_XDP_PROGRAM, TC_PROGRAM,
    TELL_TC_PROGRAM, TELL_XDP_PROGRAM, TRACED_CLASSIFY_TC_PROGRAM, TRACED_CLASSIFY_XDP_PROGRAM,
    TRACED_TC_PROGRAM, TRACED_XDP_PROGRAM, XDP_PROGRAM, load_traced, program,
};
use tftp_edge::kernel::slabs::Slabs;

use crate::lab::{is_root, skipped};

/// Room for the longest answer.
const FRAME_MAX: usize = 4096;

/// The answer to `XDP_TX`, `XDP_PASS`, `XDP_DROP` and their like in `linux/bpf.h` and
/// `linux/pkt_cls.h`.
const fn action(rung: Rung, verdict: Verdict) -> u32 {
    match (rung, verdict) {
        (Rung::Xdp, Verdict::Answer) => 3,
        (Rung::Xdp, Verdict::Pass) => 2,
        (Rung::Xdp, Verdict::Drop) => 1,
        (_, Verdict::Answer) => 7,
        // TC_ACT_UNSPEC: on to the next program.
        (_, Verdict::Pass) => u32::MAX,
        (_, Verdict::Drop) => 2,
        (_, Verdict::Classify) => panic!("no action of its own"),
    }
}

/// Whether this process may load programs. Says so if not: what needs it is then left out.
pub fn may_load(what: &str) -> bool {
    let may = is_root();
    if !may {
        skipped(&format!(
            "{what}: root is needed to load the kernel program"
        ));
    }
    may
}

/// Whether a case can be run this way. The kernel builds no test frame that ends in its Ethernet
/// header, or for TC in its IP header, and all its frames can grow. The host's run of the table has
/// those cases.
pub fn can_run(rung: Rung, case: &Case) -> bool {
    let shortest = match (rung, case.frame.get(12..14)) {
        (Rung::Tc, Some([0x08, 0x00])) => 14 + 20,
        (Rung::Tc, Some([0x86, 0xdd])) => 14 + 40,
        _ => 14 + 1,
    };
    !case.before.stuck && case.frame.len() >= shortest
}

/// What a run did, and how long the kernel says it took.
#[derive(Clone, Debug)]
pub struct Run {
    pub outcome: Outcome,
    pub took: Duration,
}

/// Both programs with the site's content in their maps.
pub struct Programs {
    site: Site,
    ebpf: Ebpf,
    policy: Array<MapData, Policy>,
    lease: Array<MapData, Lease>,
    interfaces: HashMap<MapData, u32, Interface>,
    transfers: HashMap<MapData, TransferKey, Transfer>,
    budgets: HashMap<MapData, Address, Budget>,
    known: HashMap<MapData, Address, u64>,
    counters: PerCpuArray<MapData, CounterBlock>,
    events: RingBuf<MapData>,
    registration: Array<MapData, Registration>,
    gate: Array<MapData, Gate>,
    registered: HashMap<MapData, Address, u32>,
    classes: PerCpuArray<MapData, ClassCounts>,
    sampling: PerCpuArray<MapData, Sampling>,
    samples: RingBuf<MapData>,
    traced: HashMap<MapData, Address, Slots>,
    rings: OwnedFd,
    /// The programs that are run: for XDP, and for TC.
    entries: [&'static str; 2],
    /// The other maps: see [`load_traced`].
    _kept: Box<dyn Any>,
    /// Keeps the banks.
    _slabs: Slabs<KernelBanks>,
}

impl Programs {
    /// Loads the programs and publishes the site. Nothing is attached, and nothing is sent.
    pub fn load(site: &Site) -> anyhow::Result<Self> {
        let settings = Settings {
            max_names: 1024,
            max_transfers: 1024,
            ..Settings::default()
        };
        let mut object = Object::load(&settings, Sizes::default())?;
        for address in &site.locals {
            object.locals.insert(address, 1, 0)?;
        }
        for (address, bits, rule) in &site.clients {
            let key = client_key(*address, *bits);
            object.clients.insert(&key, *rule, 0)?;
        }
        for (name, entry) in site.directory() {
            object.files.insert(name, entry, 0)?;
        }
        for (place, service) in &site.services {
            let services = &mut object.registrations.services;
            services.insert(place, u32::from(*service), 0)?;
        }
        let mut slabs = Slabs::new(object.banks, settings.max_banks());
        let extent = slabs
            .allocate(site.content.len() as u64)?
            .context("room for the site")?;
        ensure!(
            extent.position == 0,
            "the first extent is at {}",
            extent.position
        );
        slabs.write(extent, &site.content);
        let mut ebpf = object.ebpf;
        Ok(Self {
            site: site.clone(),
            _kept: Box::new((
                object.locals,
                object.clients,
                object.files,
                object.registrations.services,
                object.counters.latency,
                object.counters.events_lost,
                object.traces.lost,
            )),
            traced: object.traces.traced,
            rings: object.traces.rings,
            entries: [XDP_PROGRAM, TC_PROGRAM],
            policy: object.policy,
            lease: object.lease,
            interfaces: object.interfaces,
            transfers: Map::LruHashMap(object.transfers).try_into()?,
            budgets: Map::LruHashMap(object.budgets).try_into()?,
            known: ebpf.take_map("KNOWN").context("KNOWN")?.try_into()?,
            counters: object.counters.blocks,
            events: object.events,
            registration: object.registrations.registration,
            gate: ebpf.take_map("GATE").context("GATE")?.try_into()?,
            registered: object.registrations.registered,
            classes: object.registrations.classes,
            sampling: object.registrations.sampling,
            samples: object.registrations.samples,
            ebpf,
            _slabs: slabs,
        })
    }

    /// Puts the maps into the state that a case begins with.
    pub fn set_up(&mut self, case: &Case) -> anyhow::Result<()> {
        let before = &case.before;
        clear(&mut self.transfers)?;
        clear(&mut self.budgets)?;
        clear(&mut self.known)?;
        while self.events.next().is_some() {}
        self.policy.set(0, before.policy(&self.site), 0)?;
        match before.interface(&self.site) {
            Some(interface) => self.interfaces.insert(IFINDEX, interface, 0)?,
            // May not have been there.
            None => drop(self.interfaces.remove(&IFINDEX)),
        }
        let now = monotonic_ns()?;
        self.lease.set(0, before.lease(now), 0)?;
        if let Some(budget) = before.budget(&self.site, now) {
            self.budgets.insert(case.source, budget, 0)?;
        }
        if before.known {
            self.known.insert(case.source, now, 0)?;
        }
        clear(&mut self.registered)?;
        if before.registered {
            self.registered.insert(case.address, 1, 0)?;
        }
        let registration = before.registration(&self.site);
        self.registration.set(0, registration, 0)?;
        self.gate.set(0, before.gate(&self.site, now), 0)?;
        let sampling = before.sampling(now);
        let per_cpu =
            vec![sampling; nr_cpus().map_err(|(what, error)| anyhow!("{what}: {error}"))?];
        self.sampling.set(0, PerCpuValues::try_from(per_cpu)?, 0)?;
        self.forget_samples();
        if let Some(standing) = &before.standing {
            self.transfers.insert(standing.key, standing.at(now), 0)?;
        }
        Ok(())
    }

    /// What is in `TRANSFERS`.
    pub fn transfers(&self) -> anyhow::Result<Transfers> {
        Ok(self.transfers.iter().collect::<Result<_, _>>()?)
    }

    /// What is in `BUDGETS`.
    pub fn budgets(&self) -> anyhow::Result<std::collections::HashMap<Address, Budget>> {
        Ok(self.budgets.iter().collect::<Result<_, _>>()?)
    }

    /// Runs one frame through the program of a rung.
    pub fn run(&mut self, rung: Rung, frame: &[u8]) -> anyhow::Result<Run> {
        let [xdp, tc] = self.entries;
        let before = self.reasons(rung)?;
        let (classes_before, gate_before) = (self.classes(rung)?, self.gate.get(&0, 0)?);
        let mut out = vec![0; FRAME_MAX];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ..TestRunOptions::new()
        };
        let began = monotonic_ns()?;
        let result = match rung {
            Rung::Xdp => program::<Xdp>(&mut self.ebpf, xdp)?.test_run(options)?,
            Rung::Tc => program::<SchedClassifier>(&mut self.ebpf, tc)?.test_run(options)?,
            Rung::Socket => bail!("sockets have no program"),
        };
        let ran_ns = began..=monotonic_ns()?;
        out.truncate(result.data_size_out as usize);
        let reason = given(&before, &self.reasons(rung)?)?;
        let classified = self.classified(rung, &classes_before, gate_before)?;
        let verdict = match &classified {
            Some(classified) if classified.decision == Decision::Drop => Verdict::Drop,
            Some(_) => Verdict::Pass,
            None => reason.verdict(),
        };
        ensure!(
            result.return_value == action(rung, verdict),
            "{reason:?} ended in action {}",
            result.return_value
        );
        let mut events = Vec::new();
        while let Some(item) = self.events.next() {
            ensure!(
                item.len() == size_of::<Event>(),
                "an event of {} bytes",
                item.len()
            );
            // SAFETY: as long as an event, which is valid for every bit pattern.
            events.push(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
        }
        Ok(Run {
            outcome: Outcome {
                rung,
                reason,
                ran_ns,
                frame: out,
                transfers: self.transfers()?,
                budgets: self.budgets()?,
                events,
                classified,
            },
            took: result.duration,
        })
    }

    /// Nanoseconds that a run of the program of a rung takes, on average over `repeat` runs.
    pub fn time(&mut self, rung: Rung, frame: &[u8], repeat: u32) -> anyhow::Result<f64> {
        let [xdp, tc] = self.entries;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.repeat = repeat;
        let result = match rung {
            Rung::Xdp => program::<Xdp>(&mut self.ebpf, xdp)?.test_run(options)?,
            Rung::Tc => program::<SchedClassifier>(&mut self.ebpf, tc)?.test_run(options)?,
            Rung::Socket => bail!("sockets have no program"),
        };
        Ok(result.duration.as_nanos() as f64)
    }

    /// Empties the ring buffer of samples.
    pub fn forget_samples(&mut self) {
        while self.samples.next().is_some() {}
    }

    /// How often each reason was given on a rung.
    fn reasons(&self, rung: Rung) -> anyhow::Result<[u64; REASON_SLOTS]> {
        let mut sum = [0; REASON_SLOTS];
        for block in self.counters.get(&(rung as u32), 0)?.iter() {
            for (sum, count) in sum.iter_mut().zip(&block.reasons) {
                *sum += count;
            }
        }
        Ok(sum)
    }

    /// Packets by class and decision on a rung.
    fn classes(&self, rung: Rung) -> anyhow::Result<ClassCounts> {
        let mut sum = ClassCounts::ZERO;
        for counts in self.classes.get(&(rung as u32), 0)?.iter() {
            sum.add(counts);
        }
        Ok(sum)
    }

    /// From now on the programs that trace are run. What they tell comes by the ring.
    pub fn trace(&mut self) -> anyhow::Result<RingBuf<MapData>> {
        load_traced(&mut self.ebpf)?;
        self.entries = [TRACED_XDP_PROGRAM, TRACED_TC_PROGRAM];
        Ok(add_ring(self.rings.as_fd(), 0)?)
    }

    /// From now on the packets of this address are traced, and no others.
    pub fn trace_only(&mut self, address: Option<Address>) -> anyhow::Result<()> {
        clear(&mut self.traced)?;
        match address {
            Some(address) => Ok(self.traced.insert(address, 1, 0)?),
            None => Ok(()),
        }
    }

    /// What the second program did with the last frame, if it got there.
    fn classified(
        &mut self,
        rung: Rung,
        before: &ClassCounts,
        gate_before: Gate,
    ) -> anyhow::Result<Option<Classified>> {
        let after = self.classes(rung)?;
        let mut counted = Vec::new();
        for class in Class::ALL {
            for decision in Decision::ALL {
                let times = after.of(class, decision) - before.of(class, decision);
                ensure!(times <= 1, "{class:?} was counted {times} times");
                counted.extend((times == 1).then_some((class, decision)));
            }
        }
        let sampling = self.sampling.get(&0, 0)?;
        let skipped = sampling.iter().map(|it| it.skipped).sum();
        let mut samples = Vec::new();
        while let Some(record) = self.samples.next() {
            samples.push(sample(&record)?);
        }
        ensure!(
            counted.len() <= 1 && samples.len() <= counted.len(),
            "counted as {counted:?}, and told {} times",
            samples.len()
        );
        let gate = self.gate.get(&0, 0)?;
        let classified = counted.pop().map(|(class, decision)| Classified {
            class,
            decision,
            gate_before,
            gate,
            sample: samples.pop(),
            skipped,
        });
        ensure!(
            classified.is_some() || gate == gate_before,
            "the gate was changed by a packet of no registration"
        );
        Ok(classified)
    }

    /// Instructions the verifier walked for each program, those that trace too, by name; `None`
    /// before Linux 5.16.
    pub fn verified_instructions(&mut self) -> anyhow::Result<Vec<(&'static str, Option<u32>)>> {
        let mut counts = Vec::new();
        load_traced(&mut self.ebpf)?;
        for name in [
            XDP_PROGRAM,
            CLASSIFY_XDP_PROGRAM,
            TRACED_XDP_PROGRAM,
            TRACED_CLASSIFY_XDP_PROGRAM,
            HANDLE_XDP_PROGRAM,
            TELL_XDP_PROGRAM,
        ] {
            let info = program::<Xdp>(&mut self.ebpf, name)?.info()?;
            counts.push((name, info.verified_instruction_count()));
        }
        for name in [
            TC_PROGRAM,
            CLASSIFY_TC_PROGRAM,
            TRACED_TC_PROGRAM,
            TRACED_CLASSIFY_TC_PROGRAM,
            HANDLE_TC_PROGRAM,
            TELL_TC_PROGRAM,
        ] {
            let info = program::<SchedClassifier>(&mut self.ebpf, name)?.info()?;
            counts.push((name, info.verified_instruction_count()));
        }
        Ok(counts)
    }
}

/// A record of the ring buffer, which ends with its head.
fn sample(record: &[u8]) -> anyhow::Result<Sample> {
    let mut sample = Sample::EMPTY;
    ensure!(
        (Sample::FIXED_LEN..=size_of::<Sample>()).contains(&record.len()),
        "a sample of {} bytes",
        record.len()
    );
    // SAFETY: the record is no longer than a sample, which is valid for every bit pattern.
    unsafe {
        let place = (&raw mut sample).cast::<u8>();
        place.copy_from_nonoverlapping(record.as_ptr(), record.len());
    }
    ensure!(
        record.len() == Sample::FIXED_LEN + usize::from(sample.head_len),
        "a sample of {} bytes with a head of {}",
        record.len(),
        sample.head_len
    );
    Ok(sample)
}

/// The one reason that was counted once more.
fn given(before: &[u64], after: &[u64]) -> anyhow::Result<Reason> {
    let mut given = Reason::ALL
        .into_iter()
        .filter(|reason| after[*reason as usize] != before[*reason as usize]);
    let (Some(reason), None) = (given.next(), given.next()) else {
        bail!("not one reason was counted");
    };
    let times = after[reason as usize] - before[reason as usize];
    ensure!(times == 1, "{reason:?} was counted {times} times");
    Ok(reason)
}

fn clear<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>) -> anyhow::Result<()> {
    let keys: Vec<K> = map.keys().collect::<Result<_, _>>()?;
    for key in keys {
        map.remove(&key)?;
    }
    Ok(())
}

/// The clock of `bpf_ktime_get_ns`.
fn monotonic_ns() -> anyhow::Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    Ok(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
}
