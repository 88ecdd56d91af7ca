//! Part k: phones that boot and register, in quiet and under a flood of garbage on every port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::table::median;
use super::{BenchOptions, Cell, Goal, Ratio, Table};
use crate::demo::{Edge, Mode};
use crate::flood::{Flood, FloodOptions, Flooded, open_every_port, ports};
use crate::lab::{CLIENT_IF, Lab, LabOptions, LabPrograms, SERVER_V4, interrupted};
use crate::phones::{Fleet, FleetOptions, PhoneSpec, Progress, Registering, Report};
use crate::server::Place;
use crate::site::Site;

/// What a boot may be slower under the flood. Generator, phones and daemon share the processors: half
/// of them are the generator's.
const SLOWDOWN_MAX: f64 = 4.0;

/// A boot of all phones.
#[derive(Clone, Copy)]
struct Boot {
    /// Until the last phone was registered.
    took_s: f64,
    flooded: Flooded,
    /// Of the daemon, afterwards.
    memory_mb: f64,
}

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    let phones = if options.quick { 100 } else { 1000 };
    let lab = Lab::new(LabOptions::default())?;
    let _padding = LabPrograms::page_sized(&lab.client, CLIENT_IF)?;
    let folder = tempfile::tempdir()?;
    let place = Place::Namespace(&lab.server);
    let edge = Edge::new(&options.daemon, folder.path(), place, Mode::Xdp, 20_000)?;
    edge.register("")?;
    open_every_port(&edge, folder.path())?;
    let site = host(&edge, folder.path(), phones)?;
    let phones = site.configurations_only();
    let mut daemon = edge.start()?;
    let mut boots = [Vec::new(), Vec::new()];
    for round in 0..options.rounds {
        for (index, how) in ["in quiet", "under the flood"].into_iter().enumerate() {
            ensure!(!interrupted(), "interrupted");
            say(&format!(
                "k: {} phones boot {how}, round {} of {}",
                phones.len(),
                round + 1,
                options.rounds
            ));
            let flood = (index == 1).then(|| begin(&lab, round)).transpose()?;
            let report = boot(&lab, &site, &phones)?;
            let flooded = flood.map(end).transpose()?.unwrap_or_default();
            ensure!(
                // All have left again, so that the next boot begins as this one did.
                report.registration.phones() == report.phones,
                "{} of {} phones registered {how}: {:#?}",
                report.registration.phones(),
                report.phones,
                report.failures
            );
            let memory = edge.metrics()?.sum("process_resident_memory_bytes", &[]);
            boots[index].push(Boot {
                took_s: report.boot_us.max() as f64 / 1e6,
                flooded,
                memory_mb: memory / 1e6,
            });
        }
    }
    ensure!(
        daemon.is_running(),
        "the daemon ended:\n{}",
        daemon.log_tail()
    );
    daemon.stop()?;
    Ok(table(phones.len(), &boots))
}

fn host(edge: &Edge<'_>, folder: &Path, phones: usize) -> Result<Site> {
    let mut site = Site::without_upgrades(phones);
    let csv = folder.join("phones.csv");
    edge.host(&mut site, &csv)?;
    fs::remove_file(csv)?;
    Ok(site)
}

/// Floods from both sides: the ports of phones from the network, the others from the host itself.
fn begin(lab: &Lab, round: usize) -> Result<[Flood; 2]> {
    let seed = round as u64;
    let outside = FloodOptions {
        senders: 1,
        connectors: 1,
        streams: ports::of_phones(),
        per_second: None,
        seed,
    };
    let inside = FloodOptions {
        senders: 0,
        connectors: 1,
        streams: ports::of_operators(),
        per_second: None,
        seed,
    };
    Ok([
        Flood::begin(&lab.client, &outside)?,
        Flood::begin(&lab.server, &inside)?,
    ])
}

fn end(floods: [Flood; 2]) -> Result<Flooded> {
    let [outside, inside] = floods;
    let (outside, inside) = (outside.end()?, inside.end()?);
    Ok(Flooded {
        packets: outside.packets,
        unsent: outside.unsent,
        connections: outside.connections + inside.connections,
        refused: outside.refused + inside.refused,
    })
}

fn boot(lab: &Lab, site: &Site, phones: &[PhoneSpec]) -> Result<Report> {
    let mut options = FleetOptions::new(SocketAddr::from((SERVER_V4, 69)));
    options.limit = Duration::from_secs(300);
    options.registration = Some(Registering {
        says_farewell: true,
        ..Registering::default()
    });
    let fleet = Fleet {
        phones,
        oracle: &site.oracle,
        options,
    };
    fleet.boot(Place::Namespace(&lab.client), &Progress::default())
}

fn table(phones: usize, boots: &[Vec<Boot>; 2]) -> Table {
    let middle = |boots: &[Boot], of: fn(&Boot) -> f64| median(boots.iter().map(of));
    let rows = ["in quiet", "under the flood"].into_iter().zip(boots);
    let rows = rows.map(|(name, boots)| {
        let per_second = |boot: &Boot| boot.flooded.packets as f64 / boot.took_s;
        vec![
            Cell::text(name),
            Cell::number(middle(boots, |boot| boot.took_s), 2),
            Cell::number(median(boots.iter().map(per_second)), 0),
            Cell::Count(boots.iter().map(|boot| boot.flooded.packets).sum()),
            Cell::Count(boots.iter().map(|boot| boot.flooded.connections).sum()),
            Cell::number(middle(boots, |boot| boot.memory_mb), 1),
        ]
    });
    let [quiet, flooded] = boots.each_ref().map(|it| middle(it, |boot| boot.took_s));
    Table {
        part: 'k',
        title: format!("{phones} phones fetch their configurations and register"),
        columns: vec![
            "",
            "seconds",
            "garbage packets/s",
            "packets",
            "connections",
            "memory MB",
        ],
        rows: rows.collect(),
        ratios: vec![Ratio::new(
            "a boot under the flood against one in quiet takes",
            flooded / quiet,
            " x",
            Goal::AtMost(SLOWDOWN_MAX),
        )],
        method: "Method: the real daemon on XDP, with every port open. Each round boots the same \
                 phones twice, in quiet and while one thread sends raw packets as fast as it can \
                 (random bytes, requests with mistakes in them, fragments, half of them from made-up \
                 addresses, to the ports of TFTP, of transfers and of SIP) and two connect one after \
                 the other to all ports of streams, those of metrics and the web page included. \
                 Generator, phones and daemon share the processors, so part of the ratio is what \
                 the generator takes. If one phone does not register, the part fails."
            .to_owned(),
    }
}
