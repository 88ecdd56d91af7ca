//! The ladder on one interface: native XDP with TC behind it, else TC alone, else nothing.

use std::sync::Arc;

use aya::Ebpf;
use aya::programs::tc::{SchedClassifierLinkId, TcAttachType};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{ProgramError, SchedClassifier, Xdp, XdpMode};
use tftp_ebpf::verdict::Rung;

use super::error::Error;
use super::host;
use super::pins::{self, Linked, Pins};
use super::privileges::{self, Call};
use super::programs::{TC_PROGRAM, TRACED_TC_PROGRAM, TRACED_XDP_PROGRAM, XDP_PROGRAM, program};
use super::settings::Ladder;
use super::snapshot::{InterfaceStatus, Mode};

/// The program on one interface.
#[derive(Debug)]
pub struct Attachment {
    pub status: InterfaceStatus,
    /// Where the links are pinned, if they are.
    pins: Option<Arc<Pins>>,
    /// Each with the program that has the link.
    xdp: Option<(XdpLinkId, &'static str)>,
    tc: Option<(SchedClassifierLinkId, &'static str)>,
}

impl Attachment {
    /// Climbs as far as `ladder` allows and the interface lets us. Where a daemon before has left
    /// its programs at the interface, these take their places in one step. With `pins`, what is
    /// attached stays so when this process ends.
    pub fn climb(
        ebpf: &mut Ebpf,
        interface: &str,
        ladder: Ladder,
        pins: Option<&Arc<Pins>>,
    ) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let Some(ifindex) = host::index_of(interface) else {
            return Ok(Self::nothing(interface, "there is no such interface"));
        };
        let place = Place {
            interface,
            ifindex,
            pins: pins.map(Arc::as_ref),
        };
        // On veth a transmitted frame is lost unless the other end runs an XDP program too, and
        // whether it does cannot be seen from here.
        let is_veth = host::driver_of(interface).as_deref() == Some("veth");
        let try_xdp = match ladder {
            Ladder::Auto if is_veth => {
                problems.push(
                    "veth transmits under XDP only to a peer with an XDP program: set \
                     kernel.mode = \"xdp\" if it has one"
                        .to_owned(),
                );
                false
            }
            Ladder::Auto | Ladder::Xdp => true,
            Ladder::Tc | Ladder::Off => false,
        };
        // TC first: between the two there must be no moment in which XDP hands on what nobody
        // behind it can grow.
        let tc = match attach_tc(ebpf, place)? {
            Ok(link) => Some(link),
            Err(problem) => {
                problems.push(format!("TC: {problem}"));
                None
            }
        };
        let xdp = if try_xdp && tc.is_some() {
            match attach_xdp(ebpf, place)? {
                Ok(link) => Some(link),
                Err(problem) => {
                    problems.push(format!("native XDP: {problem}"));
                    None
                }
            }
        } else {
            place.leave(Rung::Xdp, "of a rung that is not climbed any more");
            None
        };
        let mode = match (&xdp, &tc) {
            (Some(_), _) => Mode::Xdp,
            (None, Some(_)) => Mode::Tc,
            (None, None) => Mode::Off,
        };
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        let status = InterfaceStatus {
            name: interface.to_owned(),
            mode,
            problem,
        };
        Ok(Self {
            status,
            pins: pins.cloned(),
            xdp: xdp.map(|link| (link, XDP_PROGRAM)),
            tc: tc.map(|link| (link, TC_PROGRAM)),
        })
    }

    fn nothing(interface: &str, problem: &str) -> Self {
        let status = InterfaceStatus {
            name: interface.to_owned(),
            mode: Mode::Off,
            problem: Some(problem.to_owned()),
        };
        Self {
            status,
            pins: None,
            xdp: None,
            tc: None,
        }
    }

    /// Puts the programs that trace in the place of those that do not, or these back. The kernel
    /// exchanges the program of a link in one step: no packet meets none of them.
    pub fn exchange(&mut self, ebpf: &mut Ebpf, is_traced: bool) -> Result<(), Error> {
        let failed = |error: aya::programs::ProgramError| Error::Exchange(reason(&error));
        let (to_xdp, to_tc) = match is_traced {
            true => (TRACED_XDP_PROGRAM, TRACED_TC_PROGRAM),
            false => (XDP_PROGRAM, TC_PROGRAM),
        };
        if let Some((link, from)) = self.xdp.take_if(|(_, from)| *from != to_xdp) {
            let link = program::<Xdp>(ebpf, from)?
                .take_link(link)
                .map_err(failed)?;
            let link = program::<Xdp>(ebpf, to_xdp)?.attach_to_link(link);
            self.xdp = Some((link.map_err(failed)?, to_xdp));
        }
        if let Some((link, from)) = self.tc.take_if(|(_, from)| *from != to_tc) {
            let program_from: &mut SchedClassifier = program(ebpf, from)?;
            let link = program_from.take_link(link).map_err(failed)?;
            let link = program::<SchedClassifier>(ebpf, to_tc)?.attach_to_link(link);
            self.tc = Some((link.map_err(failed)?, to_tc));
        }
        Ok(())
    }

    /// Attaches anew what an exchange has lost: a link whose program could not be exchanged is gone.
    pub fn restore(&mut self, ebpf: &mut Ebpf) {
        let interface = self.status.name.clone();
        if let Err(error) = self.exchange(ebpf, false) {
            tracing::error!(event = "trace.not_detached", %interface, %error, "a program that traces could not be taken off");
        }
        let Some(ifindex) = host::index_of(&interface) else {
            return;
        };
        let place = Place {
            interface: &interface,
            ifindex,
            pins: self.pins.as_deref(),
        };
        if self.status.mode != Mode::Off && self.tc.is_none() {
            let link = attached(attach_tc(ebpf, place), &interface, "tc");
            self.tc = link.map(|link| (link, TC_PROGRAM));
        }
        if self.status.mode == Mode::Xdp && self.xdp.is_none() {
            let link = attached(attach_xdp(ebpf, place), &interface, "xdp");
            self.xdp = link.map(|link| (link, XDP_PROGRAM));
        }
    }

    /// Takes the programs off again. The order is the reverse of attaching.
    pub fn detach(&mut self, ebpf: &mut Ebpf) {
        for rung in [Rung::Xdp, Rung::Tc] {
            if let Some(pins) = &self.pins {
                pins.end_link(&self.status.name, rung);
            }
            if let Err(error) = self.close(ebpf, rung) {
                tracing::warn!(event = "kernel.detach_failed", interface = %self.status.name, %error, rung = rung.as_str(), "the kernel program could not be detached");
            }
        }
    }

    /// Leaves the programs where they are, for the daemon that comes next. Those whose links are not
    /// pinned end here.
    pub fn release(&mut self, ebpf: &mut Ebpf) {
        for rung in [Rung::Xdp, Rung::Tc] {
            // That it cannot be closed does not matter to whoever adopts it.
            let _ = self.close(ebpf, rung);
        }
    }

    fn close(&mut self, ebpf: &mut Ebpf, rung: Rung) -> Result<(), String> {
        let closed = |result: Result<(), ProgramError>| result.map_err(|error| reason(&error));
        match rung {
            Rung::Xdp => match self.xdp.take() {
                Some((link, name)) => {
                    let program: &mut Xdp = program(ebpf, name).map_err(|it| it.to_string())?;
                    closed(program.detach(link))
                }
                None => Ok(()),
            },
            Rung::Tc => match self.tc.take() {
                Some((link, name)) => {
                    let program: &mut SchedClassifier =
                        program(ebpf, name).map_err(|it| it.to_string())?;
                    closed(program.detach(link))
                }
                None => Ok(()),
            },
            Rung::Socket => Ok(()),
        }
    }
}

/// An interface, and where its links are pinned.
#[derive(Clone, Copy)]
struct Place<'place> {
    interface: &'place str,
    ifindex: u32,
    pins: Option<&'place Pins>,
}

impl Place<'_> {
    /// Takes over the link of a daemon before, or makes one by `attach`.
    fn attach<P: Linked>(
        self,
        program: &mut P,
        attach: impl Fn(&mut P) -> Result<P::Id, ProgramError>,
    ) -> Result<P::Id, ProgramError> {
        let Some(pins) = self.pins else {
            return attach(program);
        };
        if let Some(link) = pins::adopt(program, pins, self.interface, self.ifindex) {
            return Ok(link);
        }
        pins::attach_pinned(program, pins, self.interface, attach)
    }

    /// What a daemon before has left here is not to be here.
    fn leave(self, rung: Rung, why: &str) {
        if let Some(pins) = self.pins {
            pins.take_off_link(self.interface, rung, why);
        }
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
type Climbed<L> = Result<Result<L, String>, Error>;

/// The link, or a word about why there is none any more.
fn attached<L>(link: Climbed<L>, interface: &str, rung: &str) -> Option<L> {
    let problem = match link {
        Ok(Ok(link)) => return Some(link),
        Ok(Err(problem)) => problem,
        Err(error) => error.to_string(),
    };
    tracing::error!(
        event = "kernel.program_lost",
        interface,
        rung,
        problem,
        "the kernel program is gone, and cannot be attached again"
    );
    None
}

fn attach_xdp(ebpf: &mut Ebpf, place: Place<'_>) -> Climbed<XdpLinkId> {
    let program: &mut Xdp = program(ebpf, XDP_PROGRAM)?;
    let attach = |program: &mut Xdp| program.attach_to_if_index(place.ifindex, XdpMode::Driver);
    Ok(place
        .attach(program, attach)
        .map_err(|error| reason(&error)))
}

fn attach_tc(ebpf: &mut Ebpf, place: Place<'_>) -> Climbed<SchedClassifierLinkId> {
    let program: &mut SchedClassifier = program(ebpf, TC_PROGRAM)?;
    let attach =
        |program: &mut SchedClassifier| program.attach(place.interface, TcAttachType::Ingress);
    let first = match place.attach(program, attach) {
        Ok(link) => return Ok(Ok(link)),
        Err(error) => error,
    };
    // Before Linux 6.6 a classifier needs a clsact qdisc; that there is one already is fine.
    if aya::programs::tc::qdisc_add_clsact(place.interface).is_err() {
        return Ok(Err(reason(&first)));
    }
    Ok(place
        .attach(program, attach)
        .map_err(|error| reason(&error)))
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
