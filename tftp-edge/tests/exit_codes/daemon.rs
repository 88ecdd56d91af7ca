//! A daemon that runs, and how commands that ask it end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use tftp_edge::ops::control::{self, Claim, Request};
use tftp_edge::ops::exit::Exit;
use tftp_edge::ops::sources::Sources;
use tftp_edge::register::export::{FOLLOWERS, Filter};
use tftp_edge::trace::{Order, TRACES};

use super::scene::{
    DEVICE, Daemon, LOOK, PATIENCE, PROGRAM, STRANGER, Scene, Seen, is_root, restricted,
};

pub fn one_that_serves(seen: &Seen) {
    let scene = Scene::with_phones();
    scene.set("20.toml", "journal.stuck_after_s = 1\n");
    let daemon = Daemon::start(&scene, Command::new(PROGRAM));
    scene.await_end(seen, Exit::Ok, &["status"]);
    let asking: [&[&str]; 9] = [
        &["status", "--json"],
        &["phones"],
        &["why", DEVICE],
        &["report"],
        &["registrations"],
        &["bans", "list"],
        &["bans", "lift", "--all", "--json"],
        &["log", "level"],
        &["reload"],
    ];
    for words in asking {
        scene.expect(seen, Exit::Ok, words);
        scene.expect_full(seen, words);
    }
    scene.expect_on_terminal(seen, Exit::Ok, PROGRAM, "q");
    // The terminal cannot be read: no descriptor is left for it.
    let few = format!("sh -c 'ulimit -n 5; exec {PROGRAM} \"$@\"' sh");
    scene.expect_on_terminal(seen, Exit::Io, &few, "");

    scene.expect(seen, Exit::Data, &["why", "192.0.2.9"]);
    scene.expect(seen, Exit::Data, &["phones", "reset", STRANGER]);
    scene.expect(seen, Exit::Data, &["bans", "lift", "192.0.2.9"]);
    // Nobody is registered: nothing is to be done, and that is well.
    scene.expect(seen, Exit::Ok, &["phones", "reset", DEVICE]);
    let names: Vec<String> = (0..20).map(|it| format!("SEP00AABBCC{it:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.expect(
        seen,
        Exit::Usage,
        &[&["log", "device"], &names[..]].concat(),
    );

    ask_for_a_configuration(&scene, STRANGER);
    scene.await_end(seen, Exit::Degraded, &["why", STRANGER]);

    let _followers: Vec<_> = (0..FOLLOWERS)
        .map(|_| {
            let filter = Filter::default();
            conversation(&scene, &Request::Follow { filter })
        })
        .collect();
    scene.expect(seen, Exit::Temporary, &["registrations", "--follow"]);

    scene.set("20.toml", "journal.stuck_after_s = 0\n");
    scene.expect(seen, Exit::Config, &["reload"]);
    traces(seen);
    daemon.end(seen);
}

/// In a network of their own: they listen to everything.
fn traces(seen: &Seen) {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let mut apart = Command::new("unshare");
    apart.args(["--net", "--", PROGRAM]);
    let daemon = Daemon::start(&scene, apart);
    let words = ["trace", "192.0.2.9", "--seconds", "1"];
    scene.expect(seen, Exit::Ok, &words);
    scene.expect_full(seen, &[&words[..], &["--json"]].concat());
    scene.expect(
        seen,
        Exit::Usage,
        &["trace", "192.0.2.9", "--seconds", "9999"],
    );
    let order = Order {
        target: "192.0.2.9".parse().unwrap(),
        seconds: 600,
        packets: 1,
        frames: false,
    };
    let _traces: Vec<_> = (0..TRACES)
        .map(|_| conversation(&scene, &Request::Trace(order.clone())))
        .collect();
    scene.expect(seen, Exit::Temporary, &words);
    daemon.end(seen);
}

/// One that has begun: its first line was told. One that ended before may still have its place.
fn conversation(scene: &Scene, request: &Request) -> BufReader<UnixStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut stream = UnixStream::connect(scene.path("control.sock")).unwrap();
        let line = serde_json::to_string(request).unwrap() + "\n";
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut told = String::new();
        stream.read_line(&mut told).unwrap();
        if !told.contains("refused") {
            return stream;
        }
        assert!(Instant::now() < deadline, "{told}");
        std::thread::sleep(LOOK);
    }
}

fn ask_for_a_configuration(scene: &Scene, device: &str) {
    let status = control::status(&scene.path("control.sock")).unwrap();
    let server: SocketAddr = status.sockets[0].parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let request = format!("\0\x01{device}.cnf.xml\0octet\0");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(request.as_bytes(), server).unwrap();
    socket.recv_from(&mut [0; 600]).unwrap();
}

/// As in the first moments of a start: no socket is bound, and the content is still being read.
pub fn one_that_is_not_ready(seen: &Seen) {
    let scene = Scene::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _context = runtime.enter();
    let claim = Claim::take(&scene.path("control.sock")).unwrap();
    let _server = control::Server::start(claim, Arc::new(Sources::default())).unwrap();
    scene.expect(seen, Exit::Temporary, &["status"]);
}

/// It may not load programs, and is not asked to attach any to what there is.
pub fn one_without_its_kernel_path(seen: &Seen) {
    let scene = Scene::new();
    scene.set(
        "20.toml",
        "kernel = { mode = \"xdp\", interfaces = [\"nosuch0\"] }\n",
    );
    let (program, arguments) = restricted("-bpf,-sys_admin,-net_admin,-perfmon");
    let mut command = Command::new(program);
    command.args(arguments);
    let daemon = Daemon::start(&scene, command);
    scene.await_end(seen, Exit::Degraded, &["status"]);
    daemon.end(seen);
}
