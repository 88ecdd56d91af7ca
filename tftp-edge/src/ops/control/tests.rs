use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::access::Access;
use crate::inventory::{DeviceName, Protocol};
use crate::register::bans;
use crate::register::export::{Event, Export};
use crate::register::pacer::{self, Orders, Which};
use crate::register::{Departure, Directory, Edit, Order, Registration, Table, Transport};
use crate::stats::Path as Served;

/// A server on a runtime of its own, so that the blocking client can be used as it is.
struct Running {
    _server: Server,
    _runtime: tokio::runtime::Runtime,
    table: Arc<Table>,
    bans: Arc<Bans>,
}

fn serve(path: &Path) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let claim = Claim::take(path).unwrap();
    let guard = runtime.enter();
    let table = Arc::new(Table::default());
    for number in 0..2_000 {
        put(&table, number);
    }
    let nobody = Access::from_nets(Vec::new());
    let directory: Arc<Directory> = Arc::default();
    let bans: Arc<Bans> = Arc::default();
    let sources = Sources {
        bans: Arc::clone(&bans),
        export: Arc::new(Export::new(
            Arc::clone(&table),
            Arc::clone(&directory),
            nobody,
        )),
        orders: Arc::new(Orders::new(
            pacer::Settings::default(),
            Arc::clone(&table),
            directory,
        )),
        knocking: Arc::new(|who| match who {
            Knockers::Unknown => vec![unknown_phone()],
            Knockers::Closed => Vec::new(),
        }),
        ..Sources::default()
    };
    let server = Server::start(claim, Arc::new(sources)).unwrap();
    drop(guard);
    Running {
        _server: server,
        _runtime: runtime,
        table,
        bans,
    }
}

fn device(number: u32) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

fn put(table: &Table, number: u32) {
    let device = device(number);
    let registration = Registration {
        device,
        protocol: match number % 2 {
            0 => Protocol::Sccp,
            _ => Protocol::Sip,
        },
        transport: Transport::Tcp,
        source: ([10, 0, 0, 1], 50_000).into(),
        connection: None,
        type_id: None,
        load: None,
        version: 0,
        since: SystemTime::now(),
        expires: SystemTime::now() + Duration::from_secs(3_600),
        bindings: Vec::new(),
    };
    table.edit(&device, |_| ((), Edit::Put(registration)));
}

fn unknown_phone() -> Knocking {
    Knocking {
        name: "SEP001122334455".parse().unwrap(),
        source: [10, 1, 2, 3].into(),
        site: "berlin".into(),
        first_seen: 1,
        last_seen: 2,
        times: 3,
        file: "sep001122334455.cnf.xml".into(),
        model: Some("7961".into()),
        protocol: Some(Protocol::Sip),
    }
}

fn ask(path: &Path, lines: &[u8]) -> Vec<String> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(lines).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .collect()
}

#[test]
fn a_status_is_asked_and_answered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("missing/directory/control.sock");
    let _server = serve(&path);
    let answer = super::status(&path).unwrap();
    assert_eq!(answer.version, env!("CARGO_PKG_VERSION"));
    assert!(!answer.ready);
    assert_eq!(answer.rungs.len(), Served::COUNT);
}

#[test]
fn the_devices_that_asked_in_vain_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _server = serve(&path);
    let unknown = super::knocking(&path, Knockers::Unknown).unwrap();
    assert_eq!(unknown, [unknown_phone()]);
    assert!(super::knocking(&path, Knockers::Closed).unwrap().is_empty());
}

#[test]
fn owner_and_group_may_ask_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _claim = Claim::take(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
}

#[test]
fn one_connection_may_ask_many_times_and_wrong_requests_get_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _server = serve(&path);
    let lines =
        b"{\"request\":\"status\"}\n{\"request\":\"reboot\"}\nnonsense\n{\"request\":\"status\"}\n";
    let answers = ask(&path, lines);
    assert_eq!(answers.len(), 4);
    assert!(answers[0].starts_with("{\"status\":{"));
    assert!(
        answers[1].starts_with("{\"error\":\"request not understood: unknown variant `reboot`")
    );
    assert!(answers[2].starts_with("{\"error\":"));
    assert!(answers[3].starts_with("{\"status\":{"));
}

#[test]
fn a_line_without_end_is_refused_at_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _server = serve(&path);
    // One byte less than the bound and its newline would do; this never ends.
    let answers = ask(&path, &[b'{'; LINE_MAX as usize]);
    assert_eq!(
        answers,
        ["{\"error\":\"a request is one line of JSON of at most 4096 bytes\"}"]
    );
}

#[test]
fn a_second_daemon_is_refused_and_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _first = Claim::take(&path).unwrap();
    let error = Claim::take(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "another tftp-edge (pid {}) serves {}; stop it first, or give this one its own \
             control.socket",
            std::process::id(),
            path.display()
        )
    );
}

#[test]
fn a_socket_left_by_a_daemon_that_died_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let _server = serve(&path);
    assert!(super::status(&path).is_ok());
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Claim::take(&path), Err(ClaimError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn the_socket_goes_with_its_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    drop(serve(&path));
    assert!(!path.exists());
    assert!(matches!(
        super::status(&path),
        Err(ClientError::NoDaemon { .. })
    ));
    Claim::take(&path).unwrap();
}

#[test]
fn a_claimed_socket_without_a_server_refuses_rather_than_hangs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _claim = Claim::take(&path).unwrap();
    assert!(matches!(
        super::status(&path),
        Err(ClientError::NoDaemon { .. })
    ));
}

#[test]
fn registrations_come_line_by_line_and_the_connection_may_ask_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _server = serve(&path);
    let mut rows = Vec::new();
    super::registrations(&path, Filter::default(), |row| rows.push(row.device)).unwrap();
    rows.sort_unstable();
    assert_eq!(rows, (0..2_000).map(device).collect::<Vec<_>>());

    let one = br#"{"request":"registrations","filter":{"device":"SEP000000000007"}}"#;
    let lines = [&one[..], b"\n", &one[..], b"\n"].concat();
    let answers = ask(&path, &lines);
    assert_eq!(answers.len(), 4, "{answers:?}");
    assert!(answers[0].starts_with("{\"registration\":{\"device\":\"SEP000000000007\""));
    assert_eq!(answers[1], "{\"end\":{\"registrations\":1}}");
    assert_eq!(answers[..2], answers[2..]);
    let wrong = br#"{"request":"registrations","filter":{"sight":"berlin"}}"#;
    let answers = ask(&path, &[&wrong[..], b"\n"].concat());
    assert!(answers[0].contains("unknown field `sight`"), "{answers:?}");
}

#[test]
fn changes_are_followed_after_the_whole_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let server = serve(&path);
    let filter = Filter {
        protocol: Some(Protocol::Sip),
        ..Filter::default()
    };
    let mut seen = 0;
    let mut left = None;
    let ended = super::follow(&path, filter, |event| {
        match event {
            Event::Registered { .. } => seen += 1,
            Event::Synced { .. } => {
                let why = Departure::Connectivity;
                for number in [6, 7] {
                    server
                        .table
                        .edit(&device(number), |_| ((), Edit::Remove(why)));
                }
            }
            Event::Left { device, cause, .. } => {
                left = Some((device, cause));
                return Err(ClientError::Other {
                    socket: path.clone(),
                });
            }
            Event::Resync | Event::Moved { .. } | Event::Heartbeat { .. } => {}
        }
        Ok(())
    });
    assert!(matches!(ended, Err(ClientError::Other { .. })), "{ended:?}");
    assert_eq!((seen, left), (1_000, Some((device(7), Some(6)))));
}

#[test]
fn a_follower_that_asks_in_between_is_told_so_and_one_that_only_listens_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let server = serve(&path);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"{\"request\":\"follow\"}\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.starts_with("{\"event\":\"synced\"")));
    put(&server.table, 5_000);
    assert!(lines.next().unwrap().contains("SEP000000001388"));

    let answers = ask(
        &path,
        b"{\"request\":\"follow\"}\n{\"request\":\"status\"}\n",
    );
    assert!(
        answers
            .iter()
            .any(|it| it.starts_with("{\"error\":\"nothing can be asked"))
    );
}

#[test]
fn phones_are_ordered_and_the_queue_tells_how_far_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let _server = serve(&path);
    let command = Command {
        order: Order::Restart,
        phones: Which::Names(vec![device(1), device(2), device(9_999)]),
        rate: Some(1),
        ticket: None,
        dry_run: false,
    };
    let ordered = super::order(&path, command).unwrap();
    assert_eq!((ordered.queued, ordered.unknown), (2, vec![device(9_999)]));
    // Nobody sends them: no server runs here.
    let progress = super::orders(&path, ordered.ticket).unwrap();
    assert_eq!((progress.left, progress.waiting, progress.sent), (2, 2, 0));
}

#[test]
fn a_ban_is_listed_and_lifted_by_name_or_with_all_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let server = serve(&path);
    let shut_out = |ip: &str| {
        let now = Instant::now();
        for line in 0..bans::Settings::default().guesses {
            let ip = ip.parse().unwrap();
            server.bans.guessed(ip, &line.to_string(), true, now);
        }
    };
    for ip in ["10.66.6.6", "10.66.6.7", "2001:db8::6"] {
        shut_out(ip);
    }
    assert_eq!(super::bans(&path).unwrap().len(), 3);
    let lift = |ip: Option<&str>| {
        let which = ip.map(|it| bans::Lift::Sources(vec![it.parse().unwrap()]));
        let lifted = super::lift(&path, which.unwrap_or(bans::Lift::All)).unwrap();
        let lifted = lifted.into_iter();
        lifted.map(|it| it.source).collect::<Vec<_>>()
    };
    for wrong in [
        r#"{"request":"lift"}"#,
        r#"{"request":"lift","sources":["10.66.6.6"]}"#,
        r#"{"request":"lift","which":{"source":"10.66.6.6"}}"#,
        r#"{"request":"lift","which":{"sources":["phone"]}}"#,
        r#"{"request":"lift","which":null}"#,
    ] {
        let answers = ask(&path, format!("{wrong}\n").as_bytes());
        assert!(
            answers[0].starts_with("{\"error\":"),
            "{wrong}: {answers:?}"
        );
    }
    assert_eq!(super::bans(&path).unwrap().len(), 3);
    assert_eq!(lift(Some("10.66.6.6")), ["10.66.6.6"]);
    assert!(lift(Some("10.66.6.6")).is_empty());
    let mut others = lift(None);
    others.sort_unstable();
    assert_eq!(others, ["10.66.6.7", "2001:db8::/64"]);
    assert!(super::bans(&path).unwrap().is_empty());
}
