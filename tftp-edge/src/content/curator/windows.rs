//! Provisioning windows: whose own files are to be had, and until when.

use super::Curator;
use crate::inventory::DeviceName;
use crate::provisioning::since_epoch;

impl Curator {
    /// Takes out what belongs to devices whose window is over. Transfers under way end as they
    /// began.
    pub(super) fn close_windows(&mut self) {
        let closed = self.gate.expire(since_epoch().as_secs());
        if closed.is_empty() {
            return;
        }
        self.publish_own_files(&closed);
        self.hand_out();
        self.count();
        tracing::info!(
            event = "provisioning.windows_closed",
            devices = closed.len(),
            "provisioning windows closed"
        );
    }

    pub(super) fn publish_own_files(&mut self, devices: &[DeviceName]) {
        for device in devices {
            for name in device.own_files() {
                let name = name.into();
                // What was fetched, or not, was so with the window as it was.
                self.upstream.forget(&name);
                self.publish(&name);
            }
        }
        self.publish_exact();
    }
}
