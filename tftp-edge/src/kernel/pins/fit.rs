//! Whether the maps that are pinned are those this daemon would make.
//!
//! `aya` takes over whatever is pinned under a map's name, without a look at what it is: so it is
//! looked at before.

use std::collections::BTreeMap;

use aya::maps::MapData;

use super::object::Kind;
use super::{NAMESPACE, Pinned, Pins, names_in, namespace};

/// What the kernel tells of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// `enum bpf_map_type`.
    pub kind: u32,
    pub key_len: u32,
    pub value_len: u32,
    pub max_entries: u32,
    pub flags: u32,
}

/// Checks everything that was left but the links, which [`super::adopt`] looks at one by one.
///
/// # Errors
/// Why it cannot be used.
pub fn fits(pins: &Pins, wanted: &BTreeMap<String, Shape>) -> Result<(), String> {
    let here = namespace().map_err(|error| error.to_string())?;
    if names_in(&pins.path.join(NAMESPACE)) != [here] {
        return Err("of another network namespace, or not complete".to_owned());
    }
    for (name, wanted) in wanted {
        let found = shape_of(pins, name).map_err(|problem| format!("map {name}: {problem}"))?;
        if found != *wanted {
            return Err(format!("map {name} is {found}, and is to be {wanted}"));
        }
    }
    Ok(())
}

fn shape_of(pins: &Pins, name: &str) -> Result<Shape, String> {
    let pinned = Pinned::open(&pins.maps().join(name)).map_err(|error| error.to_string())?;
    Shape::of(pinned)
}

impl Shape {
    pub(super) fn of(pinned: Pinned) -> Result<Self, String> {
        if pinned.kind != Kind::Map {
            return Err("is no map".to_owned());
        }
        let map = MapData::from_fd(pinned.descriptor).map_err(|error| error.to_string())?;
        let info = map.info().map_err(|error| error.to_string())?;
        Ok(Self {
            // Every type there is, whether this version of aya knows it or not.
            kind: info.map_type().map_or(u32::MAX, |kind| kind as u32),
            key_len: info.key_size(),
            value_len: info.value_size(),
            max_entries: info.max_entries(),
            flags: info.map_flags(),
        })
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "of type {}, {} entries of {} to {} bytes, flags {:#x}",
            self.kind, self.max_entries, self.key_len, self.value_len, self.flags
        )
    }
}
