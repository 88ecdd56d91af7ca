//! Soft keys: which there are, which are shown in which state of a call, and which state it is.

use super::{Body, Dialect, Outgoing, Reply};

/// What keys do, from event 1 on (chan-sccp); the template that is sent has them in this order.
pub const EVENTS: [&str; 32] = [
    "redial",
    "newcall",
    "hold",
    "transfer",
    "cfwdall",
    "cfwdbusy",
    "cfwdnoanswer",
    "backspace",
    "endcall",
    "resume",
    "answer",
    "info",
    "confrn",
    "park",
    "join",
    "meetme",
    "pickup",
    "gpickup",
    "monitor",
    "callback",
    "barge",
    "dnd",
    "conflist",
    "select",
    "private",
    "trnsfvm",
    "dirtrfr",
    "idivert",
    "videomode",
    "intrcpt",
    "empty",
    "dial",
];

/// The most keys of a state.
pub const MAX_KEYS: usize = 16;

/// What stands on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// A place in the phone's dictionary, so that it is in the user's language.
    Dictionary(u8),
    Text(&'static str),
}

/// A key of the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateKey {
    pub label: Label,
    pub event: u32,
}

const LABEL_LEN: usize = 16;

/// Says that a place in the dictionary follows.
const DICTIONARY: u8 = 0x80;

/// SoftKeyTemplateRes 0x0108.
#[derive(Clone, Copy, Debug)]
pub struct SoftKeyTemplateRes<'p> {
    /// 32 at most.
    pub keys: &'p [TemplateKey],
}

impl Reply for SoftKeyTemplateRes<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::SoftKeyTemplateRes
    }

    fn emit(&self, body: &mut Body<'_>) {
        let count = self.keys.len() as u32;
        body.u32(0);
        body.u32(count);
        body.u32(count);
        for key in self.keys {
            match key.label {
                Label::Dictionary(place) => {
                    let mut label = [0; LABEL_LEN];
                    label[..2].copy_from_slice(&[DICTIONARY, place]);
                    body.bytes(&label);
                }
                Label::Text(text) => body.text(text, LABEL_LEN),
            }
            body.u32(key.event);
        }
    }
}

/// The help texts of the keys: in the order of the template, from 301 on.
const INFO: u16 = 300;

/// SoftKeySetRes 0x0109.
#[derive(Clone, Copy, Debug)]
pub struct SoftKeySetRes<'p> {
    /// For each state, places in the template from 1 on; 0 is no key. 16 states at most.
    pub sets: &'p [[u8; MAX_KEYS]],
}

impl Reply for SoftKeySetRes<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::SoftKeySetRes
    }

    fn emit(&self, body: &mut Body<'_>) {
        let count = self.sets.len() as u32;
        body.u32(0);
        body.u32(count);
        body.u32(count);
        for set in self.sets {
            body.bytes(set);
            for &key in set {
                let info = if key == 0 { 0 } else { INFO + u16::from(key) };
                body.u16(info);
            }
        }
    }
}

/// SelectSoftKeys 0x0110.
#[derive(Clone, Copy, Debug)]
pub struct SelectSoftKeys {
    /// 0 for the phone as a whole.
    pub line: u32,
    pub call_reference: u32,
    /// The number of the state in [`SoftKeySetRes`].
    pub set: u32,
    /// A bit for each key of the set that can be pressed, the first one the lowest.
    pub valid: u32,
}

impl Reply for SelectSoftKeys {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::SelectSoftKeys
    }

    fn emit(&self, body: &mut Body<'_>) {
        for field in [self.line, self.call_reference, self.set, self.valid] {
            body.u32(field);
        }
    }
}
