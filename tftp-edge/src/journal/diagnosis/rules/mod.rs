//! The rules, one for each thing that phones stop for.

mod config;
mod delivery;
mod firmware;
mod invalid_xml;
mod lost;
mod refused;
mod registration;
mod silent;
mod storm;
mod trust;
mod unexplained;

use super::case::{Case, Found};
pub(super) use storm::waits;

/// Gives back what it finds, if it finds anything.
pub(super) type Rule = fn(&Case<'_>) -> Option<Found>;

/// Of those that are as likely, the first is told first.
pub(super) const ALL: &[Rule] = &[
    silent::no_dhcp_option,
    refused::refused,
    refused::unknown_device,
    storm::storm_wait,
    delivery::no_reply,
    config::config_missing,
    firmware::load_missing,
    firmware::load_rejected,
    trust::asks_for_signed_files,
    trust::says_so,
    trust::holds_another_list,
    invalid_xml::invalid_xml,
    invalid_xml::dial_template_too_long,
    delivery::transfer_stops,
    lost::lost,
    registration::no_registration,
    unexplained::unexplained,
];
