//! The programs of one interface of the configuration, where they are attached: native XDP with TC
//! behind it, else TC alone, else nothing.
//!
//! Where they belong is decided by [`Plan`]. XDP of a bond is attached to its members.

use std::collections::HashSet;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::Arc;

use aya::Ebpf;
use aya::programs::tc::{SchedClassifierLinkId, TcAttachType};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{Program, ProgramError, SchedClassifier, Xdp, XdpMode};
use tftp_ebpf::verdict::Rung;

use super::error::Error;
use super::host;
use super::interfaces::{Device, Plan};
use super::object::fact_of;
use super::pins::{self, Linked, Pins};
use super::privileges::{self, Call};
use super::programs::{TC_PROGRAM, TRACED_TC_PROGRAM, TRACED_XDP_PROGRAM, XDP_PROGRAM, program};
use super::snapshot::Mode;

/// The programs of one interface.
#[derive(Debug)]
pub struct Attachment {
    interface: String,
    /// Where the links are pinned, if they are.
    pins: Option<Arc<Pins>>,
    tc: Option<Held<SchedClassifierLinkId>>,
    xdp: Vec<Held<XdpLinkId>>,
}

/// A link at a device.
#[derive(Debug)]
struct Held<L> {
    device: Device,
    /// With the program that has it. None if an exchange has lost it.
    link: Option<(L, &'static str)>,
    /// The link once more, if it is pinned: `aya` does not tell whether it is still attached.
    seen: Option<OwnedFd>,
}

/// A rung that could not be had at a device.
#[derive(Debug)]
pub struct Refused {
    pub rung: Rung,
    pub device: Device,
    pub reason: String,
    /// The kernel's own number for it.
    pub os_error: Option<i32>,
}

impl Attachment {
    /// Nothing yet. With `pins`, what will be attached stays so when this process ends.
    pub fn new(interface: &str, pins: Option<&Arc<Pins>>) -> Self {
        Self {
            interface: interface.to_owned(),
            pins: pins.cloned(),
            tc: None,
            xdp: Vec::new(),
        }
    }

    /// Moves the programs to where they belong, and returns what was refused. Where a daemon before
    /// has left its programs, these take their places in one step.
    pub fn climb(&mut self, ebpf: &mut Ebpf, plan: &Plan) -> Result<Vec<Refused>, Error> {
        let mut refused = Vec::new();
        // TC first: between the two there must be no moment in which XDP hands on what nobody
        // behind it can grow.
        if self
            .tc
            .as_ref()
            .is_none_or(|held| !held.is_at(&plan.device))
        {
            if let Some(held) = self.tc.take() {
                self.end::<SchedClassifier>(ebpf, held);
            }
            match self.attach::<SchedClassifier>(ebpf, &plan.device)? {
                Ok(held) => self.tc = Some(held),
                Err(no) => refused.push(no),
            }
        }
        let wanted: &[Device] = match &self.tc {
            Some(_) => &plan.xdp,
            None => &[],
        };
        let is_wanted = |held: &Held<XdpLinkId>| wanted.iter().any(|device| held.is_at(device));
        let (kept, left) = std::mem::take(&mut self.xdp)
            .into_iter()
            .partition(is_wanted);
        self.xdp = kept;
        for held in left {
            self.end::<Xdp>(ebpf, held);
        }
        for device in wanted {
            if self.xdp.iter().any(|held| held.is_at(device)) {
                continue;
            }
            match self.attach::<Xdp>(ebpf, device)? {
                Ok(held) => self.xdp.push(held),
                Err(no) => {
                    // The others would be taken off again: their drivers are left alone.
                    refused.push(no);
                    break;
                }
            }
        }
        // All devices or none: TC behind them must know whether XDP has seen a packet before.
        if self.xdp.len() < wanted.len() {
            for held in std::mem::take(&mut self.xdp) {
                self.end::<Xdp>(ebpf, held);
            }
        }
        Ok(refused)
    }

    /// Whether the programs are where they belong.
    pub fn is_at(&self, plan: &Plan) -> bool {
        self.tc
            .as_ref()
            .is_some_and(|held| held.is_at(&plan.device))
            && self.xdp.len() == plan.xdp.len()
            && plan
                .xdp
                .iter()
                .all(|device| self.xdp.iter().any(|held| held.is_at(device)))
    }

    pub fn mode(&self) -> Mode {
        match (self.xdp.is_empty(), &self.tc) {
            (false, _) => Mode::Xdp,
            (true, Some(_)) => Mode::Tc,
            (true, None) => Mode::Off,
        }
    }

    /// The links it has, by their devices.
    pub fn links(&self) -> impl Iterator<Item = (String, Rung)> {
        let tc = self.tc.iter().map(|held| (&held.device, Rung::Tc));
        let xdp = self.xdp.iter().map(|held| (&held.device, Rung::Xdp));
        tc.chain(xdp)
            .map(|(device, rung)| (device.name.clone(), rung))
    }

    /// The devices with XDP, where they are others than the interface itself.
    pub fn members(&self) -> Vec<String> {
        let names = self.xdp.iter().map(|held| &held.device.name);
        names
            .filter(|name| **name != self.interface)
            .cloned()
            .collect()
    }

    /// Lets go of what was attached to devices that are no more; returns whether anything was. The
    /// links have ended with them.
    pub fn forget(&mut self, ebpf: &mut Ebpf, gone: &HashSet<u32>) -> bool {
        let tc = self.tc.take_if(|held| gone.contains(&held.device.index));
        let is_gone = |held: &mut Held<XdpLinkId>| gone.contains(&held.device.index);
        let xdp: Vec<_> = self.xdp.extract_if(.., is_gone).collect();
        let is_any = tc.is_some() || !xdp.is_empty();
        for held in xdp {
            self.unpin::<Xdp>(&held.device);
            let _ = close::<Xdp>(ebpf, held);
        }
        if let Some(held) = tc {
            self.unpin::<SchedClassifier>(&held.device);
            let _ = close::<SchedClassifier>(ebpf, held);
        }
        is_any
    }

    /// Lets go of links that somebody has detached behind our back, and of what must not be there
    /// without them; returns the rungs that are gone by that. A link that is not pinned cannot be told.
    pub fn drop_detached(&mut self, ebpf: &mut Ebpf) -> Vec<Rung> {
        let mut rungs = Vec::new();
        if let Some(held) = self.tc.take_if(|held| held.is_detached()) {
            rungs.push(Rung::Tc);
            self.end::<SchedClassifier>(ebpf, held);
        }
        // As on the way up: no XDP without TC behind it, and on all devices or none.
        let is_off = !rungs.is_empty() || self.xdp.iter().any(Held::is_detached);
        if is_off && !self.xdp.is_empty() {
            rungs.insert(0, Rung::Xdp);
            for held in std::mem::take(&mut self.xdp) {
                self.end::<Xdp>(ebpf, held);
            }
        }
        rungs
    }

    /// Puts the programs that trace in the place of those that do not, or these back. The kernel
    /// exchanges the program of a link in one step: no packet meets none of them.
    pub fn exchange(&mut self, ebpf: &mut Ebpf, is_traced: bool) -> Result<(), Error> {
        for held in &mut self.xdp {
            exchange::<Xdp>(ebpf, held, is_traced)?;
        }
        match &mut self.tc {
            Some(held) => exchange::<SchedClassifier>(ebpf, held, is_traced),
            None => Ok(()),
        }
    }

    /// Attaches anew what an exchange has lost: a link whose program could not be exchanged is gone.
    pub fn restore(&mut self, ebpf: &mut Ebpf) {
        if let Err(error) = self.exchange(ebpf, false) {
            tracing::error!(event = "trace.not_detached", interface = %self.interface, %error, "a program that traces could not be taken off");
        }
        if let Some(held) = self.tc.take_if(|held| held.link.is_none()) {
            self.tc = restored(
                self.attach::<SchedClassifier>(ebpf, &held.device),
                &held.device,
            );
        }
        let lost: Vec<_> = self
            .xdp
            .extract_if(.., |held| held.link.is_none())
            .collect();
        for held in lost {
            let again = restored(self.attach::<Xdp>(ebpf, &held.device), &held.device);
            self.xdp.extend(again);
        }
    }

    /// Takes the programs off again. The order is the reverse of attaching.
    pub fn detach(&mut self, ebpf: &mut Ebpf) {
        for held in std::mem::take(&mut self.xdp) {
            self.end::<Xdp>(ebpf, held);
        }
        if let Some(held) = self.tc.take() {
            self.end::<SchedClassifier>(ebpf, held);
        }
    }

    /// Leaves the programs where they are, for the daemon that comes next. Those whose links are not
    /// pinned end here.
    pub fn release(&mut self, ebpf: &mut Ebpf) {
        // That one cannot be closed does not matter to whoever adopts it.
        for held in self.xdp.drain(..) {
            let _ = close::<Xdp>(ebpf, held);
        }
        if let Some(held) = self.tc.take() {
            let _ = close::<SchedClassifier>(ebpf, held);
        }
    }

    /// The numbers that the kernel has given to programs of ours that may be attached.
    pub fn program_ids<P: Kind>(ebpf: &mut Ebpf) -> Vec<u32>
    where
        for<'ebpf> &'ebpf mut P: TryFrom<&'ebpf mut Program>,
    {
        [P::PLAIN, P::TRACED]
            .iter()
            .filter_map(|name| program::<P>(ebpf, name).ok()?.id())
            .collect()
    }

    fn attach<P: Kind>(&self, ebpf: &mut Ebpf, device: &Device) -> Climbed<P::Id>
    where
        for<'ebpf> &'ebpf mut P: TryFrom<&'ebpf mut Program>,
    {
        let program: &mut P = program(ebpf, P::PLAIN)?;
        let attached = match &self.pins {
            None => program.attach_to(device),
            Some(pins) => match pins::adopt(program, pins, &device.name, device.index) {
                Some(link) => Ok(link),
                None => pins::attach_pinned(program, pins, &device.name, |program| {
                    program.attach_to(device)
                }),
            },
        };
        let pins = self.pins.as_ref();
        Ok(match attached {
            Ok(link) => Ok(Held {
                device: device.clone(),
                link: Some((link, P::PLAIN)),
                seen: pins.and_then(|pins| pins.open_link(&device.name, P::RUNG)),
            }),
            Err(error) => Err(Refused {
                rung: P::RUNG,
                device: device.clone(),
                reason: reason(&error),
                os_error: os_error(&error),
            }),
        })
    }

    fn unpin<P: Kind>(&self, device: &Device) {
        if let Some(pins) = &self.pins {
            pins.end_link(&device.name, P::RUNG);
        }
    }

    fn end<P: Kind>(&self, ebpf: &mut Ebpf, held: Held<P::Id>)
    where
        for<'ebpf> &'ebpf mut P: TryFrom<&'ebpf mut Program>,
    {
        let interface = held.device.name.clone();
        self.unpin::<P>(&held.device);
        if let Err(error) = close::<P>(ebpf, held) {
            tracing::warn!(event = "kernel.detach_failed", %interface, error, rung = P::RUNG.as_str(), "the kernel program could not be detached");
        }
    }
}

impl<L> Held<L> {
    fn is_at(&self, device: &Device) -> bool {
        self.device.index == device.index
    }

    /// Whether the link is at no device any more, though its own is still there.
    fn is_detached(&self) -> bool {
        let at = |seen: &OwnedFd| fact_of(seen.as_raw_fd(), "ifindex:");
        self.seen.as_ref().and_then(at) == Some(0) && host::name_of(self.device.index).is_some()
    }
}

/// A kind of program that is attached to interfaces.
pub trait Kind: Linked + Sized {
    const PLAIN: &'static str;
    const TRACED: &'static str;

    fn attach_to(&mut self, device: &Device) -> Result<Self::Id, ProgramError>;
    fn close(&mut self, link: Self::Id) -> Result<(), ProgramError>;
    /// None while it is not loaded.
    fn id(&self) -> Option<u32>;
}

impl Kind for Xdp {
    const PLAIN: &'static str = XDP_PROGRAM;
    const TRACED: &'static str = TRACED_XDP_PROGRAM;

    fn attach_to(&mut self, device: &Device) -> Result<XdpLinkId, ProgramError> {
        self.attach_to_if_index(device.index, XdpMode::Driver)
    }

    fn close(&mut self, link: XdpLinkId) -> Result<(), ProgramError> {
        self.detach(link)
    }

    fn id(&self) -> Option<u32> {
        self.info().ok().map(|info| info.id())
    }
}

impl Kind for SchedClassifier {
    const PLAIN: &'static str = TC_PROGRAM;
    const TRACED: &'static str = TRACED_TC_PROGRAM;

    fn attach_to(&mut self, device: &Device) -> Result<SchedClassifierLinkId, ProgramError> {
        let first = match self.attach(&device.name, TcAttachType::Ingress) {
            Ok(link) => return Ok(link),
            Err(error) => error,
        };
        // Before Linux 6.6 a classifier needs a clsact qdisc; that there is one already is fine.
        if aya::programs::tc::qdisc_add_clsact(&device.name).is_err() {
            return Err(first);
        }
        self.attach(&device.name, TcAttachType::Ingress)
    }

    fn close(&mut self, link: SchedClassifierLinkId) -> Result<(), ProgramError> {
        self.detach(link)
    }

    fn id(&self) -> Option<u32> {
        self.info().ok().map(|info| info.id())
    }
}

/// Takes off a TC program that a daemon before this one left behind. Before Linux 6.6 it is no link
/// that ends with its process: one that was killed goes on answering with what it knew.
pub fn remove_stale(interface: &str) {
    for program in [TC_PROGRAM, TRACED_TC_PROGRAM] {
        let removed =
            aya::programs::tc::qdisc_detach_program(interface, TcAttachType::Ingress, program);
        if removed.is_ok() {
            tracing::warn!(
                event = "kernel.leftover_removed",
                interface,
                "took off a TC program that a killed daemon had left"
            );
        }
    }
}

/// The outer error is ours; the inner one is the kernel's reason why this rung cannot be had.
type Climbed<L> = Result<Result<Held<L>, Refused>, Error>;

/// The link, or a word about why there is none any more.
fn restored<L>(attached: Climbed<L>, device: &Device) -> Option<Held<L>> {
    let (rung, problem) = match attached {
        Ok(Ok(held)) => return Some(held),
        Ok(Err(refused)) => (refused.rung.as_str(), refused.reason),
        Err(error) => ("none", error.to_string()),
    };
    tracing::error!(
        event = "kernel.program_lost",
        interface = %device.name,
        rung,
        problem,
        "the kernel program is gone, and cannot be attached again"
    );
    None
}

fn exchange<P: Kind>(ebpf: &mut Ebpf, held: &mut Held<P::Id>, is_traced: bool) -> Result<(), Error>
where
    for<'ebpf> &'ebpf mut P: TryFrom<&'ebpf mut Program>,
{
    let failed = |error: ProgramError| Error::Exchange(reason(&error));
    let to = match is_traced {
        true => P::TRACED,
        false => P::PLAIN,
    };
    let Some((link, from)) = held.link.take_if(|(_, from)| *from != to) else {
        return Ok(());
    };
    let link = program::<P>(ebpf, from)?.take(link).map_err(failed)?;
    let link = program::<P>(ebpf, to)?.take_over(link).map_err(failed)?;
    held.link = Some((link, to));
    Ok(())
}

fn close<P: Kind>(ebpf: &mut Ebpf, held: Held<P::Id>) -> Result<(), String>
where
    for<'ebpf> &'ebpf mut P: TryFrom<&'ebpf mut Program>,
{
    let Some((link, name)) = held.link else {
        return Ok(());
    };
    let program = program::<P>(ebpf, name).map_err(|error| error.to_string())?;
    program.close(link).map_err(|error| reason(&error))
}

/// The error with everything behind it, in one line; and if it is one of missing rights, why.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    if privileges::is_refusal(error) {
        return privileges::refused(Call::Attach, error);
    }
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The system's number behind an error.
fn os_error(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return error.raw_os_error();
        }
        next = error.source();
    }
    None
}
