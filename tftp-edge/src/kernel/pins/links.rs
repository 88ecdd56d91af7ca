//! Links that outlive the daemon: taking one over, and pinning a new one.

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::tc::{SchedClassifierLink, SchedClassifierLinkId};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, SchedClassifier, Xdp};
use tftp_ebpf::verdict::Rung;

use super::object::Kind;
use super::{Pinned, Pins};
use crate::kernel::attach::reason;

/// A program that has links.
pub trait Linked {
    const RUNG: Rung;
    type Id;
    type Link: TryFrom<FdLink> + TryInto<FdLink>;

    fn take(&mut self, id: Self::Id) -> Result<Self::Link, ProgramError>;
    /// Puts this program in the place of the one that the link has, in one step.
    fn take_over(&mut self, link: Self::Link) -> Result<Self::Id, ProgramError>;
}

impl Linked for Xdp {
    const RUNG: Rung = Rung::Xdp;
    type Id = XdpLinkId;
    type Link = XdpLink;

    fn take(&mut self, id: XdpLinkId) -> Result<XdpLink, ProgramError> {
        self.take_link(id)
    }

    fn take_over(&mut self, link: XdpLink) -> Result<XdpLinkId, ProgramError> {
        self.attach_to_link(link)
    }
}

impl Linked for SchedClassifier {
    const RUNG: Rung = Rung::Tc;
    type Id = SchedClassifierLinkId;
    type Link = SchedClassifierLink;

    fn take(&mut self, id: SchedClassifierLinkId) -> Result<SchedClassifierLink, ProgramError> {
        self.take_link(id)
    }

    fn take_over(
        &mut self,
        link: SchedClassifierLink,
    ) -> Result<SchedClassifierLinkId, ProgramError> {
        self.attach_to_link(link)
    }
}

/// Puts the program in the place of the one that a daemon before left at an interface, if it did.
pub fn adopt<P: Linked>(
    program: &mut P,
    pins: &Pins,
    interface: &str,
    ifindex: u32,
) -> Option<P::Id> {
    let path = pins.link(interface, P::RUNG);
    if !path.exists() {
        return None;
    }
    let mut take_over = || {
        let pinned = Pinned::open(&path).map_err(|error| error.to_string())?;
        if pinned.kind != Kind::Link {
            return Err("it is no link".to_owned());
        }
        if pinned.ifindex() != Some(ifindex) {
            return Err("its interface is gone, or has another name now".to_owned());
        }
        let link = PinnedLink::from_pin(&path).map_err(|error| reason(&error))?;
        let link = P::Link::try_from(FdLink::from(link));
        let link = link.map_err(|_| "it is a link of another kind".to_owned())?;
        program.take_over(link).map_err(|error| reason(&error))
    };
    match take_over() {
        Ok(id) => Some(id),
        Err(why) => {
            pins.take_off_link(interface, P::RUNG, &why);
            None
        }
    }
}

/// Attaches a program by `attach`, and pins its link. One that cannot be pinned is attached all the
/// same: then it ends with the daemon.
pub fn attach_pinned<P: Linked>(
    program: &mut P,
    pins: &Pins,
    interface: &str,
    attach: impl Fn(&mut P) -> Result<P::Id, ProgramError>,
) -> Result<P::Id, ProgramError> {
    let id = attach(program)?;
    let link = program.take(id)?;
    let problem = match link.try_into() {
        Err(_) => "this kernel has no link for it".to_owned(),
        Ok(link) => match FdLink::pin(link, pins.link(interface, P::RUNG)) {
            Err(error) => reason(&error),
            Ok(pinned) => match P::Link::try_from(FdLink::from(pinned)) {
                Ok(link) => return program.take_over(link),
                Err(_) => "it is a link of another kind".to_owned(),
            },
        },
    };
    // The attempt has cost the link.
    pins.end_link(interface, P::RUNG);
    let what = format!("the {} program at {interface}", P::RUNG.as_str());
    pins.failed(&what, &problem);
    attach(program)
}
