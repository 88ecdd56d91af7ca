use std::time::Duration;

use super::*;
use crate::ops::sources::Sources;

fn serving(mode: Mode, problem: Option<&str>) -> Status {
    let mut reading = Sources::default().read();
    reading.uptime = Duration::from_secs(3_725);
    reading.sockets.bound = vec![([0, 0, 0, 0], 69).into()];
    reading.http.bound[0] = vec![([0, 0, 0, 0], 6970).into()];
    reading.http.connections_limit = 4_096;
    reading.content.settled = true;
    reading.content.on_disk = 12;
    reading.content.clashes = 1;
    reading.stuck = [(Cause::WrongModel, 2), (Cause::LoadMissing, 31)].into();
    reading.kernel.xdp.stages[Stage::Config as usize][StageCounter::Requests as usize] = 5_000;
    reading.kernel.xdp.stages[Stage::Trust as usize][StageCounter::Requests as usize] = 10_000;
    reading.kernel.xdp.stages[Stage::Config as usize][StageCounter::Bytes as usize] = 31_234_567;
    reading.kernel.interfaces = vec![InterfaceStatus {
        problem: problem.map(str::to_owned),
        ..InterfaceStatus::new("eth0", mode)
    }];
    let mut status = Status::new(&reading);
    status.pid = 4711;
    status.version = "0.0.0".to_owned();
    status
}

#[test]
fn the_exit_code_tells_whether_the_rung_asked_for_serves() {
    assert_eq!(serving(Mode::Xdp, None).exit(), Exit::Ok);
    // TC because TC was asked for is no problem.
    assert_eq!(serving(Mode::Tc, None).exit(), Exit::Ok);
    assert_eq!(serving(Mode::Tc, Some("no XDP")).exit(), Exit::Degraded);
    let starting = Status::new(&Sources::default().read());
    assert_eq!(starting.exit(), Exit::Temporary);
}

#[test]
fn a_kernel_side_that_is_off_against_the_will_is_degraded() {
    let mut status = serving(Mode::Off, None);
    status.kernel.problem = Some("CAP_BPF is missing".to_owned());
    assert_eq!(status.exit(), Exit::Degraded);
}

#[test]
fn the_text_for_people() {
    let problem = "no native XDP: the driver has no room; TC serves";
    insta::assert_snapshot!(serving(Mode::Tc, Some(problem)));
}

#[test]
fn an_interface_that_is_not_there_is_told_with_the_time_it_is_missed() {
    let mut status = serving(Mode::Xdp, None);
    status.kernel.interfaces = vec![
        InterfaceStatus {
            problem: Some("there is no such interface".to_owned()),
            absent_seconds: Some(61),
            ..InterfaceStatus::new("eth1", Mode::Off)
        },
        InterfaceStatus {
            members: vec!["eth2".to_owned(), "eth3".to_owned()],
            notice: Some("has no carrier".to_owned()),
            ..InterfaceStatus::new("bond0", Mode::Xdp)
        },
    ];
    assert_eq!(status.exit(), Exit::Degraded);
    let text = status.to_string();
    let expected = "  eth1: absent for 1 min 1 s (there is no such interface)\n  \
                    bond0: xdp on eth2, eth3\n    note: has no carrier\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_notice_does_not_make_it_degraded() {
    let mut status = serving(Mode::Xdp, None);
    status.kernel.interfaces[0].notice = Some("has no carrier".to_owned());
    assert_eq!(status.exit(), Exit::Ok);
}

#[test]
fn what_goes_over_the_socket_comes_back_the_same() {
    let json = serde_json::to_string(&serving(Mode::Xdp, None)).unwrap();
    let back: Status = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), json);
    assert!(json.contains(r#""mode":"xdp""#));
}

#[test]
fn upstream_servers_stand_there_with_what_is_wrong_with_them() {
    let mut status = serving(Mode::Xdp, None);
    assert!(!status.to_string().contains("upstream"));
    let server = |server: &str, problem: Option<&str>| upstream::ServerSnapshot {
        server: server.to_owned(),
        is_up: problem.is_none(),
        problem: problem.map(str::to_owned),
        fetches: Default::default(),
    };
    status.upstream = upstream::Snapshot {
        servers: vec![
            server("http://10.1.1.10:6970", None),
            server("tftp://10.1.1.11:69", Some("does not answer")),
        ],
        files: 3,
        bytes: 70_000,
        bytes_limit: 268_435_456,
        absent: 2,
        ..upstream::Snapshot::default()
    };
    let text = status.to_string();
    assert!(
        text.contains(
            "upstream: 3 files, 70.0 kB of 268.4 MB; 2 names not there either\n  \
             http://10.1.1.10:6970: answers\n  tftp://10.1.1.11:69: does not answer\n"
        ),
        "{text}"
    );
}

#[test]
fn sizes_and_times_are_readable() {
    for (bytes, text) in [
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_999, "1.0 MB"),
        (u64::MAX, "18446.7 PB"),
    ] {
        assert_eq!(size(bytes), text);
    }
    for (seconds, text) in [
        (59, "59 s"),
        (61, "1 min 1 s"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ] {
        assert_eq!(duration(Duration::from_secs(seconds)), text);
    }
}
