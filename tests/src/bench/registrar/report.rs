//! The tables of the registrars.

use std::time::Duration;

use super::play::{Played, Sample};
use super::{Case, Phase, Transport, WINDOW};
use crate::bench::table::{median, spread};
use crate::bench::{Cell, Goal, Ratio, Table};

/// The part's letter.
const PART: char = 'g';

pub fn tables(cases: &[Case<'_>]) -> Vec<Table> {
    vec![rates(cases), memory(cases), growth(cases)]
}

/// The samples of a phase, round by round.
fn of_phase(rounds: &[Played], phase: Phase) -> Vec<Sample> {
    let samples = rounds.iter().flat_map(|round| &round.samples);
    let of_phase = samples.filter(|(of, _)| *of == phase);
    of_phase.map(|&(_, sample)| sample).collect()
}

fn rates(cases: &[Case<'_>]) -> Table {
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for case in cases {
        for &phase in case.phases() {
            let samples: Vec<Vec<Sample>> = case
                .played
                .iter()
                .map(|rounds| of_phase(rounds, phase))
                .collect();
            let kamailio = samples.get(1);
            for (arm, samples) in case.arms.iter().zip(&samples) {
                let each =
                    |value: fn(&Sample) -> f64| -> Vec<f64> { samples.iter().map(value).collect() };
                let per_cpu = each(Sample::per_cpu_second);
                // Round by round, so that what slows both down falls out.
                let against = kamailio.map_or(f64::NAN, |kamailio| {
                    let pairs = samples.iter().zip(kamailio);
                    median(pairs.map(|(it, theirs)| it.per_cpu_second() / theirs.per_cpu_second()))
                });
                rows.push(vec![
                    Cell::text(format!("{}, {}", case.title(), phase.as_str())),
                    Cell::text(arm.name()),
                    Cell::number(median(per_cpu.iter().copied()), 0),
                    spread(&per_cpu, 0),
                    Cell::number(against, 2),
                    Cell::number(median(each(Sample::per_second)), 0),
                    Cell::number(median(each(|it| busy(it.used, it))), 0),
                    Cell::number(median(each(|it| busy(it.own, it))), 0),
                    Cell::Count(samples.iter().map(|it| it.resent).sum()),
                ]);
                if arm.name() != "kamailio" && kamailio.is_some() {
                    let what = format!("{}, {}: against kamailio", case.title(), phase.as_str());
                    ratios.push(Ratio::new(what, against, " x", Goal::AtLeast(2.0)));
                }
            }
        }
    }
    let phones = cases.iter().map(|case| case.phones);
    let (most, least) = (phones.clone().max().unwrap_or(0), phones.min().unwrap_or(0));
    Table {
        part: PART,
        title: "registrations per second of the registrar's CPU time".to_owned(),
        columns: vec![
            "phones",
            "registrar",
            "per CPU s",
            "rounds",
            "x kamailio",
            "per s",
            "its CPU %",
            "phones' CPU %",
            "resent",
        ],
        rows,
        ratios,
        method: format!(
            "Method: the same simulated phones against each registrar in turns, on the loopback of \
             a namespace of its own, each round with a registrar that was just started: {most} \
             phones over UDP from 64 addresses, {least} over TCP with an address and a connection \
             each. At most {WINDOW} are at it at a time, the next begins when one is through, and \
             what is not answered within 500 ms is sent again (`resent`). `first`: all register \
             for the first time, over TCP with the connection made, with digest by 401 and 200. \
             `refresh`: all again, with the nonce they have and its count; SCCP, a keepalive. \
             `challenged`: all again without a nonce, 401 and 200. An SCCP registration is all \
             from Alarm and Register to DefineTimeDate, in lockstep. CPU is that of all processes \
             and threads of the registrar, user and system, and on the loopback the delivery of \
             what one side sends is in its own; % are of one core, and what the phones use is \
             missing to the registrar's `per s`. Every phase is checked: no phone refused or lost, \
             and the registrar itself counts as many phones as there are. Kamailio is Debian's, \
             with a process for each core, usrloc in memory alone with 131,072 slots, nonces with \
             their count checked, and passwords computed from the line's name in its script: no \
             database is in it. tftp-edge looks lines and passwords up in its inventory, checks \
             the device, asks storm admission and bans, both on with their defaults, and writes \
             registrations behind to SQLite; its expiry is not cut, so that both grant what is \
             asked for. No phone is told to wait and none is shut out: that would fail the \
             round. Other work may go on beside it. Medians over the rounds; \
             `x kamailio` is the median of the rounds' ratios."
        ),
    }
}

/// Percent of one core.
fn busy(time: Duration, sample: &Sample) -> f64 {
    time.as_secs_f64() / sample.took.as_secs_f64() * 100.0
}

fn memory(cases: &[Case<'_>]) -> Table {
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for case in cases {
        for (arm, rounds) in case.arms.iter().zip(&case.played) {
            let kilobytes: Vec<f64> = rounds.iter().map(|it| it.memory / 1e3).collect();
            let middle = median(kilobytes.iter().copied());
            rows.push(vec![
                Cell::text(case.title()),
                Cell::text(arm.name()),
                Cell::Count(case.phones.into()),
                Cell::number(middle, 2),
                spread(&kilobytes, 2),
            ]);
            // Over TCP most of it is the connection's.
            if arm.name() != "kamailio" && case.transport == Transport::SipUdp {
                let what = format!("{}: memory of a registration", case.title());
                ratios.push(Ratio::new(what, middle, " kB", Goal::AtMost(1.0)));
            }
        }
    }
    Table {
        part: PART,
        title: "memory of a registration".to_owned(),
        columns: vec!["phones", "registrar", "registered", "kB each", "rounds"],
        rows,
        ratios,
        method:
            "Method: what the anonymous and shared memory of the registrar's processes grew by \
                 (Pss_Anon and Pss_Shmem of smaps_rollup, so that shared pages count once) from \
                 just started to all registered, for each. Over TCP that is with the connection's \
                 buffers in the process; the kernel's are not in it. tftp-edge has its inventory \
                 in memory before."
                .to_owned(),
    }
}

/// Microseconds of CPU for each of the first and of the last phones, and for writing them behind.
fn growth(cases: &[Case<'_>]) -> Table {
    let mut rows = Vec::new();
    for case in cases {
        for (arm, rounds) in case.arms.iter().zip(&case.played) {
            let each_us =
                |time: Duration, registrations: f64| time.as_secs_f64() * 1e6 / registrations;
            let ends = |at: usize| {
                let of = rounds.iter().filter_map(move |round| round.ends);
                of.map(move |ends| each_us(ends[at].used, ends[at].registrations as f64))
            };
            let ratios = ends(0).zip(ends(1)).map(|(begin, last)| last / begin);
            let phones = f64::from(case.phones);
            let behind = rounds.iter().map(|round| each_us(round.behind, phones));
            rows.push(vec![
                Cell::text(case.title()),
                Cell::text(arm.name()),
                Cell::number(median(ends(0)), 2),
                Cell::number(median(ends(1)), 2),
                Cell::number(median(ratios), 2),
                Cell::number(median(behind), 2),
            ]);
        }
    }
    Table {
        part: PART,
        title: "CPU of a first registration as the table fills".to_owned(),
        columns: vec![
            "phones",
            "registrar",
            "first, us",
            "last, us",
            "last / first",
            "behind, us",
        ],
        rows,
        ratios: Vec::new(),
        method:
            "Method: of the first registrations above, the CPU time for each of the first fiftieth \
             over UDP, which found the table empty, and of the last, which found it nearly full. \
             `behind` is what the thread that writes to SQLite used for each of all, until all was \
             written; it is in `first` of the table above, and in the ends here as far as it ran \
             meanwhile."
                .to_owned(),
    }
}
