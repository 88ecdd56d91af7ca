//! Addresses, ports and marks of what is sent, and datagrams that never reach a worker.

use std::time::Instant;

use tftp_ebpf::verdict::Reason;
use tftp_edge::tftp::Settings;

use crate::site::{PATIENCE, Phone, Site, content, rrq};
use crate::wire::{ack, site_with};

#[test]
fn broadcasts_are_ignored() {
    let site = Site::with(Settings {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        // The kernel gives each of the sockets on a port its copy of a broadcast.
        workers: 1,
        ..Site::settings()
    });
    site.files.put("f", content(100));
    let phone = Phone::new();
    phone.socket.set_broadcast(true).unwrap();
    let port = site.server.local_addrs()[0].port();
    phone.send(([127, 255, 255, 255], port).into(), &rrq("f", b""));
    phone.expect_silence();
    site.wait_for(Reason::Broadcast, 1);
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let site = Site::with(Settings {
        listen: vec!["0.0.0.0:0".parse().unwrap()],
        ..Site::settings()
    });
    site.files.put("f", content(100));
    let port = site.server.local_addrs()[0].port();
    for ip in [[127, 0, 0, 1], [127, 0, 0, 5], [127, 9, 9, 9]] {
        let (_, from) = Phone::new().ask((ip, port).into(), &rrq("f", b""));
        assert_eq!(from.ip(), std::net::IpAddr::from(ip));
    }
}

#[test]
fn everything_sent_carries_the_dscp() {
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{
        ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt::IpRecvTos,
        sockopt::Ipv6RecvTClass,
    };

    let site = site_with(&[("f", 100)]);
    let cs3 = 24 << 2;
    for (phone, ip) in [(Phone::new(), "127.0.0.1"), (Phone::at("[::1]:0"), "::1")] {
        if ip == "::1" {
            setsockopt(&phone.socket, Ipv6RecvTClass, &true).unwrap();
        } else {
            setsockopt(&phone.socket, IpRecvTos, &true).unwrap();
        }
        for name in ["f", "absent"] {
            phone.send(site.address(ip), &rrq(name, b""));
            let (mut buffer, mut control) = ([0; 600], nix::cmsg_space!(i32));
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let fd = phone.socket.as_raw_fd();
            let message =
                recvmsg::<()>(fd, &mut slices, Some(&mut control), MsgFlags::empty()).unwrap();
            let tos = match message.cmsgs().unwrap().next() {
                Some(ControlMessageOwned::Ipv4Tos(tos)) => i32::from(tos),
                Some(ControlMessageOwned::Ipv6TClass(class)) => class,
                other => panic!("{ip} {name}: {other:?}"),
            };
            assert_eq!(tos, cs3, "{ip} {name}");
        }
    }
}

#[test]
fn each_transfer_has_a_port_out_of_the_range_and_seldom_the_same() {
    let site = site_with(&[("f", 100)]);
    let ports: Vec<u16> = (0..40)
        .map(|_| Phone::new().ask(site.v4(), &rrq("f", b"")).1.port())
        .collect();
    assert!(ports.iter().all(|port| (49152..=57343).contains(port)));
    let distinct: std::collections::HashSet<_> = ports.iter().collect();
    assert!(distinct.len() > 8, "{ports:?}");
}

#[test]
fn a_single_port_serves_all() {
    let mut settings = Site::settings();
    settings.single_port = true;
    let site = Site::with(settings);
    site.files.put("f", content(100_000));
    let phones: Vec<Phone> = (0..20).map(|_| Phone::new()).collect();
    for phone in &phones {
        let request = rrq("f", b"blksize\x001024\0");
        let (_, tid) = phone.ask(site.v4(), &request);
        assert_eq!(tid, site.v4());
        assert_eq!(phone.fetch(site.v4(), &request, 1024, 1), content(100_000));
    }
    let stranger = Phone::new();
    stranger.send(site.v4(), &ack(1));
    stranger.expect_silence();
    site.wait_for(Reason::ReplyOpcode, 1);
}

#[test]
fn datagrams_the_kernel_dropped_are_counted() {
    let site = Site::with(Settings {
        workers: 1,
        socket_buffer: 0,
        ..Site::settings()
    });
    site.files.put("f", content(100));
    let phone = Phone::new();
    phone.send(site.v4(), &rrq("slow/f", b""));
    for _ in 0..200 {
        phone.send(site.v4(), &rrq("f", b""));
    }
    phone.receive();
    // The kernel tells with the next datagram.
    let until = Instant::now() + PATIENCE;
    while site.server.gauges().receive_overflows == 0 {
        assert!(Instant::now() < until);
        Phone::new().ask(site.v4(), &rrq("f", b""));
    }
}
