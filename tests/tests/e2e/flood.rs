//! Garbage on every port while a site boots: every phone is served, every packet is counted, and
//! memory stays where it was.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::demo::Metrics;
use tftp_edge_tests::flood::{Flood, FloodOptions, open_every_port, ports};
use tftp_edge_tests::lab::SERVER_IF;
use tftp_edge_tests::phones::registration::Habits;
use tftp_edge_tests::phones::{Progress, Registering};
use tftp_edge_tests::rig::{Rig, ensure_all_registered, run};
use tftp_edge_tests::site::Site;

const PHONES: usize = 1000;

/// What a sender sends in a second, so that a build that is not optimised is not all there is on a
/// small machine. `tftp-edge-lab bench --only k` sends as many as it can.
const PER_SECOND: u64 = 4_000;

/// At least so many packets come while the phones boot, and so many connections.
const PACKETS: u64 = 2_500;
const CONNECTIONS: u64 = 20;

/// What the phones themselves, buffers and the journal may take.
const MORE_BYTES: f64 = 96e6;

#[test]
fn a_site_boots_under_a_flood_of_garbage() {
    run(Rung::Xdp, |rig| {
        rig.edge.register("")?;
        open_every_port(&rig.edge, rig.folder())?;
        let mut site = Site::without_upgrades(PHONES);
        rig.host(&mut site)?;
        rig.start()?;
        // Counted is read before, and after it what the interface says: nothing between the two is
        // taken for a frame without a reason.
        let before = rig.metrics()?;
        let came_before = received(rig)?;
        let outside = FloodOptions {
            senders: 1,
            connectors: 1,
            streams: ports::of_phones(),
            per_second: Some(PER_SECOND),
            seed: 0xf1_00d,
        };
        let inside = FloodOptions {
            senders: 0,
            streams: ports::of_operators(),
            ..outside.clone()
        };
        let floods = [
            Flood::begin(&rig.lab.client, &outside)?,
            Flood::begin(&rig.lab.server, &inside)?,
        ];
        let phones = site.configurations_only();
        let report = rig.boot(&site, &phones, &Progress::default(), |options| {
            options.limit = Duration::from_secs(30);
            options.registration = Some(Registering {
                habits: Habits::default(),
                says_farewell: false,
            });
        })?;
        let [outside, inside] = floods.map(Flood::end);
        let (outside, inside) = (outside?, inside?);
        ensure_all_registered(&report)?;
        ensure!(
            outside.packets >= PACKETS && outside.connections >= CONNECTIONS,
            "that was no flood: {outside:?}"
        );
        ensure!(inside.connections >= CONNECTIONS, "{inside:?}");

        // What came in is read first: the program counts a frame before the interface does.
        let came = received(rig)? - came_before;
        let after = rig.metrics()?;
        ensure_counted(&before, &after, came)?;
        let grown = after.grown(&before, "process_resident_memory_bytes", &[]);
        ensure!(grown < MORE_BYTES, "{:.1} MB more", grown / 1e6);
        // It can still be asked, and answers who is alone.
        rig.stop()
    });
}

/// Frames that the server's interface has received, those that XDP answered or dropped among them.
fn received(rig: &Rig<'_>) -> Result<f64> {
    let path = format!("/sys/class/net/{SERVER_IF}/statistics/rx_packets");
    let text = rig.lab.server.output("cat", [path.as_str()])?;
    text.trim().parse().context("rx_packets")
}

/// Every frame has a reason; and each port has said what was wrong with what came to it.
fn ensure_counted(before: &Metrics, after: &Metrics, came: f64) -> Result<()> {
    let xdp = [("path", "xdp")];
    let counted = after.grown(before, "tftp_edge_tftp_packets_total", &xdp);
    ensure!(
        counted >= came,
        "{came} frames came in, and {counted} have a reason"
    );
    for (name, labels) in [
        (
            "tftp_edge_tftp_packets_total",
            &[("reason", "malformed")][..],
        ),
        ("tftp_edge_tftp_packets_total", &[("reason", "no_transfer")]),
        ("tftp_edge_tftp_packets_total", &[("reason", "checksum")]),
        ("tftp_edge_tftp_packets_total", &[("reason", "ip_complex")]),
        ("tftp_edge_sip_defects_total", &[]),
        ("tftp_edge_sip_bad_messages_total", &[]),
        ("tftp_edge_sccp_bad_frames_total", &[]),
    ] {
        let grown = after.grown(before, name, labels);
        ensure!(grown > 0.0, "{name} {labels:?} has not grown");
    }
    Ok(())
}
