//! Writes newcomers to the inventory, many in one transaction.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{Offer, Shared};
use crate::inventory::{Inventory, Origin};
use crate::live::Live;
use crate::provisioning::{self, AdoptError, Adoption, adopt};
use crate::register::Refusal;
use crate::service::pulse::LONGEST_WAIT;
use crate::service::{self, Role};

/// From the first newcomer to the transaction: a site that boots sends many.
const GATHERS: Duration = Duration::from_millis(50);

/// In one transaction; others wait for the next.
const BATCH: usize = 500;

pub(super) struct Intake {
    pub(super) inventory: Inventory,
    pub(super) provisioning: Live<provisioning::Settings>,
    pub(super) shared: Arc<Shared>,
}

impl Intake {
    /// Until nobody can send newcomers any more.
    pub(super) fn run(mut self, incoming: &Receiver<Adoption>) {
        let beat = service::enter("newcomers", Role::Plain);
        loop {
            beat.pass();
            let first = match incoming.recv_timeout(LONGEST_WAIT) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut batch = vec![first];
            let end = Instant::now() + GATHERS;
            while batch.len() < BATCH {
                match incoming.recv_timeout(end.saturating_duration_since(Instant::now())) {
                    Ok(adoption) => batch.push(adoption),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.take_in(&batch);
        }
    }

    fn take_in(&mut self, batch: &[Adoption]) {
        let settings = self.provisioning.get();
        let window = settings.has_windows().then(|| {
            let now = provisioning::since_epoch().as_secs();
            now + provisioning::seconds(settings.window_minutes)
        });
        drop(settings);
        let origin = Origin::of_process("auto-registration");
        let adopted = adopt(&mut self.inventory, batch, window, &origin);
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        let results = match adopted {
            Ok(results) => results,
            Err(error) => {
                tracing::error!(
                    event = "newcomer.inventory_unwritable", %error,
                    devices = batch.len(),
                    "unknown phones cannot be taken in: the inventory cannot be written"
                );
                let refused = Offer::Refused(Refusal::AutoRegistration);
                for adoption in batch {
                    state.answers.put(adoption.name, refused, now);
                }
                state.counts.failed += batch.len() as u64;
                return;
            }
        };
        for (adoption, result) in batch.iter().zip(results) {
            let device = adoption.name;
            match result {
                Ok(taken) => {
                    state.counts.taken_in += 1;
                    let (site, number) = (taken.site, taken.lines.into_iter().next());
                    let number = number.map(|line| line.number).unwrap_or_default();
                    tracing::info!(event = "newcomer.taken_in", %device, site, number, model = adoption.model, "taken in");
                }
                // Somebody else was faster.
                Err(AdoptError::Known(_)) => {}
                Err(error) => {
                    match error {
                        AdoptError::UsedUp { .. } | AdoptError::NoPool(_) => {
                            state.counts.no_number += 1;
                        }
                        _ => state.counts.unfit += 1,
                    }
                    let refused = Offer::Refused(Refusal::AutoRegistration);
                    state.answers.put(device, refused, now);
                    tracing::warn!(event = "newcomer.refused", %device, %error, "an unknown phone is not taken in");
                }
            }
        }
    }
}
