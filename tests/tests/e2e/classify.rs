//! Registrations before the kernel program: real connections and datagrams, counted one by one, and
//! held back in a storm.
//!
//! The daemon's kernel side runs in this process, and stands before servers as it does with
//! `register.mode = "front"`; the servers are plain sockets, so that what comes through can be
//! counted at its end.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tftp_ebpf::classify::{Class, Decision};
use tftp_edge::access::Access;
use tftp_edge::inventory::DeviceName;
use tftp_edge::kernel::{Claim, Kernel, Ladder, Mode, Registrations, Settings};
use tftp_edge::misses::Rate;
use tftp_edge::register::{self, Sighting, Watch};
use tftp_edge_tests::lab::{
    CLIENT_V4, Lab, LabOptions, SERVER_IF, SERVER_V4, SERVER_V6, is_root, skipped,
};

const SCCP: u16 = 2000;
const SIP: u16 = 5060;
/// Nobody registers here.
const OTHER: u16 = 8080;

/// Longer than anything here takes; nothing waits for it unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Phones that connect or send.
const PHONES: usize = 20;

#[test]
fn registrations_are_counted_and_held_back_by_xdp() {
    on(Ladder::Xdp, Mode::Xdp);
}

#[test]
fn registrations_are_counted_and_held_back_by_tc() {
    on(Ladder::Tc, Mode::Tc);
}

fn on(ladder: Ladder, mode: Mode) {
    if !is_root() {
        return skipped("network namespaces need root");
    }
    let lab = Lab::new(LabOptions::default()).unwrap_or_else(|error| panic!("no lab: {error:?}"));
    let mut site = Site::new(&lab, ladder, mode).unwrap_or_else(|error| panic!("{error:?}"));
    let cases: [fn(&mut Site<'_>) -> Result<()>; 4] = [
        without_a_budget_all_come_in,
        a_storm_leaves_strangers_outside,
        a_registered_phone_comes_in_all_the_same,
        a_dropped_syn_comes_again_and_is_let_in,
    ];
    for case in cases {
        case(&mut site).unwrap_or_else(|error| panic!("{error:?}"));
    }
    site.kernel.shutdown();
}

/// Devices that the daemon was told of.
#[derive(Default)]
struct Seen(Mutex<Vec<(Class, DeviceName)>>);

impl Watch for Seen {
    fn seen(&self, sighting: &Sighting<'_>) {
        if let Some(device) = sighting.device() {
            let mut seen = self.0.lock().expect("nobody panics with it");
            seen.push((sighting.class, device));
        }
    }
}

struct Site<'lab> {
    lab: &'lab Lab,
    kernel: Kernel,
    seen: Arc<Seen>,
    sccp: TcpListener,
    other: TcpListener,
    sip: [UdpSocket; 2],
}

impl<'lab> Site<'lab> {
    fn new(lab: &'lab Lab, ladder: Ladder, mode: Mode) -> Result<Self> {
        let settings = Settings {
            mode: ladder,
            interfaces: vec![SERVER_IF.to_owned()],
            ..Settings::default()
        };
        let register = register::Settings {
            mode: register::Mode::Front,
            front: register::front::Settings {
                servers: vec![SERVER_V4.into(), SERVER_V6.into()],
                ..register::front::Settings::default()
            },
            ..register::Settings::default()
        };
        let site = lab.server.enter(|| {
            let kernel = Kernel::start_with(
                &settings,
                &tftp_edge::tftp::Settings::default(),
                &Access::default(),
                &register,
                Arc::default(),
                Claim::default(),
            );
            Ok(Self {
                lab,
                kernel,
                seen: Arc::default(),
                sccp: TcpListener::bind((SERVER_V4, SCCP))?,
                other: TcpListener::bind((SERVER_V4, OTHER))?,
                sip: [
                    UdpSocket::bind((SERVER_V4, SIP))?,
                    UdpSocket::bind((SERVER_V6, SIP))?,
                ],
            })
        })?;
        let snapshot = site.kernel.snapshot();
        ensure!(
            snapshot.problem.is_none() && snapshot.mode() == mode,
            "{:?}, {:?}",
            snapshot.problem,
            snapshot.interfaces
        );
        for socket in &site.sip {
            socket.set_nonblocking(true)?;
        }
        site.kernel.watch(Arc::clone(&site.seen) as _);
        Ok(site)
    }

    fn count(&self) -> Registrations {
        self.kernel.snapshot().registrations
    }

    /// A connection from a client, and its other end.
    fn connect(&self, listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
        let address = listener.local_addr()?;
        let client = self
            .lab
            .client
            .enter(|| Ok(TcpStream::connect_timeout(&address, PATIENCE)?))?;
        client.set_nodelay(true)?;
        let (server, _) = listener.accept()?;
        Ok((client, server))
    }

    /// Sends so many REGISTERs over UDP; returns how many came through, and how many were dropped.
    fn register(&self, server: usize, many: usize) -> Result<(usize, usize)> {
        let socket = &self.sip[server];
        let to = socket.local_addr()?;
        let client = self.client(to.ip())?;
        let before = self.count().decided(Decision::Drop);
        for number in 0..many {
            client.send_to(&sip_register(number), to)?;
        }
        let (mut came, mut dropped) = (0, 0);
        self.until(|| {
            while let Ok(bytes) = socket.recv(&mut [0; 2048]) {
                ensure!(bytes >= sip_register(0).len(), "not as it was sent");
                came += 1;
            }
            dropped = (self.count().decided(Decision::Drop) - before) as usize;
            Ok(came + dropped == many)
        })?;
        Ok((came, dropped))
    }

    fn client(&self, server: IpAddr) -> Result<UdpSocket> {
        let any: SocketAddr = match server {
            IpAddr::V4(_) => (CLIENT_V4, 0).into(),
            IpAddr::V6(_) => (tftp_edge_tests::lab::CLIENT_V6, 0).into(),
        };
        self.lab.client.enter(|| Ok(UdpSocket::bind(any)?))
    }

    fn until(&self, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so()? {
            ensure!(
                Instant::now() < deadline,
                "it never came: {:?}",
                self.count()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn device(number: usize) -> DeviceName {
    let name = format!("SEP{number:012X}");
    name.parse().expect("the name of a device")
}

fn sccp_register(number: usize) -> Vec<u8> {
    let mut message = vec![124, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    message.extend_from_slice(device(number).as_str().as_bytes());
    message.resize(132, 0);
    message
}

fn sip_register(number: usize) -> Vec<u8> {
    format!(
        "REGISTER sip:{SERVER_V4} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {CLIENT_V4}:5060;branch=z9hG4bK{number}\r\n\
         CSeq: 101 REGISTER\r\n\
         Contact: <sip:a@{CLIENT_V4}>;+u.sip!devicename.ccm.cisco.com=\"{}\"\r\n\r\n",
        device(number)
    )
    .into_bytes()
}

fn ensure_counts(seen: &Registrations, expected: &[(Class, usize)]) -> Result<()> {
    for &(class, count) in expected {
        ensure!(
            seen.of(class) as usize == count,
            "{class:?} was counted {} times, not {count}",
            seen.of(class)
        );
    }
    Ok(())
}

fn without_a_budget_all_come_in(site: &mut Site<'_>) -> Result<()> {
    for number in 0..PHONES {
        let (mut client, mut server) = site.connect(&site.sccp)?;
        client.write_all(&sccp_register(number))?;
        let mut message = [0; 132];
        server.read_exact(&mut message)?;
        ensure!(message[..] == sccp_register(number), "not as it was sent");
    }
    for server in [0, 1] {
        ensure!(
            site.register(server, PHONES)? == (PHONES, 0),
            "some were lost"
        );
    }
    let before = site.count();
    let (mut client, mut server) = site.connect(&site.other)?;
    client.write_all(&sccp_register(0))?;
    server.read_exact(&mut [0; 132])?;
    ensure!(
        site.count().decided(Decision::Pass) == before.decided(Decision::Pass),
        "what is none of a registration was counted"
    );
    let seen = site.count();
    ensure_counts(
        &seen,
        &[
            (Class::Syn, PHONES),
            (Class::SccpRegister, PHONES),
            (Class::SipRegister, 2 * PHONES),
            (Class::SccpContinuation, 0),
            (Class::Malformed, 0),
            (Class::Complex, 0),
        ],
    )?;
    ensure!(seen.decided(Decision::Drop) == 0, "something was dropped");
    // All of them were told, with their names.
    site.until(|| {
        let seen = site.seen.0.lock().expect("nobody panics with it");
        Ok(seen.len() == 3 * PHONES)
    })?;
    let seen = site.seen.0.lock().expect("nobody panics with it");
    for number in 0..PHONES {
        for class in [Class::SccpRegister, Class::SipRegister] {
            ensure!(
                seen.contains(&(class, device(number))),
                "{class:?}: {number}"
            );
        }
    }
    Ok(())
}

/// One newcomer at a time, and only while the bucket is full: the other token is kept for phones
/// that were seen booting, and there are none here.
fn storm(site: &Site<'_>) {
    site.kernel.guard().admit(Some(Rate::new(2, 2)));
}

fn a_storm_leaves_strangers_outside(site: &mut Site<'_>) -> Result<()> {
    storm(site);
    let (came, dropped) = site.register(0, PHONES)?;
    ensure!(
        came > 0 && dropped > 0,
        "{came} came, {dropped} were dropped"
    );
    Ok(())
}

fn a_registered_phone_comes_in_all_the_same(site: &mut Site<'_>) -> Result<()> {
    let guard = site.kernel.guard();
    guard.registered(CLIENT_V4.into());
    site.until(|| Ok(site.count().gate.sources == 1))?;
    let (_, dropped) = site.register(0, PHONES)?;
    ensure!(dropped == 0, "{dropped} of a registered phone were dropped");
    guard.left(CLIENT_V4.into());
    site.until(|| Ok(site.count().gate.sources == 0))
}

/// The registered phone has emptied the bucket. A second later it is full again, and the client's
/// TCP asks again after a second, then after two more.
fn a_dropped_syn_comes_again_and_is_let_in(site: &mut Site<'_>) -> Result<()> {
    let guard = site.kernel.guard();
    guard.registered(CLIENT_V4.into());
    site.until(|| Ok(site.count().gate.sources == 1))?;
    site.register(0, 4)?;
    guard.left(CLIENT_V4.into());
    site.until(|| Ok(site.count().gate.sources == 0))?;
    let before = site.count();
    let (_client, _server) = site
        .connect(&site.sccp)
        .context("a SYN that was dropped never came again")?;
    let after = site.count();
    let syns = after.of(Class::Syn) - before.of(Class::Syn);
    let dropped = after.decided(Decision::Drop) - before.decided(Decision::Drop);
    ensure!(
        dropped > 0 && syns == dropped + 1,
        "{syns} times a SYN came, and {dropped} were dropped"
    );
    site.kernel.guard().admit(None);
    site.connect(&site.sccp)?;
    ensure!(
        site.count().decided(Decision::Drop) == after.decided(Decision::Drop),
        "after the storm a SYN was dropped"
    );
    Ok(())
}
