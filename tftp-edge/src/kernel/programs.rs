//! The programs of the object: their names, what follows on what, and loading them.

use aya::Ebpf;
use aya::maps::ProgramArray;
use aya::programs::{ProgramError, ProgramFd, SchedClassifier, Xdp};
use tftp_ebpf::trace::Next;

use super::error::Error;
use super::settings::Ladder;
use super::verifier;

pub const XDP_PROGRAM: &str = "tftp_edge_xdp";
pub const TC_PROGRAM: &str = "tftp_edge_tc";
/// What they hand registration packets to, and the maps by which they do.
pub const CLASSIFY_XDP_PROGRAM: &str = "tftp_edge_classify_xdp";
pub const CLASSIFY_TC_PROGRAM: &str = "tftp_edge_classify_tc";
const NEXT_XDP_MAP: &str = "NEXT_XDP";
const NEXT_TC_MAP: &str = "NEXT_TC";
/// What takes their places while a trace runs, and what follows on it.
pub const TRACED_XDP_PROGRAM: &str = "tftp_edge_xdp_traced";
pub const TRACED_TC_PROGRAM: &str = "tftp_edge_tc_traced";
pub const TRACED_CLASSIFY_XDP_PROGRAM: &str = "tftp_edge_classify_xdp_traced";
pub const TRACED_CLASSIFY_TC_PROGRAM: &str = "tftp_edge_classify_tc_traced";
pub const HANDLE_XDP_PROGRAM: &str = "tftp_edge_handle_xdp_traced";
pub const HANDLE_TC_PROGRAM: &str = "tftp_edge_handle_tc_traced";
pub const TELL_XDP_PROGRAM: &str = "tftp_edge_tell_xdp";
pub const TELL_TC_PROGRAM: &str = "tftp_edge_tell_tc";

/// All programs of the object.
#[cfg(test)]
pub(super) const NAMES: [&str; 12] = [
    XDP_PROGRAM,
    TC_PROGRAM,
    CLASSIFY_XDP_PROGRAM,
    CLASSIFY_TC_PROGRAM,
    TRACED_XDP_PROGRAM,
    TRACED_TC_PROGRAM,
    TRACED_CLASSIFY_XDP_PROGRAM,
    TRACED_CLASSIFY_TC_PROGRAM,
    HANDLE_XDP_PROGRAM,
    HANDLE_TC_PROGRAM,
    TELL_XDP_PROGRAM,
    TELL_TC_PROGRAM,
];

/// Programs that are loaded together: the two that are attached, and those that follow on them under
/// XDP and under TC, with their places in the arrays.
struct Set {
    xdp: &'static str,
    tc: &'static str,
    following: &'static [(Next, &'static str, &'static str)],
}

const PLAIN: Set = Set {
    xdp: XDP_PROGRAM,
    tc: TC_PROGRAM,
    following: &[
        (Next::Classify, CLASSIFY_XDP_PROGRAM, CLASSIFY_TC_PROGRAM),
        (Next::Handle, XDP_PROGRAM, TC_PROGRAM),
    ],
};

const TRACED: Set = Set {
    xdp: TRACED_XDP_PROGRAM,
    tc: TRACED_TC_PROGRAM,
    following: &[
        (
            Next::ClassifyTraced,
            TRACED_CLASSIFY_XDP_PROGRAM,
            TRACED_CLASSIFY_TC_PROGRAM,
        ),
        (Next::HandleTraced, HANDLE_XDP_PROGRAM, HANDLE_TC_PROGRAM),
        (Next::Tell, TELL_XDP_PROGRAM, TELL_TC_PROGRAM),
    ],
};

/// Loads the programs that are there while no trace runs. Where the ladder has no XDP, its programs
/// are not loaded: the verifier takes as long with them as with those of TC.
pub(super) fn load_plain(ebpf: &mut Ebpf, ladder: Ladder) -> Result<(), Error> {
    let has_xdp = matches!(ladder, Ladder::Auto | Ladder::Xdp);
    load_all(ebpf, &PLAIN, has_xdp)
}

/// Loads the programs that trace, once, on the rungs that [`load_plain`] has loaded: the object has
/// brought them along, and until the first trace the kernel knows nothing of them. They refer to the
/// maps by their descriptors: none of the maps of an [`Object`](super::object::Object) may be closed
/// before.
pub fn load_traced(ebpf: &mut Ebpf) -> Result<(), Error> {
    let has_xdp = program::<Xdp>(ebpf, PLAIN.xdp)?.fd().is_ok();
    load_all(ebpf, &TRACED, has_xdp)
}

fn load_all(ebpf: &mut Ebpf, set: &Set, has_xdp: bool) -> Result<(), Error> {
    if has_xdp {
        let following = set.following.iter().map(|&(place, xdp, _)| (place, xdp));
        load_rung::<Xdp>(ebpf, set.xdp, following, NEXT_XDP_MAP, Xdp::load)?;
    }
    let following = set.following.iter().map(|&(place, _, tc)| (place, tc));
    let load = SchedClassifier::load;
    load_rung::<SchedClassifier>(ebpf, set.tc, following, NEXT_TC_MAP, load)
}

/// Loads the program that is attached and those that follow on it, and puts these in their places.
fn load_rung<P: Follows>(
    ebpf: &mut Ebpf,
    attached: &'static str,
    following: impl Iterator<Item = (Next, &'static str)>,
    map: &'static str,
    load: fn(&mut P) -> Result<(), ProgramError>,
) -> Result<(), Error>
where
    for<'ebpf> &'ebpf mut P: TryFrom<&'ebpf mut aya::programs::Program>,
{
    let load = |ebpf: &mut Ebpf, name| {
        let program = program(ebpf, name)?;
        verifier::load(|| load(program)).map_err(|error| {
            tracing::debug!(%error, "the kernel refused {name}");
            Error::Load(error.into())
        })
    };
    load(ebpf, attached)?;
    for (place, name) in following {
        if name != attached {
            load(ebpf, name)?;
        }
        let descriptor = program::<P>(ebpf, name)?.descriptor();
        place_in(ebpf, map, place, descriptor)?;
    }
    Ok(())
}

/// A program that another can go on to.
trait Follows {
    fn descriptor(&self) -> Result<ProgramFd, ProgramError>;
}

impl Follows for Xdp {
    fn descriptor(&self) -> Result<ProgramFd, ProgramError> {
        Ok(self.fd()?.try_clone()?)
    }
}

impl Follows for SchedClassifier {
    fn descriptor(&self) -> Result<ProgramFd, ProgramError> {
        Ok(self.fd()?.try_clone()?)
    }
}

/// Lets go of the programs that trace, which a daemon before has loaded. None of ours leads to them
/// before [`load_traced`].
pub(super) fn forget_traced(ebpf: &mut Ebpf) {
    for map in [NEXT_XDP_MAP, NEXT_TC_MAP] {
        let array = ebpf.map_mut(map).map(ProgramArray::try_from);
        let Some(Ok(mut array)) = array else {
            continue;
        };
        for (place, ..) in TRACED.following {
            // Most are empty.
            let _ = array.clear_index(&(*place as u32));
        }
    }
}

/// Puts a program where others find it that go on to it. The array stays with `ebpf`: the kernel
/// empties one that no process holds.
fn place_in(
    ebpf: &mut Ebpf,
    map: &'static str,
    place: Next,
    descriptor: Result<ProgramFd, ProgramError>,
) -> Result<(), Error> {
    let descriptor = descriptor.map_err(|error| Error::map(map, "written", error))?;
    let array = ebpf.map_mut(map).ok_or(Error::Object(map))?;
    let mut array = ProgramArray::try_from(array).map_err(|_| Error::Object(map))?;
    array
        .set(place as u32, &descriptor, 0)
        .map_err(|error| Error::map(map, "written", error))
}

pub fn program<'ebpf, P>(ebpf: &'ebpf mut Ebpf, name: &'static str) -> Result<&'ebpf mut P, Error>
where
    &'ebpf mut P: TryFrom<&'ebpf mut aya::programs::Program>,
{
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(Error::Object(name))
}
