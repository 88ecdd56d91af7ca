//! What tests need of a phone, and of the rest of the daemon.

use std::sync::Arc;

use super::Settings;
use super::wire::{Frame, Outgoing};
use crate::access::Access;
use crate::inventory::{Contents, Site, Snapshot, parse_csv};
use crate::journal::Journal;
use crate::register::storm::Storm;
use crate::register::{Desk, Directory, NoGuard, Table};

/// A 7941 with two lines, a SIP phone, a 7960 and a phone of a model nobody has a number for.
const DEVICES: &str = "name,model,protocol,lines\n\
    SEP001122334455,7941,sccp,1001;1002\n\
    SEP0011223344AA,8851,sip,2001\n\
    SEP0011223344BB,7960,sccp,1003\n";

pub(super) const PHONE: &str = "SEP001122334455";
pub(super) const TYPE_7941: u32 = 115;

/// The devices above.
pub(super) fn contents() -> Contents {
    Contents {
        devices: parse_csv(DEVICES.as_bytes()).unwrap(),
        ..Contents::default()
    }
}

pub(super) fn desk(contents: Contents) -> Desk {
    let directory = Directory::default();
    directory.update(Arc::new(Snapshot::new(contents, &Site::default())));
    let journal = Arc::<Journal>::default();
    Desk {
        access: Access::default().into(),
        alarms: Arc::default(),
        bans: Arc::default(),
        directory: Arc::new(directory),
        guard: Arc::new(NoGuard),
        table: Arc::new(Table::default().telling(Arc::clone(&journal))),
        journal,
        newcomers: Arc::default(),
        storm: Arc::new(Storm::new(crate::register::storm::Settings::default())),
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        ..Settings::default()
    }
}

/// A message as a phone writes it.
pub(super) fn message(id: u32, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u32 + 4;
    let header = [length, 0, id].map(u32::to_le_bytes).concat();
    [&header, body].concat()
}

pub(super) fn number(id: u32, number: u32) -> Vec<u8> {
    message(id, &number.to_le_bytes())
}

/// Register as a 7941 sends it.
pub(super) fn register(name: &str, type_id: u32, version: u8) -> Vec<u8> {
    let mut body = vec![0; 124];
    body[..name.len()].copy_from_slice(name.as_bytes());
    body[20] = 1;
    body[24..28].copy_from_slice(&[10, 0, 0, 7]);
    body[28..32].copy_from_slice(&type_id.to_le_bytes());
    body[40] = version;
    body[41..44].copy_from_slice(&[0x00, 0x72, 0x85]);
    body[92..105].copy_from_slice(b"SCCP41.9-4-2S");
    message(0x0001, &body)
}

pub(super) fn token(name: &str, type_id: u32) -> Vec<u8> {
    let mut body = vec![0; 52];
    body[..name.len()].copy_from_slice(name.as_bytes());
    body[28..32].copy_from_slice(&type_id.to_le_bytes());
    message(0x0029, &body)
}

pub(super) fn capabilities() -> Vec<u8> {
    let mut body = vec![0; 4 + 2 * 16];
    body[0] = 2;
    body[4] = 4;
    body[20] = 11;
    message(0x0010, &body)
}

/// All that a phone asks after RegisterAck, in the order of a 7941.
pub(super) fn questions() -> Vec<Vec<u8>> {
    vec![
        capabilities(),
        message(0x000E, &[]),
        message(0x0028, &[]),
        message(0x0025, &[]),
        message(0x000C, &[]),
        number(0x000B, 1),
        number(0x000B, 2),
        number(0x0009, 1),
        number(0x000A, 1),
        message(0x0034, &[1, 0, 0, 0, 0, 0, 0, 0]),
        number(0x0033, 1),
        message(0x000F, &[]),
        message(0x0012, &[]),
        number(0x002D, 2),
        message(0x000D, &[]),
    ]
}

/// The messages in a stream of ours, each whole.
pub(super) fn messages(mut stream: &[u8]) -> Vec<(Outgoing, Vec<u8>)> {
    let mut messages = Vec::new();
    while let Some((frame, len)) = Frame::first(stream).unwrap() {
        let message = Outgoing::of_id(frame.id).expect("a message of ours");
        messages.push((message, frame.body.to_vec()));
        stream = &stream[len..];
    }
    assert!(stream.is_empty());
    messages
}

pub(super) fn kinds(stream: &[u8]) -> Vec<Outgoing> {
    messages(stream).into_iter().map(|it| it.0).collect()
}
