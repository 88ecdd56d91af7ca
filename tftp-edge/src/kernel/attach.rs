//! The ladder on one interface: native XDP with TC behind it, else TC alone, else nothing.

use aya::Ebpf;
use aya::programs::tc::{SchedClassifierLinkId, TcAttachType};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{SchedClassifier, Xdp, XdpMode};

use super::error::Error;
use super::host;
use super::privileges::{self, Call};
use super::programs::{TC_PROGRAM, TRACED_TC_PROGRAM, TRACED_XDP_PROGRAM, XDP_PROGRAM, program};
use super::settings::Ladder;
use super::snapshot::{InterfaceStatus, Mode};

/// The program on one interface.
#[derive(Debug)]
pub struct Attachment {
    pub status: InterfaceStatus,
    /// Each with the program that has the link.
    xdp: Option<(XdpLinkId, &'static str)>,
    tc: Option<(SchedClassifierLinkId, &'static str)>,
}

impl Attachment {
    /// Climbs as far as `ladder` allows and the interface lets us.
    pub fn climb(ebpf: &mut Ebpf, interface: &str, ladder: Ladder) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let Some(ifindex) = host::index_of(interface) else {
            return Ok(Self::nothing(interface, "there is no such interface"));
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
        let tc = match attach_tc(ebpf, interface)? {
            Ok(link) => Some(link),
            Err(problem) => {
                problems.push(format!("TC: {problem}"));
                None
            }
        };
        let xdp = if try_xdp && tc.is_some() {
            match attach_xdp(ebpf, ifindex)? {
                Ok(link) => Some(link),
                Err(problem) => {
                    problems.push(format!("native XDP: {problem}"));
                    None
                }
            }
        } else {
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
        let has_tc = self.status.mode != Mode::Off;
        if has_tc && self.tc.is_none() {
            let link = attached(attach_tc(ebpf, &interface), &interface, "tc");
            self.tc = link.map(|link| (link, TC_PROGRAM));
        }
        if self.status.mode == Mode::Xdp
            && self.xdp.is_none()
            && let Some(ifindex) = host::index_of(&interface)
        {
            let link = attached(attach_xdp(ebpf, ifindex), &interface, "xdp");
            self.xdp = link.map(|link| (link, XDP_PROGRAM));
        }
    }

    /// Takes the programs off again. The order is the reverse of attaching.
    pub fn detach(&mut self, ebpf: &mut Ebpf) {
        if let Some((link, name)) = self.xdp.take()
            && let Ok(program) = program::<Xdp>(ebpf, name)
            && let Err(error) = program.detach(link)
        {
            tracing::warn!(event = "kernel.detach_failed", interface = %self.status.name, %error, rung = "xdp", "the kernel program could not be detached");
        }
        if let Some((link, name)) = self.tc.take()
            && let Ok(program) = program::<SchedClassifier>(ebpf, name)
            && let Err(error) = program.detach(link)
        {
            tracing::warn!(event = "kernel.detach_failed", interface = %self.status.name, %error, rung = "tc", "the kernel program could not be detached");
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
type Rung<L> = Result<Result<L, String>, Error>;

/// The link, or a word about why there is none any more.
fn attached<L>(link: Rung<L>, interface: &str, rung: &str) -> Option<L> {
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

fn attach_xdp(ebpf: &mut Ebpf, ifindex: u32) -> Rung<XdpLinkId> {
    let program: &mut Xdp = program(ebpf, XDP_PROGRAM)?;
    Ok(program
        .attach_to_if_index(ifindex, XdpMode::Driver)
        .map_err(|error| reason(&error)))
}

fn attach_tc(ebpf: &mut Ebpf, interface: &str) -> Rung<SchedClassifierLinkId> {
    let program: &mut SchedClassifier = program(ebpf, TC_PROGRAM)?;
    let first = match program.attach(interface, TcAttachType::Ingress) {
        Ok(link) => return Ok(Ok(link)),
        Err(error) => error,
    };
    // Before Linux 6.6 a classifier needs a clsact qdisc; that there is one already is fine.
    if aya::programs::tc::qdisc_add_clsact(interface).is_err() {
        return Ok(Err(reason(&first)));
    }
    Ok(program
        .attach(interface, TcAttachType::Ingress)
        .map_err(|error| reason(&error)))
}

/// The error with everything behind it, in one line; and if it is one of missing rights, why.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
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
