//! Whether the real servers take what is printed is tested in the lab.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::command::{DhcpArgs, Format, LldpArgs};
use super::*;
use crate::inventory::{Contents, Site, Snapshot};

const BERLIN: &[(&str, &str)] = &[
    ("subnets", "10.1.0.0/16;fd00:1::/64"),
    ("tftp_servers", "10.1.0.5;10.2.0.5;fd00:1::5"),
    ("ntp", "10.1.0.1;ntp.example.com"),
    ("voice_vlan", "120"),
];
const PARIS: &[(&str, &str)] = &[
    ("subnets", "10.1.128.0/17;10.2.0.0/16"),
    ("tftp_servers", "10.2.0.5;10.1.0.5"),
];

fn snapshot(sites: &[(&str, &[(&str, &str)])]) -> Snapshot {
    let owned = |settings: &[(&str, &str)]| -> BTreeMap<_, _> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        settings.iter().map(owned).collect()
    };
    let sites = sites
        .iter()
        .map(|&(name, settings)| (name.to_owned(), owned(settings)));
    let contents = Contents {
        sites: sites.collect(),
        ..Contents::default()
    };
    Snapshot::new(contents, &Site::default())
}

fn dhcp(format: Format, ipv6: bool) -> DhcpArgs {
    DhcpArgs {
        format,
        ipv6,
        site: None,
    }
}

fn lldp(site: Option<&str>) -> LldpArgs {
    LldpArgs {
        site: site.map(Into::into),
        ports: Vec::new(),
    }
}

fn gaps(snapshot: &Snapshot) -> Vec<String> {
    let (_, gaps) = collect(snapshot, None).unwrap();
    gaps.iter().map(Gap::to_string).collect()
}

#[test]
fn the_files_in_contrib_are_what_the_commands_print() {
    let snapshot = snapshot(&[("berlin", BERLIN), ("paris", PARIS)]);
    let printed = |format, ipv6| {
        let (text, _) = dhcp(format, ipv6).text(&snapshot).unwrap();
        text.unwrap()
    };
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contrib");
    for (file, text) in [
        ("dhcp/dnsmasq.conf", printed(Format::Dnsmasq, false)),
        ("dhcp/kea-dhcp4.conf", printed(Format::Kea, false)),
        ("dhcp/kea-dhcp6.conf", printed(Format::Kea, true)),
        ("dhcp/dhcpd.conf", printed(Format::Isc, false)),
        ("dhcp/dhcpd6.conf", printed(Format::Isc, true)),
        ("lldpd.conf", lldp(None).text(&snapshot).unwrap().0.unwrap()),
    ] {
        let path = contrib.join(file);
        if std::env::var_os("UPDATE_CONTRIB").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let kept = fs::read_to_string(&path).unwrap();
        assert_eq!(kept, text, "{file}; UPDATE_CONTRIB=1 writes it anew");
    }
}

#[test]
fn servers_are_told_in_their_order_to_phones_of_the_same_family() {
    let (scopes, gaps) = collect(&snapshot(&[("berlin", BERLIN)]), None).unwrap();
    let [scope] = scopes.as_slice() else {
        panic!("one site: {scopes:?}");
    };
    let v4 = scope.v4.as_ref().unwrap();
    assert_eq!(joined(&v4.servers, " "), "10.1.0.5 10.2.0.5");
    let v6 = scope.v6.as_ref().unwrap();
    assert_eq!(joined(&v6.servers, " "), "fd00:1::5");
    assert_eq!(
        joined(&scope.ntp, " "),
        "10.1.0.1",
        "option 42 has no names"
    );
    assert_eq!(gaps, []);
}

#[test]
fn what_a_site_lacks_is_said_with_the_command_that_sets_it() {
    let snapshot = snapshot(&[
        ("head office", &[("subnets", "10.1.0.0/16")]),
        ("lab", &[("tftp_servers", "10.1.0.5")]),
        (
            "six",
            &[("subnets", "fd00:1::/64"), ("tftp_servers", "10.1.0.5")],
        ),
    ]);
    let gaps = gaps(&snapshot);
    assert_eq!(gaps.len(), 3, "{gaps:#?}");
    assert!(gaps[0].contains("`tftp-edge inventory site set 'head office' tftp_servers=ADDRESS`"));
    assert!(gaps[1].contains("`tftp-edge inventory site set lab subnets=NETWORK`"));
    assert!(gaps[2].contains("site six has IPv6 networks, but no IPv6 address"));
    let (text, _) = dhcp(Format::Dnsmasq, false).text(&snapshot).unwrap();
    assert_eq!(text, None, "nothing is guessed");
}

#[test]
fn a_network_of_two_sites_is_told_for_the_first_alone() {
    let both = snapshot(&[("berlin", BERLIN), ("double", BERLIN)]);
    let (scopes, gaps) = collect(&both, None).unwrap();
    assert_eq!(scopes.len(), 1);
    let expected = "10.1.0.0/16 is a network of site berlin too: it is left out of site double";
    assert_eq!(gaps[0].to_string(), expected);
}

#[test]
fn the_site_default_is_told_if_it_is_a_place_of_its_own() {
    let only_default = snapshot(&[("default", BERLIN)]);
    assert_eq!(collect(&only_default, None).unwrap().0.len(), 1);
    let shared = snapshot(&[
        ("default", &[("tftp_servers", "10.1.0.5")]),
        ("berlin", &[("subnets", "10.1.0.0/16")]),
    ]);
    let (scopes, gaps) = collect(&shared, None).unwrap();
    assert_eq!((scopes.len(), scopes[0].site.as_str()), (1, "berlin"));
    assert_eq!(
        gaps,
        [],
        "what others inherit from is no place that lacks something"
    );
    assert_eq!(collect(&shared, Some("default")).unwrap().1.len(), 1);
}

#[test]
fn one_site_is_told_as_it_is_told_among_all() {
    let all = snapshot(&[("a b", BERLIN), ("a-b", PARIS), ("c", &[])]);
    let (scopes, gaps) = collect(&all, None).unwrap();
    let tags: Vec<_> = scopes.iter().map(|scope| scope.tag.as_str()).collect();
    assert_eq!(tags, ["a-b", "a-b-2"]);
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    let (one, gaps) = collect(&all, Some("a-b")).unwrap();
    assert_eq!(one, scopes[1..]);
    assert_eq!(gaps, []);
    let error = collect(&all, Some("d")).unwrap_err().to_string();
    assert!(error.starts_with("there is no site \"d\""), "{error}");
}

#[test]
fn a_name_cannot_leave_its_comment() {
    // No command stores such a name; a database written by hand may hold it.
    let hostile = "x\ndhcp-script=/bin/sh\r\"*/ } include \"/etc/shadow\";";
    let snapshot = snapshot(&[(hostile, BERLIN), ("other", BERLIN)]);
    for format in [Format::Dnsmasq, Format::Kea, Format::Isc] {
        let (text, gaps) = dhcp(format, false).text(&snapshot).unwrap();
        let text = text.unwrap();
        let carrying = |line: &&str| line.contains("/bin/sh") && !line.starts_with('#');
        let lines: Vec<_> = text.lines().filter(carrying).collect();
        match format {
            // A string of JSON, with its quotes escaped.
            Format::Kea => assert!(
                lines.iter().all(|line| line.contains("sh \\\"*/")),
                "{text}"
            ),
            Format::Dnsmasq | Format::Isc => assert_eq!(lines, [""; 0], "{text}"),
        }
        assert!(gaps.iter().all(|gap| !gap.to_string().contains('\n')));
    }
}

#[test]
fn kea_looks_into_narrow_networks_before_those_that_hold_them() {
    let snapshot = snapshot(&[("berlin", BERLIN), ("paris", PARIS)]);
    let (text, _) = dhcp(Format::Kea, false).text(&snapshot).unwrap();
    let text = text.unwrap();
    assert!(
        text.find("10.1.128.0/17") < text.find("10.1.0.0/16"),
        "{text}"
    );
}

#[test]
fn ipv6_networks_are_not_forgotten_by_those_who_print_ipv4() {
    let snapshot = snapshot(&[("berlin", BERLIN)]);
    let count = |format, ipv6| dhcp(format, ipv6).text(&snapshot).unwrap().1.len();
    assert_eq!(count(Format::Isc, false), 1);
    assert_eq!(count(Format::Isc, true), 0);
    assert_eq!(count(Format::Dnsmasq, false), 0, "it has both in one file");
}

#[test]
fn one_voice_vlan_is_told_and_of_several_one_is_to_be_chosen() {
    let vlan = |vlan: &'static str| [("voice_vlan", vlan)];
    let (one, two) = (vlan("120"), vlan("130"));
    let sites = snapshot(&[("a", &one), ("b", &two), ("c", &[])]);
    let text = |site| lldp(site).text(&sites).unwrap().0;
    let error = text(None).unwrap_err().to_string();
    assert!(error.ends_with("--site: a (120), b (130)"), "{error}");
    assert!(text(Some("b")).unwrap().contains(" vlan 130 "));
    let error = text(Some("c")).unwrap_err().to_string();
    assert!(error.contains("voice_vlan="), "{error}");
    let ports = LldpArgs {
        ports: vec!["eth1".into(), "eth2".into()],
        ..lldp(Some("a"))
    };
    let text = ports.text(&sites).unwrap().0.unwrap();
    assert!(
        text.contains("configure ports eth1,eth2 med policy application voice tagged vlan 120")
    );
}
