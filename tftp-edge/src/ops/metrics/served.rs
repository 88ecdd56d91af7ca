//! What phones ask for and get, over TFTP and over HTTP.

use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::{Reason, Rung, Verdict};

use super::family::{Bounds, Family};
use crate::http::{Refusal, Scheme};
use crate::ops::sources::Reading;
use crate::stats::{Path, StageCounter, Unserved};

/// Transfers: 256 µs to 67 s.
const TRANSFER: Bounds = Bounds {
    exponents: 8..=26,
    units_per_second: 1e6,
};
/// From a request to the first byte: 16 µs to 1 s.
const FIRST_BYTE: Bounds = Bounds {
    exponents: 4..=20,
    units_per_second: 1e6,
};

pub(super) fn families(reading: &Reading) -> Vec<Family> {
    let mut families = served(reading);
    families.extend(tftp(reading));
    families.extend(http(reading));
    families
}

/// What is counted alike for TFTP and HTTP. The names are older than HTTP here.
fn served(reading: &Reading) -> Vec<Family> {
    let mut requests = Family::counter(
        "tftp_requests_total",
        "Read requests, repeats not counted; over HTTP, GET and HEAD. Write requests are refused \
         before they have a class: see tftp_packets_total and http_refused_total.",
    );
    let mut responses = Family::counter(
        "tftp_responses_total",
        "Ends of requests: the last block acknowledged, ERROR 1, ended by the client or by ICMP, \
         given up since nothing came back, or turned away for want of room; over HTTP the last byte \
         handed to the system, 404, a connection that broke, one that took too little, 503.",
    );
    let mut durations = Family::histogram(
        "tftp_transfer_duration_seconds",
        "Time from the request to the acknowledgement of the last block; over HTTP to the last byte \
         handed to the system.",
    );
    let mut first_bytes = Family::histogram(
        "tftp_first_byte_seconds",
        "Time from the arrival of a request at the host to the first DATA or OACK handed to the \
         system; over HTTP from the whole request to the first bytes of the file. The kernel program \
         answers in the time it runs: see xdp_program_seconds.",
    );
    let mut bytes = Family::counter("tftp_sent_bytes_total", "Payload sent, resends included.");
    for path in Path::ALL {
        let tally = reading.served(path);
        let is_kernel = matches!(path, Path::Rung(Rung::Xdp | Rung::Tc));
        let path = ("path", path.as_str());
        for stage in Stage::ALL {
            let class = ("class", stage.as_str());
            let count = |counter| tally.stage(stage, counter) as f64;
            requests.add(
                &[("op", "read"), class, path],
                count(StageCounter::Requests),
            );
            let ended = |outcome| tally.outcome(stage, outcome) as f64;
            for (result, value) in [
                ("complete", count(StageCounter::Complete)),
                ("not_found", count(StageCounter::NotFound)),
                ("aborted", count(StageCounter::Aborted)),
                ("timeout", ended(Unserved::TimedOut)),
                ("shed", ended(Unserved::Shed)),
            ] {
                // The kernel program forgets the transfer that was idle longest instead.
                if result != "shed" || !is_kernel {
                    responses.add(&[class, ("result", result), path], value);
                }
            }
            if !is_kernel {
                first_bytes.add_log2(
                    &[class, path],
                    &FIRST_BYTE,
                    &tally.first_byte_us[stage as usize],
                    Some(tally.first_byte_us_sum[stage as usize]),
                );
            }
            durations.add_log2(
                &[class, path],
                &TRANSFER,
                &tally.transfer_us[stage as usize],
                Some(tally.transfer_us_sum[stage as usize]),
            );
            bytes.add(&[class, path], count(StageCounter::Bytes));
        }
    }
    vec![requests, responses, durations, first_bytes, bytes]
}

fn tftp(reading: &Reading) -> Vec<Family> {
    let mut blocks = Family::counter(
        "tftp_sent_blocks_total",
        "DATA packets sent, resends included.",
    );
    let mut resent = Family::counter(
        "tftp_retransmitted_blocks_total",
        "DATA and OACK packets sent again.",
    );
    let mut packets = Family::counter(
        "tftp_packets_total",
        "Packets looked at, by what was done and why; what one path passes on, the next counts again.",
    );
    for rung in Rung::ALL {
        let tally = reading.tally(rung);
        let path = ("path", rung.as_str());
        for stage in Stage::ALL {
            let class = ("class", stage.as_str());
            let count = |counter| tally.stage(stage, counter) as f64;
            blocks.add(&[class, path], count(StageCounter::Blocks));
            resent.add(&[class, path], count(StageCounter::Resent));
        }
        for reason in Reason::ALL {
            let action = match reason.verdict() {
                Verdict::Answer => "answer",
                Verdict::Pass => "pass",
                Verdict::Drop => "drop",
                Verdict::Classify => "classify",
            };
            packets.add(
                &[path, ("action", action), ("reason", reason.as_str())],
                tally.reason(reason) as f64,
            );
        }
    }
    let (kernel, sockets) = (&reading.kernel, &reading.sockets);
    let sip = &reading.register.sip.traffic;
    let by_place = |family: Family, in_kernel: u64, in_daemon: u64| {
        family
            .with(&[("path", "kernel")], in_kernel as f64)
            .with(&[("path", "socket")], in_daemon as f64)
    };
    vec![
        blocks,
        resent,
        packets,
        by_place(
            Family::gauge("tftp_sessions", "Transfers under way."),
            kernel.transfers,
            sockets.transfers,
        ),
        by_place(
            Family::gauge("tftp_sessions_limit", "Most transfers there may be."),
            kernel.transfers_limit,
            sockets.transfers_limit,
        ),
        Family::counter(
            "udp_receive_errors_total",
            "Datagrams the system dropped because a socket's buffer was full.",
        )
        .with(&[("socket", "tftp")], sockets.receive_errors as f64)
        .with(&[("socket", "sip")], sip.receive_overflows as f64),
    ]
}

fn http(reading: &Reading) -> Vec<Family> {
    let http = &reading.http;
    let mut connections = Family::gauge("http_connections", "Connections that are open.");
    let mut in_progress = Family::gauge("http_requests_in_progress", "Files that are being sent.");
    let mut refused = Family::counter(
        "http_refused_total",
        "Connections ended and requests refused, by reason.",
    );
    for scheme in Scheme::ALL {
        let traffic = &http.traffic[scheme as usize];
        let path = ("path", scheme.path().as_str());
        connections.add(&[path], traffic.connections as f64);
        in_progress.add(&[path], traffic.in_progress as f64);
        for reason in Refusal::ALL {
            refused.add(
                &[path, ("reason", reason.as_str())],
                traffic.refused(reason) as f64,
            );
        }
    }
    vec![
        connections,
        Family::gauge(
            "http_connections_limit",
            "Most connections there may be, HTTPS included.",
        )
        .with(&[], http.connections_limit as f64),
        in_progress,
        refused,
    ]
}
