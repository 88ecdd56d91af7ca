//! The interfaces of the configuration over time: attached as soon as they are there, given up when
//! they are gone, and climbed anew when what was in the way has changed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::programs::{SchedClassifier, Xdp};
use tftp_ebpf::verdict::Rung;

use super::foreign::{self, Program};
use super::link::XdpProgram;
use super::netlink::Monitor;
use super::plan::{Device, Plan};
use super::refusal::explained;
use super::retry::Retry;
use super::table::Links;
use crate::kernel::attach::{Attachment, Refused};
use crate::kernel::error::Error;
use crate::kernel::follower::Entry;
use crate::kernel::host;
use crate::kernel::settings::{Ladder, Settings};
use crate::kernel::snapshot::{InterfaceStatus, Mode};

/// The least time between two attempts at one interface. An attempt may make the driver begin anew,
/// which is a change of the interface itself.
const ATTEMPT_LEAST: Duration = Duration::from_secs(1);

/// The least time between two looks at a device that has refused.
const LOOK_LEAST: Duration = Duration::from_millis(900);

/// What decides whether an attempt is worth while: one that failed is made again when this is not as it
/// was, or after a [`Retry`]'s wait.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ground {
    device: u32,
    /// Where XDP is to be, with MTU and programs of others.
    xdp: Vec<(u32, u32, Vec<XdpProgram>)>,
}

/// One interface of the configuration.
struct Standing {
    name: String,
    absent_since: Option<Instant>,
    plan: Option<Plan>,
    /// What the last attempt was made on, when, and what was refused.
    ground: Option<Ground>,
    attempted: Option<Instant>,
    refused: Vec<String>,
    retry: Retry,
    looked: Option<Instant>,
    /// Somebody has taken programs off this device: nothing is attached to it again unasked.
    taken_off: Option<(u32, String)>,
    /// Programs of others that see packets before ours, under TC.
    before_ours: Vec<Program>,
    /// An attempt waits for its time.
    is_due: bool,
    /// What the log was told last.
    told: Option<(Mode, Option<String>)>,
}

/// All interfaces of the configuration. Each has its [`Attachment`] at the same place of a list that
/// is kept beside the programs.
pub struct Interfaces {
    monitor: Monitor,
    ladder: Ladder,
    standings: Vec<Standing>,
}

impl Interfaces {
    pub fn new(settings: &Settings, monitor: Monitor) -> Self {
        Self {
            monitor,
            ladder: settings.mode,
            standings: settings
                .interfaces
                .iter()
                .map(|it| Standing::new(it))
                .collect(),
        }
    }

    /// Takes in what the kernel has told of interfaces; whether there is anything to do.
    pub fn poll(&mut self, now: Instant) -> bool {
        let changed = self.monitor.poll(now);
        let is_due = |it: &Standing| it.is_due && it.may_attempt(now);
        changed || self.standings.iter().any(is_due)
    }

    /// Every interface is tried once more, whatever it was like before.
    pub fn forget_failures(&mut self) {
        for standing in &mut self.standings {
            standing.ground = None;
            standing.attempted = None;
            standing.retry.forget();
            standing.taken_off = None;
        }
    }

    /// Brings the programs to where they belong now. With `is_traced`, those that trace.
    pub fn settle(
        &mut self,
        ebpf: &mut Ebpf,
        attachments: &mut [Attachment],
        is_traced: bool,
        now: Instant,
    ) -> Result<(), Error> {
        let gone = self.monitor.links_mut().take_gone();
        let ours = Attachment::program_ids::<Xdp>(ebpf);
        let ours_under_tc = Attachment::program_ids::<SchedClassifier>(ebpf);
        for (standing, attachment) in self.standings.iter_mut().zip(attachments) {
            if attachment.forget(ebpf, &gone) {
                // Also if another has its index already.
                standing.ground = None;
            }
            for device in standing.due(now) {
                self.monitor.refresh(device);
            }
            let links = self.monitor.links();
            let Some(link) = links.named(&standing.name) else {
                standing.lose(ebpf, attachment, now);
                continue;
            };
            let strips_tags = |name: &str| host::strips_tags(name).unwrap_or(false);
            let plan = Plan::new(links, link, self.ladder, &strips_tags);
            if standing.absent_since.take().is_some() {
                tracing::info!(event = "kernel.interface_back", interface = %standing.name, "an interface is there");
                standing.attempted = None;
            }
            let ground = Ground::of(&plan, links, &ours);
            standing.look_after(&plan.device, attachment.drop_detached(ebpf));
            if standing.is_worth(&plan, &ground, attachment, now) {
                if standing.may_attempt(now) {
                    standing.is_due = false;
                    standing.attempted = Some(now);
                    let refused = attachment.climb(ebpf, &plan)?;
                    // Somebody may have come a moment before us.
                    for it in &refused {
                        self.monitor.refresh(it.device.index);
                    }
                    let links = self.monitor.links();
                    let ground = Ground::of(&plan, links, &ours);
                    let is_taken = |device| ground.is_taken(device);
                    standing.retry.attempted(&refused, &is_taken, now);
                    standing.ground = Some(ground);
                    let explain = |it: &Refused| explained(it, links, &ours);
                    standing.refused = refused.iter().map(explain).collect();
                    if is_traced && let Err(error) = attachment.exchange(ebpf, true) {
                        tracing::error!(event = "trace.not_attached", interface = %standing.name, %error, "packets of an interface that came back are missing in the traces that run");
                        attachment.restore(ebpf);
                    }
                } else {
                    standing.is_due = true;
                }
            } else {
                standing.is_due = false;
                if attachment.is_at(&plan) {
                    standing.refused.clear();
                    standing.retry.forget();
                }
            }
            let before = foreign::tc_programs_before(plan.device.index, &ours_under_tc);
            standing.name_before(before);
            standing.plan = Some(plan);
            standing.tell(attachment.mode());
        }
        Ok(())
    }

    /// What the programs are to know of each interface they are at, by its index.
    pub fn entries(&self, attachments: &[Attachment]) -> HashMap<u32, Entry> {
        let mut entries = HashMap::new();
        for (standing, attachment) in self.standings.iter().zip(attachments) {
            let Some(plan) = &standing.plan else {
                continue;
            };
            let classifies = match attachment.mode() {
                Mode::Xdp => Rung::Xdp,
                Mode::Tc | Mode::Off => Rung::Tc,
            };
            enter(&mut entries, plan, classifies);
        }
        entries
    }

    /// Where to send what came in on an interface.
    pub fn way_out(&self, ifindex: u32) -> u32 {
        let plans = self.standings.iter().filter_map(|it| it.plan.as_ref());
        let mut ways = plans.filter_map(|plan| plan.way_out(ifindex));
        // A member may be named beside its bond.
        ways.find(|way| *way != ifindex).unwrap_or(ifindex)
    }

    pub fn statuses(&self, attachments: &[Attachment], now: Instant) -> Vec<InterfaceStatus> {
        let both = self.standings.iter().zip(attachments);
        both.map(|(standing, attachment)| standing.status(attachment, now))
            .collect()
    }
}

/// Enters the devices of one interface.
///
/// A member that is named beside its bond is entered by both. It is in reserve if either has it so. XDP
/// classifies if either has it there: it sees a packet before TC does.
fn enter(entries: &mut HashMap<u32, Entry>, plan: &Plan, classifies: Rung) {
    // A member that has no XDP is below the bond, and TC is not at it.
    for device in plan.xdp.iter().chain([&plan.device]) {
        let entry = Entry {
            mtu: device.mtu,
            is_in_use: device.is_in_use,
            classifies,
        };
        let merge = |it: &mut Entry| {
            it.is_in_use &= entry.is_in_use;
            if classifies == Rung::Xdp {
                it.classifies = Rung::Xdp;
            }
        };
        let entered = entries.entry(device.index).and_modify(merge);
        entered.or_insert(entry);
    }
}

impl Ground {
    /// Whether a program of another is where XDP is to be.
    fn is_taken(&self, device: u32) -> bool {
        let mut devices = self.xdp.iter();
        devices.any(|(index, _, others)| *index == device && !others.is_empty())
    }

    fn of(plan: &Plan, links: &Links, ours: &[u32]) -> Self {
        let device = |device: &Device| {
            let programs = links.get(device.index).map(|link| &*link.xdp);
            let programs = programs.unwrap_or_default().iter();
            let others = programs.filter(|it| !ours.contains(&it.id)).copied();
            (device.index, device.mtu, others.collect())
        };
        Self {
            device: plan.device.index,
            xdp: plan.xdp.iter().map(device).collect(),
        }
    }
}

impl Standing {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            absent_since: None,
            plan: None,
            ground: None,
            attempted: None,
            refused: Vec::new(),
            retry: Retry::default(),
            looked: None,
            taken_off: None,
            before_ours: Vec::new(),
            is_due: false,
            told: None,
        }
    }

    fn may_attempt(&self, now: Instant) -> bool {
        self.attempted
            .is_none_or(|at| now.saturating_duration_since(at) >= ATTEMPT_LEAST)
    }

    /// Devices that have refused, and may be free now: no message tells that a program of another was
    /// taken off by its link.
    fn due(&mut self, now: Instant) -> Vec<u32> {
        let is_time = |at: Instant| now.saturating_duration_since(at) >= LOOK_LEAST;
        let Some(ground) = &self.ground else {
            return Vec::new();
        };
        if self.refused.is_empty() || !self.looked.is_none_or(is_time) {
            return Vec::new();
        }
        self.looked = Some(now);
        ground.xdp.iter().map(|(device, ..)| *device).collect()
    }

    /// Whether the programs are not where they belong, and an attempt could have another end than
    /// the last one.
    fn is_worth(
        &self,
        plan: &Plan,
        ground: &Ground,
        attachment: &Attachment,
        now: Instant,
    ) -> bool {
        self.taken_off.is_none()
            && !attachment.is_at(plan)
            && (self.ground.as_ref() != Some(ground) || self.retry.is_due(now))
    }

    /// Somebody has taken programs off: that is not undone behind their back.
    fn look_after(&mut self, device: &Device, rungs: Vec<Rung>) {
        // Another interface under this name is nobody's wish.
        self.taken_off.take_if(|(index, _)| *index != device.index);
        if rungs.is_empty() {
            return;
        }
        let names: Vec<_> = rungs.iter().map(|rung| rung.as_str()).collect();
        let names = names.join(" and ");
        let problem = format!(
            "somebody has taken off {names}, as `tftp-edge detach --force` does; \
             `tftp-edge reload` attaches it again"
        );
        tracing::warn!(
            event = "kernel.taken_off", interface = %self.name, rung = names,
            "the kernel program was taken off an interface; a reload attaches it again"
        );
        self.taken_off = Some((device.index, problem));
    }

    /// The interface is not there, or not any more.
    fn lose(&mut self, ebpf: &mut Ebpf, attachment: &mut Attachment, now: Instant) {
        if self.absent_since.is_none() {
            self.absent_since = Some(now);
            tracing::warn!(
                event = "kernel.interface_absent", interface = %self.name,
                "there is no such interface; it is attached as soon as it is there"
            );
        }
        if self.plan.take().is_some() {
            // It may have another name now.
            attachment.detach(ebpf);
        }
        self.ground = None;
        self.taken_off = None;
        self.refused.clear();
        self.retry.forget();
        self.before_ours.clear();
        self.is_due = false;
        self.told = None;
    }

    fn name_before(&mut self, ids: Vec<u32>) {
        if !self
            .before_ours
            .iter()
            .map(|it| it.id)
            .eq(ids.iter().copied())
        {
            self.before_ours = ids.into_iter().map(Program::with_id).collect();
        }
    }

    /// Why a better rung is not in use.
    fn problem(&self) -> Option<String> {
        if self.absent_since.is_some() {
            let absent = "there is no such interface; it is attached as soon as it is there";
            return Some(absent.to_owned());
        }
        let planned = self.plan.iter().flat_map(|plan| &plan.problems);
        let taken_off = self.taken_off.iter().map(|(_, problem)| problem);
        joined(planned.chain(taken_off).chain(&self.refused))
    }

    fn notice(&self) -> Option<String> {
        let before = self.before_ours.iter().map(|program| {
            format!("the TC program {program} comes before ours and may take our packets")
        });
        let before: Vec<_> = before.collect();
        let planned = self.plan.iter().flat_map(|plan| &plan.notices);
        joined(planned.chain(&before))
    }

    /// The log has each state once.
    fn tell(&mut self, mode: Mode) {
        let state = Some((mode, self.problem()));
        if self.told == state {
            return;
        }
        self.told = state;
        tracing::info!(
            event = "kernel.attached", interface = %self.name,
            mode = mode.as_str(),
            problem = self.problem().as_deref().unwrap_or("none"),
            "kernel path"
        );
    }

    fn status(&self, attachment: &Attachment, now: Instant) -> InterfaceStatus {
        let since = |at: Instant| now.saturating_duration_since(at).as_secs();
        InterfaceStatus {
            name: self.name.clone(),
            mode: attachment.mode(),
            members: attachment.members(),
            problem: self.problem(),
            notice: self.notice(),
            absent_seconds: self.absent_since.map(since),
        }
    }
}

fn joined<'text>(texts: impl Iterator<Item = &'text String>) -> Option<String> {
    let texts: Vec<_> = texts.map(String::as_str).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::super::link::Link;
    use super::super::refusal::testing::{links, refused};
    use super::*;

    /// eth0 as it is to be served, and what its one attempt was made on.
    fn refused_once(os_error: i32, at: Instant) -> (Standing, Plan, Links) {
        let links = links(Vec::new());
        let link = links.get(4).unwrap();
        let plan = Plan::new(&links, link, Ladder::Auto, &|_| false);
        let mut standing = Standing::new("eth0");
        standing.ground = Some(Ground::of(&plan, &links, &[]));
        let refused = [refused(1500, os_error)];
        standing.retry.attempted(&refused, &|_| false, at);
        (standing, plan, links)
    }

    fn is_worth(standing: &Standing, plan: &Plan, links: &Links, now: Instant) -> bool {
        let nothing = Attachment::new("eth0", None);
        standing.is_worth(plan, &Ground::of(plan, links, &[]), &nothing, now)
    }

    #[test]
    fn a_refusal_that_may_pass_is_tried_again_after_a_while() {
        let now = Instant::now();
        let (standing, plan, links) = refused_once(libc::ENOMEM, now);
        assert!(!is_worth(&standing, &plan, &links, now));
        let later = now + Duration::from_secs(60);
        assert!(is_worth(&standing, &plan, &links, later));
        let (standing, plan, links) = refused_once(libc::EOPNOTSUPP, now);
        assert!(!is_worth(&standing, &plan, &links, later));
    }

    #[test]
    fn a_member_in_reserve_stays_so_when_it_is_named_beside_its_bond() {
        let mut links = Links::default();
        let bond = Link {
            index: 9,
            name: "bond0".to_owned(),
            kind: "bond".to_owned(),
            ..Link::default()
        };
        let member = |index, name: &str, is_in_reserve| Link {
            index,
            name: name.to_owned(),
            master: Some(9),
            is_in_reserve,
            ..Link::default()
        };
        links.put(bond);
        links.put(member(4, "eth0", false));
        links.put(member(5, "eth1", true));
        let plan = |name| Plan::new(&links, links.named(name).unwrap(), Ladder::Auto, &|_| false);
        // XDP is at the member by the bond, so that the member itself has TC alone.
        let named = [(plan("bond0"), Rung::Xdp), (plan("eth1"), Rung::Tc)];
        for order in [[0, 1], [1, 0]] {
            let mut entries = HashMap::new();
            for at in order {
                enter(&mut entries, &named[at].0, named[at].1);
            }
            let told = |index| {
                let entry: Entry = entries[&index];
                (entry.is_in_use, entry.classifies)
            };
            assert_eq!(told(9), (true, Rung::Xdp));
            assert_eq!(told(4), (true, Rung::Xdp));
            assert_eq!(told(5), (false, Rung::Xdp), "{order:?}");
        }
    }

    #[test]
    fn what_was_taken_off_stays_so_until_it_is_asked_for_or_another_is_there() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let (mut standing, plan, links) = refused_once(libc::ENOMEM, now);
        standing.look_after(&plan.device, vec![Rung::Xdp, Rung::Tc]);
        assert!(!is_worth(&standing, &plan, &links, later));
        let problem = standing.problem().unwrap();
        assert!(problem.contains("xdp and tc"), "{problem}");
        let other = Device {
            index: 5,
            ..plan.device.clone()
        };
        standing.look_after(&other, Vec::new());
        assert!(is_worth(&standing, &plan, &links, later));
    }
}
