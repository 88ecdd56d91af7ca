//! Phones in a voice VLAN: what comes tagged is answered with the same tags.

use anyhow::{Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::client::{Outcome, Request};
use tftp_edge_tests::lab::{
    CLIENT_IF, Capture, LabOptions, LabPrograms, SERVER_IF, SERVER_V4, SERVER_V6, Tags,
};
use tftp_edge_tests::rig::{OVER_V4, OVER_V6, Rig, content, run_in};

const SIZES: [usize; 5] = [0, 1, 512, 1428, 40_000];

macro_rules! tagged_on {
    ($($module:ident $rung:ident)+) => {
        $(mod $module {
            use tftp_ebpf::verdict::Rung;

            #[test]
            fn one_tag_comes_back() {
                super::on(Rung::$rung, super::one_tag_comes_back);
            }

            #[test]
            fn two_tags_come_back() {
                super::on(Rung::$rung, super::two_tags_come_back);
            }
        })+
    };
}

tagged_on!(xdp Xdp tc Tc socket Socket);

/// Padded frames are full before they are tagged, and the wire must carry both.
fn on(rung: Rung, case: fn(&mut Rig<'_>) -> Result<()>) {
    run_in(LabOptions { mtu: 1508 }, rung, case);
}

fn one_tag_comes_back(rig: &mut Rig<'_>) -> Result<()> {
    let tags = Tags {
        inner: 110,
        outer: 0,
    };
    fetch_behind(rig, tags, "110")
}

fn two_tags_come_back(rig: &mut Rig<'_>) -> Result<()> {
    let tags = Tags {
        inner: 110,
        outer: 200,
    };
    fetch_behind(rig, tags, "200,110")
}

/// Fetches everything from behind `tags`; a capture shows them as `ids` on every TFTP frame.
fn fetch_behind(rig: &mut Rig<'_>, tags: Tags, ids: &str) -> Result<()> {
    for size in SIZES {
        rig.put(&format!("{size}.bin"), &content(size))?;
    }
    rig.start()?;
    let _clients = LabPrograms::tag(&rig.lab.client, CLIENT_IF, tags)?;
    // Sockets need somebody who takes the tags off, as a VLAN interface does. The kernel rungs must
    // do without: there, nothing but the program itself can answer.
    let _server = match rig.rung {
        Rung::Socket => Some(LabPrograms::tag(&rig.lab.server, SERVER_IF, tags)?),
        Rung::Xdp | Rung::Tc => None,
    };
    let before = rig.metrics()?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("tags.pcap"))?;
    for server in [OVER_V4, OVER_V6] {
        for size in SIZES {
            for blksize in [0, 1428] {
                let name = format!("{size}.bin");
                let request = match blksize {
                    0 => Request::plain(name),
                    _ => Request::sized(name, blksize),
                };
                let got = rig.get(server, request)?;
                ensure!(
                    got.outcome == Outcome::Complete && got.bytes == content(size),
                    "{size} bytes by {blksize} from {server}: {:?}",
                    got.outcome
                );
            }
        }
    }
    rig.ensure_alone(&before)?;
    let findings = capture.finish()?;
    findings.ensure_sound()?;
    let from_server = format!("tftp && (ip.src == {SERVER_V4} || ipv6.src == {SERVER_V6})");
    for filter in ["tftp", &from_server] {
        let seen = findings.fields(filter, "vlan.id")?;
        ensure!(
            !seen.is_empty() && seen.iter().all(|seen| seen == ids),
            "{filter}: tags other than {ids} in {seen:?}"
        );
    }
    Ok(())
}
