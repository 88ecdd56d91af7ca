//! Where the programs of one interface go, and what to say about it: decided from what is known of
//! the host's interfaces, without touching any.
//!
//! - **TC** is attached to the interface that is named, whatever it is. On a bond, ingress runs on
//!   the member first and on the bond after it, once the bond has dropped what came in on a member
//!   in reserve; and what is sent by the bond leaves where the bond wants it to.
//! - **XDP** is attached to the members of a bond: they have the drivers. It answers only on those
//!   that are in use. A member in reserve gets its share of what a switch floods, and an answer sent
//!   from there would teach the switch a wrong port. All members or none: else the bond's TC could
//!   not know which packets were classified before.
//! - A driver that takes **VLAN tags** off before XDP sees the frame makes it look untagged, and the
//!   answer would miss the phone. TC is told the tag, so it is left to TC where there are VLANs.

use super::link::Link;
use super::table::Links;
use crate::kernel::settings::Ladder;

/// The largest MTU that a driver with page-sized buffers can take XDP at is some hundred bytes below
/// the page: `XDP_PACKET_HEADROOM`, the frame's own headers and `struct skb_shared_info` need room.
pub const XDP_MTU_BYTES: u32 = 3_498;

/// A device a program goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub index: u32,
    pub name: String,
    /// In bytes.
    pub mtu: u32,
    /// Nothing is answered on a member of a bond that is in reserve.
    pub is_in_use: bool,
}

impl Device {
    fn new(link: &Link) -> Self {
        Self {
            index: link.index,
            name: link.name.clone(),
            mtu: link.mtu,
            is_in_use: !link.is_in_reserve,
        }
    }
}

/// What to do with one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The interface itself, for TC.
    pub device: Device,
    /// Devices for native XDP; none if TC is all there can be.
    pub xdp: Vec<Device>,
    /// Why there can be no XDP though it was asked for, and what to do.
    pub problems: Vec<String>,
    /// What to look at, though nothing better can be had by it.
    pub notices: Vec<String>,
}

/// Whether a device takes VLAN tags off what it receives before XDP sees it.
pub type StripsTags<'host> = &'host dyn Fn(&str) -> bool;

impl Plan {
    pub fn new(links: &Links, link: &Link, ladder: Ladder, strips_tags: StripsTags<'_>) -> Self {
        let mut plan = Self {
            device: Device::new(link),
            xdp: Vec::new(),
            problems: Vec::new(),
            notices: Vec::new(),
        };
        plan.notice(links, link);
        if matches!(ladder, Ladder::Auto | Ladder::Xdp) {
            match xdp_devices(links, link, ladder) {
                Ok(devices) => plan.choose_xdp(links, link, &devices, strips_tags),
                Err(problem) => plan.problems.push(problem),
            }
        }
        plan
    }

    /// Where to send what came in at a device: a bond knows which of its members is in use now. None
    /// if it is no device of this interface.
    pub fn way_out(&self, device: u32) -> Option<u32> {
        let is_here = self.xdp.iter().any(|it| it.index == device);
        is_here.then_some(self.device.index)
    }

    /// What concerns the interface on any rung.
    fn notice(&mut self, links: &Links, link: &Link) {
        let name = &link.name;
        if !link.is_up {
            self.notices
                .push(format!("is down: `ip link set dev {name} up`"));
        } else if !link.has_carrier {
            self.notices.push("has no carrier".to_owned());
        }
        let master = link.master.and_then(|index| links.get(index));
        if let Some(master) = master.filter(|it| is_bundle(it)) {
            self.notices.push(format!(
                "is a member of {0}: name {0} in kernel.interfaces, which goes on when this member fails",
                master.name
            ));
        }
    }

    fn choose_xdp(
        &mut self,
        links: &Links,
        link: &Link,
        devices: &[&Link],
        strips_tags: StripsTags<'_>,
    ) {
        let carries_vlans = |it: &Link| links.vlans_on(it.index).next().is_some();
        let has_vlans = carries_vlans(link) || devices.iter().any(|it| carries_vlans(it));
        // veth hands on a tag as the other end has left it, whatever its own setting says.
        let (veths, others): (Vec<&Link>, Vec<&Link>) =
            devices.iter().partition(|it| it.kind == "veth");
        let strip: Vec<&Link> = others
            .into_iter()
            .filter(|it| strips_tags(&it.name))
            .collect();
        let cure = |it: &&Link| format!("`ethtool -K {} rxvlan off`", it.name);
        let cures: Vec<_> = strip.iter().map(cure).collect();
        match (strip.is_empty(), has_vlans) {
            (false, true) => {
                self.problems.push(format!(
                    "native XDP: {} takes VLAN tags off before XDP sees the frame, and answers into \
                     its VLANs would lack them: {}",
                    names(&strip),
                    cures.join(", ")
                ));
                return;
            }
            (false, false) => self.notices.push(format!(
                "{} takes VLAN tags off before XDP sees the frame: phones that send with a tag \
                 would be answered without; if there are any: {}",
                names(&strip),
                cures.join(", ")
            )),
            (true, _) => {}
        }
        if has_vlans && !veths.is_empty() {
            self.notices.push(format!(
                "XDP sees VLAN tags on {} only if the other end writes them into the frame: there, \
                 `ethtool -K PEER txvlan off`",
                names(&veths)
            ));
        }
        self.xdp = devices.iter().map(|it| Device::new(it)).collect();
    }
}

/// Several interfaces that are used as one.
fn is_bundle(link: &Link) -> bool {
    matches!(&*link.kind, "bond" | "team")
}

/// The devices whose drivers would run XDP for an interface, or why none would.
fn xdp_devices<'links>(
    links: &'links Links,
    link: &'links Link,
    ladder: Ladder,
) -> Result<Vec<&'links Link>, String> {
    let or_tc = "or set kernel.mode = \"tc\" if TC will do";
    let members: Vec<_> = links.members(link.index).collect();
    match &*link.kind {
        "bond" if members.is_empty() => Err("native XDP: the bond has no member yet".to_owned()),
        "bond" => Ok(members),
        "team" => Err(format!(
            "native XDP: which port of a team is in use cannot be seen; use a bond, {or_tc}"
        )),
        "bridge" => Err(match members.is_empty() {
            true => format!("native XDP: not on a bridge, and this one has no port; {or_tc}"),
            false => format!(
                "native XDP: not on a bridge; name the ports that phones are behind ({}), {or_tc}",
                names(&members)
            ),
        }),
        "vlan" => {
            let carrier = link.lower.and_then(|index| links.get(index));
            let carrier = carrier.map_or("the interface that carries it", |it| &it.name);
            Err(format!(
                "native XDP: not on a VLAN; name {carrier}, where the program answers in every VLAN, {or_tc}"
            ))
        }
        // A transmitted frame is lost unless the other end runs an XDP program too, and whether it
        // does cannot be seen from here.
        "veth" if ladder == Ladder::Auto => Err(
            "veth transmits under XDP only to a peer with an XDP program: set \
             kernel.mode = \"xdp\" if it has one"
                .to_owned(),
        ),
        _ => Ok(vec![link]),
    }
}

fn names(links: &[&Link]) -> String {
    let names: Vec<_> = links.iter().map(|link| &*link.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_STRIPPING: StripsTags<'static> = &|_| false;
    const STRIPPING: StripsTags<'static> = &|_| true;

    fn link(index: u32, name: &str, kind: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            mtu: 1500,
            is_up: true,
            has_carrier: true,
            kind: kind.to_owned(),
            ..Link::default()
        }
    }

    fn table(all: &[Link]) -> Links {
        let mut links = Links::default();
        for link in all {
            links.put(link.clone());
        }
        links
    }

    fn plan(all: &[Link], name: &str, ladder: Ladder, strips: StripsTags<'_>) -> Plan {
        let links = table(all);
        let link = links.named(name).unwrap();
        Plan::new(&links, link, ladder, strips)
    }

    fn xdp(plan: &Plan) -> Vec<(&str, bool)> {
        let devices = plan.xdp.iter();
        devices.map(|it| (&*it.name, it.is_in_use)).collect()
    }

    /// bond0 over eth0 and eth1, of which the second is in reserve.
    fn bond() -> Vec<Link> {
        let member = |index, name: &str| Link {
            master: Some(9),
            ..link(index, name, "")
        };
        let reserve = Link {
            is_in_reserve: true,
            ..member(5, "eth1")
        };
        vec![link(9, "bond0", "bond"), member(4, "eth0"), reserve]
    }

    fn vlan(index: u32, name: &str, lower: u32) -> Link {
        Link {
            lower: Some(lower),
            ..link(index, name, "vlan")
        }
    }

    #[test]
    fn hardware_gets_xdp_unless_tc_was_asked_for() {
        let eth0 = [link(4, "eth0", "")];
        for ladder in [Ladder::Auto, Ladder::Xdp] {
            let plan = plan(&eth0, "eth0", ladder, NO_STRIPPING);
            assert_eq!(xdp(&plan), [("eth0", true)]);
            assert!(plan.problems.is_empty() && plan.notices.is_empty());
        }
        let tc = plan(&eth0, "eth0", Ladder::Tc, STRIPPING);
        assert!(tc.xdp.is_empty() && tc.problems.is_empty() && tc.notices.is_empty());
    }

    #[test]
    fn veth_gets_xdp_only_on_request() {
        let veth = [link(4, "eth0", "veth")];
        let auto = plan(&veth, "eth0", Ladder::Auto, NO_STRIPPING);
        assert!(auto.xdp.is_empty() && auto.problems[0].contains("kernel.mode = \"xdp\""));
        let asked = plan(&veth, "eth0", Ladder::Xdp, STRIPPING);
        assert_eq!(xdp(&asked), [("eth0", true)]);
        // The flag means nothing there.
        assert!(asked.problems.is_empty() && asked.notices.is_empty());
    }

    #[test]
    fn a_bond_has_xdp_on_its_members_and_tc_itself() {
        let plan = plan(&bond(), "bond0", Ladder::Auto, NO_STRIPPING);
        assert_eq!(plan.device.name, "bond0");
        assert_eq!(xdp(&plan), [("eth0", true), ("eth1", false)]);
        assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    }

    #[test]
    fn what_came_in_on_a_member_goes_out_by_the_bond() {
        let plan = plan(&bond(), "bond0", Ladder::Auto, NO_STRIPPING);
        assert_eq!([4, 5].map(|member| plan.way_out(member)), [Some(9); 2]);
        assert_eq!(plan.way_out(7), None);
    }

    #[test]
    fn a_bond_without_members_waits_for_them() {
        let plan = plan(&bond()[..1], "bond0", Ladder::Auto, NO_STRIPPING);
        assert!(plan.xdp.is_empty() && plan.problems[0].contains("no member yet"));
    }

    #[test]
    fn a_member_that_is_named_itself_is_told_of() {
        let plan = plan(&bond(), "eth0", Ladder::Auto, NO_STRIPPING);
        assert_eq!(xdp(&plan), [("eth0", true)]);
        assert!(plan.notices[0].contains("name bond0 in kernel.interfaces"));
    }

    #[test]
    fn a_port_of_a_bridge_may_be_named() {
        let port = Link {
            master: Some(9),
            ..link(4, "eth0", "")
        };
        let all = [link(9, "br0", "bridge"), port];
        let on_port = plan(&all, "eth0", Ladder::Auto, NO_STRIPPING);
        assert!(on_port.notices.is_empty() && on_port.problems.is_empty());
        let on_bridge = plan(&all, "br0", Ladder::Xdp, NO_STRIPPING);
        assert!(on_bridge.xdp.is_empty());
        assert!(on_bridge.problems[0].contains("(eth0)"), "{on_bridge:?}");
    }

    #[test]
    fn a_vlan_and_a_team_have_tc() {
        let all = [
            link(4, "eth0", ""),
            vlan(12, "eth0.110", 4),
            link(7, "team0", "team"),
        ];
        let on_vlan = plan(&all, "eth0.110", Ladder::Auto, NO_STRIPPING);
        assert!(on_vlan.xdp.is_empty() && on_vlan.problems[0].contains("name eth0,"));
        let on_team = plan(&all, "team0", Ladder::Auto, NO_STRIPPING);
        assert!(on_team.xdp.is_empty() && on_team.problems[0].contains("team"));
    }

    #[test]
    fn tags_that_are_taken_off_leave_vlans_to_tc() {
        let all = [link(4, "eth0", ""), vlan(12, "eth0.110", 4)];
        let hidden = plan(&all, "eth0", Ladder::Auto, STRIPPING);
        assert!(hidden.xdp.is_empty());
        assert!(hidden.problems[0].ends_with("`ethtool -K eth0 rxvlan off`"));
        let seen = plan(&all, "eth0", Ladder::Auto, NO_STRIPPING);
        assert_eq!(xdp(&seen), [("eth0", true)]);
    }

    #[test]
    fn tags_that_may_be_taken_off_are_told_of_where_no_vlan_is_known() {
        let all = [link(4, "eth0", "")];
        let plan = plan(&all, "eth0", Ladder::Auto, STRIPPING);
        assert_eq!(xdp(&plan), [("eth0", true)]);
        assert!(plan.problems.is_empty());
        assert!(plan.notices[0].contains("`ethtool -K eth0 rxvlan off`"));
    }

    #[test]
    fn the_vlans_of_a_bond_lie_on_the_bond_and_the_tags_are_taken_off_by_a_member() {
        let mut all = bond();
        all.push(vlan(12, "bond0.110", 9));
        let second: StripsTags<'_> = &|name| name == "eth1";
        let plan = plan(&all, "bond0", Ladder::Auto, second);
        assert!(plan.xdp.is_empty());
        assert!(
            plan.problems[0].contains("eth1 takes VLAN tags off"),
            "{plan:?}"
        );
    }

    #[test]
    fn vlans_on_veth_hang_on_the_other_end() {
        let all = [link(4, "eth0", "veth"), vlan(12, "eth0.110", 4)];
        let plan = plan(&all, "eth0", Ladder::Xdp, STRIPPING);
        assert_eq!(xdp(&plan), [("eth0", true)]);
        assert!(plan.notices[0].contains("txvlan off"), "{plan:?}");
    }

    #[test]
    fn an_interface_that_is_down_is_told_of() {
        let down = Link {
            is_up: false,
            ..link(4, "eth0", "")
        };
        let unplugged = Link {
            has_carrier: false,
            ..link(4, "eth0", "")
        };
        for (link, text) in [(down, "is down"), (unplugged, "no carrier")] {
            let plan = plan(&[link], "eth0", Ladder::Tc, NO_STRIPPING);
            assert!(plan.notices[0].contains(text), "{plan:?}");
            assert!(plan.problems.is_empty());
        }
    }
}
