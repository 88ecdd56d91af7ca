//! Part d: what the kernel side occupies for what it holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use aya::maps::MapInfo;
use bytes::Bytes;
use tftp_ebpf::name::PATTERNS;
use tftp_ebpf::stage::Stage;
use tftp_edge::access::Access;
use tftp_edge::content::{Change, Listener as _, State, Version};
use tftp_edge::kernel::{Kernel, Ladder, Settings, Snapshot};

use super::runs::maps_of;
use super::{BenchOptions, Cell, Goal, Ratio, Table};
use crate::lab::{Lab, LabOptions, SERVER_IF};

const CONTENT_LEN: usize = 8 * 1024;

/// Maps below this are told together.
const SMALL: u64 = 100_000;

/// How long after the last transfer space is given back at the latest.
const SETTLES: Duration = Duration::from_millis(1500);

pub fn measure(options: &BenchOptions, say: &mut impl FnMut(&str)) -> Result<Table> {
    let phones = if options.quick { 2_000 } else { 20_000 };
    say(&format!("d: publishing the files of {phones} phones twice"));
    let lab = Lab::new(LabOptions::default())?;
    lab.server.enter(|| publish(phones))
}

fn publish(phones: usize) -> Result<Table> {
    let settings = Settings {
        mode: Ladder::Tc,
        interfaces: vec![SERVER_IF.to_owned()],
        ..Settings::default()
    };
    let before = maps_of(std::process::id())?;
    let kernel = Kernel::start(
        &settings,
        &tftp_edge::tftp::Settings::default(),
        &Access::default(),
    );
    if let Some(problem) = kernel.snapshot().problem {
        anyhow::bail!("part d cannot be measured: {problem}");
    }
    let empty = kernel.snapshot();
    let mut rows = vec![row("programs and empty maps", &empty)];
    let mut full = empty;
    let mut ratios = Vec::new();
    for (version, title) in ["all published", "all published again"]
        .into_iter()
        .enumerate()
    {
        for batch in changes(phones, version as u64).chunks(1024) {
            kernel.changed(batch);
        }
        kernel.settled();
        std::thread::sleep(SETTLES);
        full = kernel.snapshot();
        // Both versions of all of them do not fit at once: some wait for the space of the old ones.
        ensure!(
            full.files == phones as u64,
            "{} of {phones} files are in the kernel",
            full.files
        );
        rows.push(row(title, &full));
        ratios.push(Ratio::new(
            format!("{title}: memory of all maps against content"),
            full.map_bytes as f64 / full.content_bytes as f64,
            " x",
            Goal::AtMost(1.2),
        ));
    }
    let maps = maps_of(std::process::id())?;
    for (name, bytes) in by_name(maps.iter().filter(|(id, _)| !before.contains_key(id))) {
        rows.push(vec![
            Cell::text(format!("  of these in {name}")),
            Cell::None,
            Cell::None,
            Cell::number(bytes as f64 / 1e6, 2),
            Cell::number(bytes as f64 / full.content_bytes as f64, 3),
        ]);
    }
    kernel.shutdown();
    Ok(Table {
        part: 'd',
        title: format!("kernel memory for {phones} phones with {CONTENT_LEN} bytes each"),
        columns: vec!["state", "names", "content MB", "maps MB", "x content"],
        rows,
        ratios,
        method: format!(
            "Method: a kernel side with the default sizes is told of a configuration of \
             {CONTENT_LEN} bytes for each phone and of the patterns that stand for all their \
             absent trust lists, then of other content for all of them, and given {SETTLES:?} to take old space back. Bytes are what the \
             kernel accounts for each map (memlock in fdinfo); it sets the size of the maps of \
             transfers, budgets and known sources aside at the start, for any number of phones."
        ),
    })
}

fn row(title: &str, snapshot: &Snapshot) -> Vec<Cell> {
    vec![
        Cell::text(title),
        Cell::Count(snapshot.names),
        Cell::number(snapshot.content_bytes as f64 / 1e6, 2),
        Cell::number(snapshot.map_bytes as f64 / 1e6, 2),
        Cell::number(snapshot.map_bytes as f64 / snapshot.content_bytes as f64, 3),
    ]
}

fn changes(phones: usize, version: u64) -> Vec<Change> {
    let absent = PATTERNS.map(|pattern| Change {
        name: pattern.into(),
        stage: Stage::Trust,
        state: State::Absent,
    });
    (0..phones)
        .map(|phone| {
            let name: Arc<str> = format!("sep001b54{phone:06x}.cnf.xml").into();
            // No two phones have the same, so nothing can be shared.
            let seed = format!("{phone}/{version};");
            let content: Bytes = seed.bytes().cycle().take(CONTENT_LEN).collect();
            let published = State::Published(Arc::new(Version {
                name: name.clone(),
                stage: Stage::Config,
                generation: version * phones as u64 + phone as u64 + 1,
                published: SystemTime::UNIX_EPOCH,
                bytes: content,
            }));
            Change {
                name,
                stage: Stage::Config,
                state: published,
            }
        })
        .chain(absent)
        .collect()
}

/// Bytes by the name of the map; those without a name are the banks of slabs.
fn by_name<'m>(maps: impl Iterator<Item = (&'m u32, &'m u64)>) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (&id, bytes) in maps {
        let info = MapInfo::from_id(id).ok();
        let name = info.as_ref().and_then(|info| info.name_as_str());
        let name = name.filter(|name| !name.is_empty()).unwrap_or("the slabs");
        *sums.entry(name.to_owned()).or_default() += bytes;
    }
    // A page or two each.
    let mut small = 0;
    sums.retain(|_, bytes| {
        let is_large = *bytes >= SMALL;
        small += if is_large { 0 } else { *bytes };
        is_large
    });
    sums.insert("all others".to_owned(), small);
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|&(_, bytes)| std::cmp::Reverse(bytes));
    sums
}
