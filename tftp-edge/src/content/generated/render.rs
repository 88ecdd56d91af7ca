//! Renders the configurations of many devices, on all cores.

use std::num::NonZero;
use std::thread;

use bytes::Bytes;

use crate::inventory::{Device, Snapshot};
use crate::phonefile::{RenderError, Renderer, Templates};

/// Fewer devices than this are not worth another thread.
const DEVICES_A_THREAD: usize = 128;

pub(super) fn render<'d>(
    devices: &[&'d Device],
    snapshot: &Snapshot,
    templates: &Templates,
) -> Vec<(&'d Device, Result<Bytes, RenderError>)> {
    let render_some = |devices: &[&'d Device]| -> Vec<_> {
        let mut renderer = Renderer::default();
        devices
            .iter()
            .map(|device| {
                let content = templates.device(&mut renderer, device, snapshot);
                (*device, content.map(|bytes| Bytes::copy_from_slice(&bytes)))
            })
            .collect()
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let share = devices.len().div_ceil(cores).max(DEVICES_A_THREAD);
    let mut shares = devices.chunks(share);
    let mine = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|devices| scope.spawn(move || render_some(devices)))
            .collect();
        let mut rendered = render_some(mine);
        for other in others {
            match other.join() {
                Ok(more) => rendered.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        rendered
    })
}
