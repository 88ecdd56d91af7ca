//! A phone that starts from DHCP finds us, whichever server the site has.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::{Outcome, Request, Retry, get};
use tftp_edge_tests::demo::{Edge, Mode};
use tftp_edge_tests::dhcp::{DhcpServer, Family, Told, ask, found, settle};
use tftp_edge_tests::lab::{CLIENT_IF, SERVER_IF, SERVER_V4, SERVER_V6, skipped};
use tftp_edge_tests::rig::{self, Rig, daemon_under_test};
use tftp_edge_tests::server::Place;

const DEVICE: &str = "SEP001B54000001";

/// The addresses that the DHCP servers hand out.
const POOL_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 0, 100), Ipv4Addr::new(10, 77, 0, 150)];
const POOL_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x1000),
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x1fff),
];

on_every_rung!(
    dnsmasq_sends_phones_to_us_over_ipv4,
    dnsmasq_sends_phones_to_us_over_ipv6,
);

fn dnsmasq_sends_phones_to_us_over_ipv4(rig: &mut Rig<'_>) -> Result<()> {
    a_phone_finds_us(rig, DhcpServer::Dnsmasq, Family::V4)
}

fn dnsmasq_sends_phones_to_us_over_ipv6(rig: &mut Rig<'_>) -> Result<()> {
    a_phone_finds_us(rig, DhcpServer::Dnsmasq, Family::V6)
}

/// The others differ in nothing that a rung would see.
#[test]
fn kea_sends_phones_to_us() {
    for family in [Family::V4, Family::V6] {
        rig::run(
            Rung::Socket,
            match family {
                Family::V4 => |rig| a_phone_finds_us(rig, DhcpServer::Kea, Family::V4),
                Family::V6 => |rig| a_phone_finds_us(rig, DhcpServer::Kea, Family::V6),
            },
        );
    }
}

#[test]
fn isc_dhcpd_sends_phones_to_us() {
    for family in [Family::V4, Family::V6] {
        rig::run(
            Rung::Socket,
            match family {
                Family::V4 => |rig| a_phone_finds_us(rig, DhcpServer::Isc, Family::V4),
                Family::V6 => |rig| a_phone_finds_us(rig, DhcpServer::Isc, Family::V6),
            },
        );
    }
}

fn a_phone_finds_us(rig: &mut Rig<'_>, server: DhcpServer, family: Family) -> Result<()> {
    let client = match family {
        Family::V4 => "busybox",
        Family::V6 => "dhclient",
    };
    let (program, client) = match (found(server.program(family)), found(client)) {
        (Ok(program), Ok(client)) => (program, client),
        (Err(why), _) | (_, Err(why)) => {
            skipped(&why);
            return Ok(());
        }
    };
    // The second server is nobody: phones are to keep to the order.
    rig.edge.command(&[
        "inventory",
        "site",
        "set",
        "lab",
        "subnets=10.77.0.0/24;fd77::/64",
        "tftp_servers=10.77.0.1;10.77.0.9;fd77::1;fd77::9",
        "ntp=10.77.0.1",
    ])?;
    let phones = rig.file("phones.csv");
    fs::write(
        &phones,
        format!("name,model,protocol,lines,site\n{DEVICE},7961,sip,1001,lab\n"),
    )?;
    rig.edge.import(&phones)?;
    rig.start()?;
    let before = rig.metrics()?;

    let (first, last): (IpAddr, IpAddr) = match family {
        Family::V4 => (POOL_V4[0].into(), POOL_V4[1].into()),
        Family::V6 => (POOL_V6[0].into(), POOL_V6[1].into()),
    };
    let config = rig.file("dhcp.conf");
    let printed = print(&rig.edge, server, family)?;
    fs::write(&config, server.filled_in(&printed, first, last))?;
    settle(&rig.lab.server, SERVER_IF)?;
    let mut dhcp = server.start(&rig.lab.server, &program, family, &config)?;
    let folder = rig.file("phone");
    fs::create_dir_all(&folder)?;
    let told = ask(&rig.lab.client, family, &client, &folder)
        .with_context(|| format!("{server:?} said:\n{}", dhcp.log_tail()))?;
    dhcp.stop()?;
    ensure!(
        (first..=last).contains(&told.address),
        "{} is not of the pool",
        told.address
    );
    ensure_told(&told, family)?;

    let prefix_len = match family {
        Family::V4 => 24,
        Family::V6 => 64,
    };
    let address = format!("{}/{prefix_len}", told.address);
    let mut add = vec!["addr", "add", &address, "dev", CLIENT_IF];
    if family == Family::V6 {
        add.push("nodad");
    }
    rig.lab.client.ip(&add)?;
    let from = (told.tftp_servers[0], 69).into();
    let request = Request::plain(format!("{DEVICE}.cnf.xml"));
    let got = rig.as_client(|| get(told.address, from, request, Retry::default()))?;
    rig.lab
        .client
        .ip(&["addr", "del", &address, "dev", CLIENT_IF])?;
    ensure!(got.outcome == Outcome::Complete, "{:?}", got.outcome);
    ensure!(
        got.bytes == rig.edge.render(DEVICE)?,
        "another configuration than that of {DEVICE}"
    );
    rig.ensure_alone(&before)
}

fn ensure_told(told: &Told, family: Family) -> Result<()> {
    let servers: [IpAddr; 2] = match family {
        Family::V4 => [SERVER_V4.into(), Ipv4Addr::new(10, 77, 0, 9).into()],
        Family::V6 => {
            let second = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 9);
            [SERVER_V6.into(), second.into()]
        }
    };
    ensure!(told.tftp_servers == servers, "{told:?}");
    if family == Family::V4 {
        let first = Some(SERVER_V4.to_string());
        ensure!(told.server_name == first && told.ntp == first, "{told:?}");
    }
    Ok(())
}

fn print(edge: &Edge<'_>, server: DhcpServer, family: Family) -> Result<String> {
    let mut arguments = vec!["dhcp", "--format", server.format()];
    if family == Family::V6 {
        arguments.push("--ipv6");
    }
    Ok(String::from_utf8(edge.command(&arguments)?)?)
}

/// Sites with names and networks that try a server's grammar. Nothing is filled in.
#[test]
fn servers_take_what_is_printed_as_it_stands() {
    let check = || -> Result<()> {
        let folder = tempfile::tempdir()?;
        let daemon = daemon_under_test()?;
        let edge = Edge::new(&daemon, folder.path(), Place::Loopback, Mode::Off, 10)?;
        for (site, subnets) in [
            ("berlin", "10.1.0.0/16;fd00:1::/64"),
            (
                "Büro \"Nord\", 2. Stock",
                "10.1.4.0/22;fd00:1:0:0:8000::/66;10.9.9.9/32",
            ),
            ("a {b} #c // d */ \\", "10.0.0.0/8;fd00::/8"),
        ] {
            edge.command(&[
                "inventory",
                "site",
                "set",
                site,
                &format!("subnets={subnets}"),
                "tftp_servers=10.1.0.5;10.2.0.5;10.3.0.5;fd00:1::5;fd00:2::5",
                "ntp=10.1.0.1;ntp.example.com;10.1.0.2",
            ])?;
        }
        for server in DhcpServer::ALL {
            for family in [Family::V4, Family::V6] {
                match found(server.program(family)) {
                    Err(why) => skipped(&why),
                    Ok(program) => {
                        let config = folder.path().join("dhcp.conf");
                        fs::write(&config, print(&edge, server, family)?)?;
                        server.check(&program, family, &config)?;
                    }
                }
            }
        }
        Ok(())
    };
    check().unwrap_or_else(|error| panic!("{error:?}"));
}
