//! Why a rung was refused, in words.

use tftp_ebpf::verdict::Rung;

use super::foreign;
use super::plan::XDP_MTU_BYTES;
use super::table::Links;
use crate::kernel::attach::Refused;

/// Why a rung was refused, and what to do: the kernel has only a number for it.
pub fn explained(refused: &Refused, links: &Links, ours: &[u32]) -> String {
    let Refused {
        rung,
        device,
        reason,
        ..
    } = refused;
    if *rung == Rung::Tc {
        return format!("TC: {reason}");
    }
    let link = links.get(device.index);
    if let Some(program) = link.and_then(|link| foreign::xdp_in_the_way(link, ours)) {
        return program;
    }
    let name = &device.name;
    let too_large = format!(
        "native XDP takes frames of one page, an MTU of at most {XDP_MTU_BYTES} bytes: \
         `ip link set dev {name} mtu 1500`"
    );
    let advice = match refused.os_error {
        _ if device.mtu > XDP_MTU_BYTES => {
            format!("; its MTU is {} bytes, and {too_large}", device.mtu)
        }
        Some(libc::ERANGE) => {
            format!("; its MTU, or that of the other end of a veth, is too large: {too_large}")
        }
        Some(libc::EOPNOTSUPP) => {
            "; its driver has none, and kernel.mode = \"tc\" does not ask for it".to_owned()
        }
        _ => String::new(),
    };
    format!("native XDP on {name}: {reason}{advice}")
}

#[cfg(test)]
pub mod testing {
    //! A refusal at an interface that is there.

    use super::super::link::{Link, XdpProgram};
    use super::super::plan::Device;
    use super::*;

    pub fn refused(mtu: u32, os_error: i32) -> Refused {
        Refused {
            rung: Rung::Xdp,
            device: Device {
                index: 4,
                name: "eth0".to_owned(),
                mtu,
                is_in_use: true,
            },
            reason: "refused".to_owned(),
            os_error: Some(os_error),
        }
    }

    pub fn links(xdp: Vec<XdpProgram>) -> Links {
        let mut links = Links::default();
        links.put(Link {
            index: 4,
            name: "eth0".to_owned(),
            xdp,
            ..Link::default()
        });
        links
    }
}

#[cfg(test)]
mod tests {
    use super::super::link::{XdpPlace, XdpProgram};
    use super::testing::{links, refused};
    use super::*;

    #[test]
    fn a_program_of_another_is_named_rather_than_the_error() {
        let theirs = XdpProgram {
            id: u32::MAX,
            place: XdpPlace::Native,
        };
        let text = explained(&refused(1500, libc::EBUSY), &links(vec![theirs]), &[]);
        assert!(text.contains("id 4294967295"), "{text}");
        // Ours is not in its own way.
        let text = explained(
            &refused(1500, libc::EBUSY),
            &links(vec![theirs]),
            &[u32::MAX],
        );
        assert_eq!(text, "native XDP on eth0: refused");
    }

    #[test]
    fn an_mtu_that_is_too_large_is_told_with_numbers() {
        let links = links(Vec::new());
        let text = explained(&refused(9000, libc::EINVAL), &links, &[]);
        assert!(
            text.contains("its MTU is 9000 bytes") && text.contains("3498"),
            "{text}"
        );
        let text = explained(&refused(1500, libc::ERANGE), &links, &[]);
        assert!(text.contains("the other end of a veth"), "{text}");
        let text = explained(&refused(1500, libc::EOPNOTSUPP), &links, &[]);
        assert!(text.contains("its driver has none"), "{text}");
    }
}
