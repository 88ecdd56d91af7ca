//! Every case of the table, through both programs.

use std::time::Instant;

use tftp_ebpf::abi::Address;
use tftp_ebpf::abi::trace::Mirrored;
use tftp_ebpf::testing::{Case, MemoryMaps, Site, host, table};
use tftp_ebpf::verdict::Rung;
use tftp_edge::kernel::mirror;
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

/// What a record says, but for when and how it was read.
type Told = (u8, u8, u8, u8, Vec<u8>);

fn told(record: &Mirrored, frame: &[u8]) -> Told {
    let Mirrored {
        is_answer,
        reason,
        class,
        decision,
        ..
    } = *record;
    (is_answer, reason, class, decision, frame.to_vec())
}

/// What the host's run of the same code tells.
fn told_by_host<const RUNG: u8>(site: &Site, case: &Case, sender: Option<Address>) -> Vec<Told> {
    let mut maps = MemoryMaps::new(site.clone());
    maps.set_up(case, host::NOW_NS);
    let mut traced = maps.traced.borrow_mut();
    traced.extend(sender.map(|sender| (sender, 1)));
    drop(traced);
    host::run_case::<RUNG>(&maps, case);
    let records = maps.mirrors.take();
    let of = |record: &Mirrored| told(record, &record.frame[..record.captured_len as usize]);
    records.iter().map(of).collect()
}

/// The table through the programs that trace, with each sender traced: they end as the others do,
/// and tell what the host tells.
fn run_traced<const RUNG: u8>() {
    if !may_load("the table of cases, traced") {
        return;
    }
    let rung = Rung::ALL[usize::from(RUNG)];
    let site = Site::on(rung);
    let mut programs = Programs::load(&site).expect("the programs load");
    let mut ring = programs.trace().expect("the programs that trace load");
    let mut problems = Vec::new();
    for case in table(&site).iter().filter(|case| can_run(rung, case)) {
        let sender = host::sender(&case.frame);
        programs
            .trace_only(sender)
            .expect("the maps can be written");
        match run_case(&site, &mut programs, rung, case) {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => problems.push(format!("{}: {problem}", case.name)),
            Err(error) => problems.push(format!("{}: {error:#}", case.name)),
        }
        let mut records = Vec::new();
        while let Some(record) = ring.next() {
            let (head, frame) = mirror::parse(&record).expect("a record");
            records.push(told(&head, frame));
        }
        // A run that was held up is done again, and told again.
        let expected = told_by_host::<RUNG>(&site, case, sender);
        if !records.ends_with(&expected) || expected.is_empty() != records.is_empty() {
            problems.push(format!(
                "{}: {records:02x?} were told, not {expected:02x?}",
                case.name
            ));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_case_of_the_table_is_told_to_a_trace_under_xdp() {
    run_traced::<0>();
}

#[test]
fn every_case_of_the_table_is_told_to_a_trace_under_tc() {
    run_traced::<1>();
}
