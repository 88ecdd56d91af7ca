//! Phones that do not get on, each for a reason of its own, all at once; `tftp-edge why` names every
//! one of them, and finds nothing with a phone that is well.

mod phone;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use phone::{Phone, sccp};
use serde_json::Value;
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::Exchange;
use tftp_edge_tests::dhcp::{DhcpServer, Family, ask, found};
use tftp_edge_tests::lab::{CLIENT_IF, Namespace, SERVER_IF, SERVER_V4, skipped};
use tftp_edge_tests::rig::{Rig, run, wait_for};

/// Type ids: 8851, 8851NR, 7961.
const TYPE_8851: u32 = 684;
const TYPE_8851NR: u32 = 36_232;
const TYPE_7961: u32 = 30_018;

/// How long a phone takes to start again.
const RESTART: Duration = Duration::from_secs(11);

/// A trust list that is served, the SHA-1 of it, and that of another.
const SERVED_LIST: &[u8] = b"bar";
const SERVED_SHA1: &str = "62cdb7020ff920e5aa642c3d4066950dd1f01f4d";
const HELD_SHA1: &str = "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33";

/// Phones that come at once, to a registrar that takes ten a second.
const CROWD: u8 = 100;

const HEALTHY: Phone = Phone(1);
const SILENT: Phone = Phone(2);
const DEAF: Phone = Phone(3);
const CONFIG_MISSING: Phone = Phone(4);
const LOAD_MISSING: Phone = Phone(5);
const BAD_XML: Phone = Phone(6);
const FOREIGN_TRUST: Phone = Phone(7);
const WRONG_MODEL: Phone = Phone(8);
const WRONG_PASSWORD: Phone = Phone(9);
const STRANGER: Phone = Phone(10);
const LOST: Phone = Phone(11);
const STOPPING: Phone = Phone(12);
const NOT_ASKING: Phone = Phone(13);
const WRONG_PROTOCOL: Phone = Phone(14);
const FOREIGN_LIST: Phone = Phone(15);
const FIRST_OF_CROWD: u8 = 100;

fn inventory(rig: &Rig<'_>) -> Result<()> {
    let mut csv = String::from("name,model,protocol,lines,secret,load\n");
    let crowd = (FIRST_OF_CROWD..FIRST_OF_CROWD + CROWD).map(Phone);
    for phone in (1..=15).map(Phone).chain(crowd) {
        let (model, protocol) = match phone.0 {
            11 => ("7961", "sccp"),
            _ => ("8851", "sip"),
        };
        let load = match phone.0 {
            5 => "sip88xx.14-9",
            _ => "",
        };
        if phone.0 != STRANGER.0 {
            let (device, line, secret) = (phone.device(), phone.line(), phone.password());
            writeln!(csv, "{device},{model},{protocol},{line},{secret},{load}")?;
        }
    }
    let file = rig.file("phones.csv");
    std::fs::write(&file, csv)?;
    rig.edge.import(&file)?;
    rig.edge.set(&[format!("servers={SERVER_V4}")])
}

/// Gives a phone a lease from a server that says nothing of files. It is seen on the network as long
/// as its namespace is there. None: a program for it is missing here.
fn leases(rig: &Rig<'_>, phone: Phone) -> Result<Option<(Namespace, IpAddr)>> {
    let (server, family) = (DhcpServer::Dnsmasq, Family::V4);
    let (program, client) = match (found(server.program(family)), found("busybox")) {
        (Ok(program), Ok(client)) => (program, client),
        (Err(why), _) | (_, Err(why)) => {
            skipped(&why);
            return Ok(None);
        }
    };
    let place = Namespace::new("phone")?;
    let (mac, name) = (phone.mac(), place.name());
    let words = ["link", "add", "link", CLIENT_IF, "name", CLIENT_IF];
    let kind = [
        "address", &mac, "netns", name, "type", "macvlan", "mode", "bridge",
    ];
    rig.lab.client.ip(&[&words[..], &kind].concat())?;
    place.ip(&["link", "set", CLIENT_IF, "up"])?;
    let config = rig.file("dhcp.conf");
    std::fs::write(
        &config,
        format!(
            "interface={SERVER_IF}\nbind-interfaces\ndhcp-authoritative\n\
             dhcp-range=10.77.0.100,10.77.0.150,255.255.255.0,1h\n"
        ),
    )?;
    let mut dhcp = server.start(&rig.lab.server, &program, family, &config)?;
    let folder = rig.file("phone");
    std::fs::create_dir_all(&folder)?;
    let told = ask(&place, family, &client, &folder)
        .with_context(|| format!("dnsmasq said:\n{}", dhcp.log_tail()))?;
    dhcp.stop()?;
    ensure!(
        told.tftp_servers.is_empty() && told.server_name.is_none(),
        "{told:?}"
    );
    let address = format!("{}/24", told.address);
    place.ip(&["addr", "add", &address, "dev", CLIENT_IF])?;
    Ok(Some((place, told.address)))
}

/// Everything goes wrong, each with its own phone. Gives back the sockets of the one that is deaf.
fn play() -> Result<Vec<Exchange>> {
    STOPPING.stops_in_the_middle()?;
    WRONG_PROTOCOL.registers_over_sccp(&[WRONG_PROTOCOL.sccp_register(TYPE_8851)])?;
    let (capabilities, time) = (sccp(0x0010, &[0; 4]), sccp(0x000D, &[]));
    let register = LOST.sccp_register(TYPE_7961);
    LOST.registers_over_sccp(&[register, [capabilities, time].concat()])?;
    HEALTHY.ask(&format!("ITL{}.tlv", HEALTHY.device()))?;
    HEALTHY.ask(&HEALTHY.config())?;
    ensure!(HEALTHY.registers_in_its_turn(TYPE_8851, &HEALTHY.password())? == "200");
    let deaf = DEAF.asks_deaf()?;
    CONFIG_MISSING.ask(&CONFIG_MISSING.config())?;
    LOAD_MISSING.boots_for_a_load()?;
    BAD_XML.ask(&BAD_XML.config())?;
    FOREIGN_TRUST.ask(&format!("{}.sgn", FOREIGN_TRUST.config()))?;
    FOREIGN_LIST.ask(&FOREIGN_LIST.config())?;
    FOREIGN_LIST.tells_its_trust_list(HELD_SHA1)?;
    ensure!(WRONG_MODEL.registers_in_its_turn(TYPE_8851NR, &WRONG_MODEL.password())? == "403");
    // Its name alone proves nothing: it is believed where it fetched its files.
    WRONG_PASSWORD.ask(&WRONG_PASSWORD.config())?;
    ensure!(WRONG_PASSWORD.registers_in_its_turn(TYPE_8851, "guessed")? == "403");
    STRANGER.ask(&STRANGER.config())?;
    STRANGER.ask("XMLDefault.cnf.xml")?;
    NOT_ASKING.ask(&NOT_ASKING.config())?;
    // The first one is over long since: no phone ends a transfer and asks again at once.
    STOPPING.stops_in_the_middle()?;
    Ok(deaf)
}

/// Gives back one that was told to wait.
fn crowd() -> Result<Phone> {
    let phones = (FIRST_OF_CROWD..FIRST_OF_CROWD + CROWD).map(Phone);
    let mut waits = None;
    for phone in phones {
        if phone.registers(TYPE_8851, &phone.password())? == "503" {
            waits = Some(phone);
        }
    }
    waits.context("nobody had to wait")
}

/// The causes of those that are stuck, by device.
fn stuck(rig: &Rig<'_>) -> Result<BTreeMap<String, String>> {
    let lines = rig.edge.command(&["phones", "--stuck", "--json"])?;
    let lines = String::from_utf8(lines)?;
    let mut stuck = BTreeMap::new();
    for line in lines.lines() {
        let row: Value = serde_json::from_str(line)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        stuck.insert(text(&row["device"]), text(&row["stuck"]["cause"]));
    }
    Ok(stuck)
}

/// What `why` says, and how it ends.
fn why(rig: &Rig<'_>, whom: &str) -> Result<(String, Option<i32>)> {
    let output = rig.edge.output(&["why", whom])?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(error.is_empty(), "{error}");
    Ok((String::from_utf8(output.stdout)?, output.status.code()))
}

/// On one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_phone_that_does_not_get_on_is_told_why() {
    run(Rung::Socket, |rig| {
        inventory(rig)?;
        rig.edge.register("max_registrations_per_second = 10\n")?;
        rig.edge.configure(
            "\n[journal]\nstuck_after_s = 1\nstuck_in_firmware_after_s = 1\nsilent_after_s = 2\n",
        )?;
        rig.put(&BAD_XML.config(), b"<device>\n  <member>\n</device>\n")?;
        // The template of one phone names what there is not.
        let templates = rig.file("templates");
        std::fs::create_dir_all(templates.join("device"))?;
        let of_device = templates.join("device").join(CONFIG_MISSING.config());
        std::fs::write(of_device, "<device>{{ colour }}</device>")?;
        rig.edge
            .amend("content", &format!("templates = {templates:?}"))?;
        rig.put("ITLFile.tlv", SERVED_LIST)?;
        rig.start()?;
        let lease = leases(rig, SILENT)?;
        let began = Instant::now();
        let deaf = rig.as_client(play)?;

        let other_list = format!("holds the ITL {HELD_SHA1}, and {SERVED_SHA1} is served");

        let expected = [
            (SILENT, "no_dhcp_option", "option 150"),
            (DEAF, "no_reply", "it acknowledged nothing"),
            (
                CONFIG_MISSING,
                "config_missing",
                "cannot be generated: template",
            ),
            (LOAD_MISSING, "load_missing", "sip88xx.14-9.loads"),
            (BAD_XML, "invalid_xml", "line 3, column"),
            (FOREIGN_TRUST, "trust_list_mismatch", "**#"),
            (FOREIGN_LIST, "trust_list_mismatch", &other_list),
            (WRONG_MODEL, "wrong_model", "8851"),
            (WRONG_PASSWORD, "wrong_password", "secret=-"),
            (STRANGER, "unknown_device", "phones adopt"),
            (LOST, "keepalive_lost", "ping 10.80.7.11"),
            (STOPPING, "transfer_stops", "in the middle, twice"),
            (NOT_ASKING, "no_registration", "5060"),
            (WRONG_PROTOCOL, "protocol_mismatch", "speaks sip"),
        ];
        let mut found = BTreeMap::new();
        let waited = wait_for("all of them to be stuck", || {
            found = stuck(rig).unwrap_or_default();
            let is_found = |(phone, cause, _): &(Phone, &str, &str)| {
                found.get(&phone.device()).is_some_and(|it| it == cause)
            };
            expected.iter().all(is_found)
        });
        waited.with_context(|| format!("{found:#?}"))?;
        ensure!(!found.contains_key(&HEALTHY.device()), "{found:?}");

        for (phone, cause, words) in expected {
            let (text, code) = why(rig, &phone.device())?;
            let said = flat(&text);
            ensure!(code == Some(1), "{code:?}: {text}");
            ensure!(
                said.contains(cause) && said.contains(words),
                "{cause}, {words}: {text}"
            );
        }
        if let Some((_, address)) = &lease {
            let (text, _) = why(rig, &SILENT.device())?;
            ensure!(flat(&text).contains(&format!("at {address}.")), "{text}");
        }
        let (text, code) = why(rig, &HEALTHY.device())?;
        ensure!(
            code == Some(0) && text.contains("Nothing is the matter"),
            "{text}"
        );
        // However it is written.
        for whom in ["00:00:f0:0d:00:05", "0000.f00d.0005", "10.80.7.5"] {
            let (text, _) = why(rig, whom)?;
            ensure!(text.starts_with(&LOAD_MISSING.device()), "{whom}: {text}");
        }

        drop(deaf);

        // Who waits for its turn is not stuck, and is told so.
        let waits = rig.as_client(crowd)?;
        let (text, code) = why(rig, &waits.device())?;
        ensure!(code == Some(1) && text.contains("storm_wait"), "{text}");
        ensure!(text.contains("phones are before it"), "{text}");
        // The list is made anew every second.
        wait_for("one that waits to be no longer missed", || {
            stuck(rig).is_ok_and(|stuck| !stuck.contains_key(&waits.device()))
        })?;

        // It restarts, and asks for the same once more.
        std::thread::sleep(RESTART.saturating_sub(began.elapsed()));
        rig.as_client(|| LOAD_MISSING.boots_for_a_load())?;
        wait_for("the loop to be found", || {
            let said = why(rig, &LOAD_MISSING.device());
            said.is_ok_and(|(text, _)| flat(&text).contains("in 2 boots: it restarts again"))
        })?;

        let shown = rig.edge.command(&["phones", "show", &BAD_XML.device()])?;
        let shown = String::from_utf8(shown)?;
        let config = BAD_XML.config().to_lowercase();
        ensure!(
            shown.contains("model = 8851") && shown.contains(&config),
            "{shown}"
        );
        let report = String::from_utf8(rig.edge.command(&["report", "--csv"])?)?;
        let row = report
            .lines()
            .find(|line| line.starts_with(&WRONG_PASSWORD.device()));
        ensure!(
            row.is_some_and(|row| row.ends_with(",wrong_password")),
            "{report}"
        );
        let labels = [("cause", "wrong_model")];
        let counted = rig.metrics()?.sum("tftp_edge_phones_stuck", &labels);
        ensure!(counted == 1.0, "{counted} phones of a wrong model");
        Ok(())
    });
}
