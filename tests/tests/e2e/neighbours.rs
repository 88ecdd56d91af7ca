//! Other programs on the same interface: the kernel program does not take their packets from them.

use anyhow::{Result, ensure};
use tftp_edge_tests::client::{Outcome, Request};
use tftp_edge_tests::lab::{Impairment, LabPrograms, SERVER_IF, Side};
use tftp_edge_tests::rig::{OVER_V4, Rig};

on_every_rung!(what_is_passed_on_reaches_the_programs_behind);

fn what_is_passed_on_reaches_the_programs_behind(rig: &mut Rig<'_>) -> Result<()> {
    rig.start()?;
    // It lets everything through, and counts.
    let none = Impairment::default();
    let behind = LabPrograms::impair(&rig.lab.server, SERVER_IF, Side::Ingress, none)?;
    let got = rig.get(OVER_V4, Request::plain("nobody-knows-it"))?;
    ensure!(
        matches!(got.outcome, Outcome::Refused { code: 1, .. }),
        "{:?}",
        got.outcome
    );
    ensure!(
        behind.impairs()?.seen > 0,
        "the program behind has seen nothing"
    );
    Ok(())
}
