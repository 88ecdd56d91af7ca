//! What both registrars stand on, with a few phones in the inventory.

use std::sync::{Arc, OnceLock};

use tftp_edge::access::Access;
use tftp_edge::inventory::table_file::{self, About};
use tftp_edge::inventory::{
    Change, Contents, Device, Edit, Record, RowErrors, Site, Snapshot, Table,
};
use tftp_edge::journal::Journal;
use tftp_edge::register::storm::{self, Storm};
use tftp_edge::register::{self, Desk, Directory, NoGuard};

const PHONES: &str = "name,model,protocol,lines,secret\n\
    SEP0011223344FF,8851,sip,1001;1002,secret\n\
    SEP001122334400,8851,sip,1003,\n\
    SIP001122334477,7960,sip,1007,\n\
    SEP001122334455,7941,sccp,1004;1005,\n\
    SEP0011223344BB,7960,sccp,1006,\n";

fn devices() -> Vec<Device> {
    let about = About {
        table: Some(Table::Devices),
        ..About::default()
    };
    let mut errors = RowErrors::default();
    let rows = table_file::read(PHONES.as_bytes(), &about, &mut errors);
    let rows = rows.expect("a slice can be read").expect("a good header").1;
    let edit = Edit {
        rows,
        errors,
        ..Edit::default()
    };
    let plan = edit
        .plan(Contents::default())
        .expect("the phones are sound");
    let devices = plan.changes.into_iter().filter_map(|change| match change {
        Change::Added(Record::Device(device)) => Some(*device),
        _ => None,
    });
    devices.collect()
}

/// A desk of its own: nobody is registered or banned.
pub(crate) fn desk() -> Arc<Desk> {
    static SNAPSHOT: OnceLock<Arc<Snapshot>> = OnceLock::new();
    let snapshot = SNAPSHOT.get_or_init(|| {
        let contents = Contents {
            devices: devices(),
            ..Contents::default()
        };
        Arc::new(Snapshot::following(None, contents, &Site::default()))
    });
    let directory = Directory::default();
    directory.update(Arc::clone(snapshot));
    let journal = Arc::<Journal>::default();
    Arc::new(Desk {
        access: Access::default().into(),
        alarms: Arc::default(),
        bans: Arc::default(),
        directory: Arc::new(directory),
        guard: Arc::new(NoGuard),
        table: Arc::new(register::Table::default().telling(Arc::clone(&journal))),
        journal,
        newcomers: Arc::default(),
        storm: Arc::new(Storm::new(storm::Settings::default())),
    })
}
