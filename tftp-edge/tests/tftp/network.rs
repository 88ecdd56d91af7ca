//! Rules that need a network of their own: links with a small MTU, link-local addresses, and
//! addresses that come late. Each test has two network namespaces joined by a veth pair; they go
//! away with the threads that made them. Needs root.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::gettid;
use tftp_edge::tftp::Settings;

use crate::site::{PATIENCE, Phone, Site, content, rrq};

/// Index of the server's interface.
const SERVER_INTERFACE: u32 = 77;
const SERVER_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("cannot run ip: install the package iproute2");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own needs root");
    ip("link set lo up");
}

/// Joins this thread's network to the other thread's; both ends get their addresses.
fn join(other_thread: nix::unistd::Pid, mtu: u32) {
    ip(&format!(
        "link add server index {SERVER_INTERFACE} mtu {mtu} type veth \
         peer name client mtu {mtu} netns {other_thread}"
    ));
    ip("addr add 10.77.0.1/24 dev server");
    ip("addr add fd77::1/64 dev server nodad");
    ip(&format!("addr add {SERVER_LINK_LOCAL}/64 dev server nodad"));
    ip("link set server up");
}

/// Starts a server before its addresses exist, brings the link up, and then plays the client.
///
/// `early` is how many of its addresses can be bound before that.
fn with_server(settings: Settings, early: usize, mtu: u32, client: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let (tell_thread, client_thread) = mpsc::channel();
        let (tell_up, link_is_up) = mpsc::channel();
        let (tell_done, client_is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            own_network();
            let listen = settings.listen.len();
            let site = Site::with(settings);
            assert_eq!(site.server.local_addrs().len(), early);
            site.files.put("f", content(20_000));
            join(client_thread.recv().unwrap(), mtu);
            tell_up.send(()).unwrap();
            // Ends with an error when the client's thread is done, well or not.
            let _ = client_is_done.recv();
            // Whoever was answered, every address has come up.
            assert_eq!(site.server.local_addrs().len(), listen);
        });
        scope.spawn(move || {
            own_network();
            tell_thread.send(gettid()).unwrap();
            link_is_up.recv().unwrap();
            ip("addr add 10.77.0.2/24 dev client");
            ip("addr add fd77::2/64 dev client nodad");
            ip("addr add fe80::2/64 dev client nodad");
            ip("link set client up");
            client();
            drop(tell_done);
        });
    });
}

fn listening_on(addresses: &[SocketAddr]) -> Settings {
    Settings {
        listen: addresses.to_vec(),
        ..Settings::default()
    }
}

/// Asks until there is an answer: the link takes a moment to come up.
fn ask_until_answered(phone: &Phone, server: SocketAddr, request: &[u8]) -> (Vec<u8>, SocketAddr) {
    let short = Some(Duration::from_millis(200));
    phone.socket.set_read_timeout(short).unwrap();
    let mut buffer = [0; 2048];
    for _ in 0..150 {
        // Fails as long as there is no route.
        let _ = phone.socket.send_to(request, server);
        if let Ok((len, from)) = phone.socket.recv_from(&mut buffer) {
            phone.socket.set_read_timeout(Some(PATIENCE)).unwrap();
            return (buffer[..len].to_vec(), from);
        }
    }
    panic!("no answer from {server} in half a minute");
}

#[test]
fn an_address_that_comes_up_after_the_server_is_served() {
    let server: SocketAddr = "10.77.0.1:69".parse().unwrap();
    with_server(listening_on(&[server]), 1, 1500, move || {
        let (_, from) = ask_until_answered(&Phone::at("0.0.0.0:0"), server, &rrq("f", b""));
        assert_eq!(from.ip(), server.ip());
        let got = Phone::at("0.0.0.0:0").fetch(server, &rrq("f", b""), 512, 1);
        assert_eq!(got, content(20_000));
    });
}

#[test]
fn an_interface_that_comes_up_after_the_server_is_served() {
    let listen = SocketAddrV6::new(SERVER_LINK_LOCAL, 69, 0, SERVER_INTERFACE);
    with_server(listening_on(&[listen.into()]), 0, 1500, || {
        link_local_client();
    });
}

#[test]
fn link_local_clients_are_answered_on_their_link() {
    with_server(listening_on(&["[::]:69".parse().unwrap()]), 1, 1500, || {
        link_local_client();
    });
}

fn link_local_client() {
    let interface = nix::net::if_::if_nametoindex("client").unwrap();
    let server = SocketAddrV6::new(SERVER_LINK_LOCAL, 69, 0, interface).into();
    let (_, from) = ask_until_answered(&Phone::at("[::]:0"), server, &rrq("f", b""));
    assert_eq!(from.ip(), server.ip());
    let got = Phone::at("[::]:0").fetch(server, &rrq("f", b""), 512, 1);
    assert_eq!(got, content(20_000));
}

#[test]
fn blocks_are_cut_to_the_links_mtu_for_each_family() {
    let listen = ["0.0.0.0:69".parse().unwrap(), "[::]:69".parse().unwrap()];
    with_server(listening_on(&listen), 2, 1400, || {
        for (any, server, blksize) in [
            ("0.0.0.0:0", "10.77.0.1:69", 1368),
            ("[::]:0", "[fd77::1]:69", 1348),
        ] {
            let server = server.parse().unwrap();
            let request = rrq("f", b"blksize\x008192\0");
            let (oack, _) = ask_until_answered(&Phone::at(any), server, &request);
            let expected = format!("\0\x06blksize\0{blksize}\0");
            assert_eq!(String::from_utf8(oack).unwrap(), expected);
            let got = Phone::at(any).fetch(server, &request, blksize, 1);
            assert_eq!(got, content(20_000));
        }
    });
}

#[test]
fn with_the_clamp_off_large_blocks_travel_in_fragments() {
    let listen = ["0.0.0.0:69".parse().unwrap(), "[::]:69".parse().unwrap()];
    let settings = Settings {
        mtu_clamp: false,
        ..listening_on(&listen)
    };
    with_server(settings, 2, 1400, || {
        for (any, server) in [("0.0.0.0:0", "10.77.0.1:69"), ("[::]:0", "[fd77::1]:69")] {
            let server = server.parse().unwrap();
            let request = rrq("f", b"blksize\x008192\0");
            ask_until_answered(&Phone::at(any), server, &request);
            let got = Phone::at(any).fetch(server, &request, 8192, 1);
            assert_eq!(got, content(20_000));
        }
    });
}
