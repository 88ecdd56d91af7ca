//! Every case of the table, through both programs.

use std::time::Instant;

use tftp_ebpf::testing::{Case, Site, table};
use tftp_ebpf::verdict::Rung;
use tftp_edge_tests::programs::{Programs, can_run, may_load};

use crate::SOON;

/// Runs one case; again if the machine held it up for so long that times in it are off.
fn run_case(
    site: &Site,
    programs: &mut Programs,
    rung: Rung,
    case: &Case,
) -> anyhow::Result<Result<(), String>> {
    loop {
        let started = Instant::now();
        programs.set_up(case)?;
        let (transfers, budgets) = (programs.transfers()?, programs.budgets()?);
        let run = programs.run(rung, &case.frame)?;
        if started.elapsed() < SOON {
            return Ok(case.check(site, &run.outcome, &transfers, &budgets));
        }
    }
}

fn run_table(rung: Rung) {
    if !may_load("the table of cases") {
        return;
    }
    let site = Site::on(rung);
    let mut programs = Programs::load(&site).expect("the programs load");
    let mut problems = Vec::new();
    for case in table(&site).iter().filter(|case| can_run(rung, case)) {
        match run_case(&site, &mut programs, rung, case) {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => problems.push(format!("{}: {problem}", case.name)),
            Err(error) => problems.push(format!("{}: {error:#}", case.name)),
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_case_of_the_table_under_xdp() {
    run_table(Rung::Xdp);
}

#[test]
fn every_case_of_the_table_under_tc() {
    run_table(Rung::Tc);
}
