//! What clients ask for, they get: every size, every option, over IPv4 and IPv6.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use tftp_ebpf::verdict::{Reason, Rung};
use tftp_ebpf::wire::tftp::{Mode, Options};
use tftp_edge_tests::client::{Asked, Outcome, RealClient, Request};
use tftp_edge_tests::lab::{CLIENT_IF, CLIENT_V4, Capture, SERVER_V4, SERVER_V6};
use tftp_edge_tests::rig::{
    HTTP_V4, HTTP_V6, OVER_V4, OVER_V6, Rig, answers, content, counted, run,
};

/// Around the ends of blocks of 512 and 1428 bytes.
const SIZES: [usize; 9] = [0, 1, 511, 512, 513, 1024, 1428, 2856, 40_000];

on_every_rung!(
    real_clients_get_every_size,
    every_option_is_answered,
    block_numbers_wrap,
    text_and_windows_are_left_to_the_daemon,
    all_of_ipv6_is_nobody_of_ipv4,
);

fn name(size: usize) -> String {
    format!("file-{size}.bin")
}

fn put_all_sizes(rig: &Rig<'_>) -> Result<()> {
    SIZES
        .iter()
        .try_for_each(|&size| rig.put(&name(size), &content(size)))
}

fn real_clients_get_every_size(rig: &mut Rig<'_>) -> Result<()> {
    put_all_sizes(rig)?;
    rig.start()?;
    let before = rig.metrics()?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("clients.pcap"))?;
    for client in RealClient::ALL {
        for server in [IpAddr::from(SERVER_V4), IpAddr::from(SERVER_V6)] {
            // 65464 bytes must come down to what the wire carries.
            let blksizes: &[u16] = match (client.has_blksize(), server) {
                (false, _) => &[0],
                (true, IpAddr::V4(_)) => &[0, 512, 1428, 65464],
                (true, IpAddr::V6(_)) => &[65464],
            };
            for &blksize in blksizes {
                for size in SIZES {
                    if size == 0 && !client.takes_empty_files() {
                        continue;
                    }
                    let got = client.get(&rig.lab.client, server, &name(size), blksize)?;
                    ensure!(
                        got.exit == 0 && got.bytes == content(size),
                        "{size} bytes by {blksize} from {server}: {} came, {got:?}",
                        got.bytes.len()
                    );
                }
            }
        }
    }
    rig.ensure_alone(&before)?;
    capture.finish()?.ensure_sound()
}

fn every_option_is_answered(rig: &mut Rig<'_>) -> Result<()> {
    put_all_sizes(rig)?;
    rig.start()?;
    let before = rig.metrics()?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("options.pcap"))?;
    for server in [OVER_V4, OVER_V6] {
        // The largest block whose packet is not fragmented: 1500 less the headers of IP, UDP, DATA.
        let largest = match server {
            SocketAddr::V4(_) => 1468,
            SocketAddr::V6(_) => 1448,
        };
        for (blksize, granted) in [
            (0, 512),
            (8, 8),
            (512, 512),
            (1024, 1024),
            (1428, 1428),
            (1468, largest),
            (65464, largest),
        ] {
            for (tsize, timeout) in [(false, 0), (true, 0), (true, 255)] {
                // A block of 8 bytes is as good as another: thousands of them are for the wrap.
                for size in SIZES.into_iter().filter(|size| size / granted < 600) {
                    let mut request = Request::plain(name(size));
                    request.options = Options {
                        blksize,
                        tsize,
                        timeout,
                        windowsize: 0,
                    };
                    let options = request.options;
                    let got = rig.get(server, request)?;
                    ensure!(
                        got.outcome == Outcome::Complete
                            && got.bytes == content(size)
                            && got.blksize == granted
                            && got.tsize == tsize.then_some(size as u64),
                        "{size} bytes with {options:?} from {server}: {} came by {}, {:?}, tsize \
                         {:?}",
                        got.bytes.len(),
                        got.blksize,
                        got.outcome,
                        got.tsize
                    );
                    ensure!(
                        got.tally.resends == 0,
                        "{size} bytes with {options:?} stalled"
                    );
                }
            }
        }
    }
    rig.ensure_alone(&before)?;
    capture.finish()?.ensure_sound()
}

fn block_numbers_wrap(rig: &mut Rig<'_>) -> Result<()> {
    const LEN: usize = 8 * 67_500 + 3;
    rig.put("long.bin", &content(LEN))?;
    rig.start()?;
    let before = rig.metrics()?;
    let got = rig.get(OVER_V4, Request::sized("long.bin", 8))?;
    ensure!(got.outcome == Outcome::Complete, "{:?}", got.outcome);
    ensure!(got.bytes == content(LEN), "not the bytes of the file");
    ensure!(got.tally.blocks == 67_501, "{:?}", got.tally);
    rig.ensure_alone(&before)
}

/// Large files come into the kernel when somebody asks for them. One rung is enough: what counts
/// blocks is the same on all.
#[test]
fn large_files_wrap_too() {
    run(Rung::Tc, |rig| {
        const LEN: usize = 512 * 66_000 + 5;
        let content = content(LEN);
        rig.put("large.sbn", &content)?;
        rig.start()?;
        let mut request = Request::sized("large.sbn", 1428);
        request.options.windowsize = 32;
        let got = rig.get(OVER_V4, request)?;
        ensure!(got.outcome == Outcome::Complete && got.bytes == content);

        rig.until_first_rung_has("large.sbn")?;
        let before = rig.metrics()?;
        let client = &rig.lab.client;
        let got = RealClient::TftpHpa.get(client, SERVER_V4.into(), "large.sbn", 0)?;
        ensure!(
            got.bytes == content,
            "{} bytes, {}",
            got.bytes.len(),
            got.said
        );
        rig.ensure_alone(&before)
    });
}

/// Netascii and windows are not for the kernel: it hands them on, and the daemon answers.
fn text_and_windows_are_left_to_the_daemon(rig: &mut Rig<'_>) -> Result<()> {
    // Line ends on both sides of the ends of blocks.
    let lines = (0..300)
        .flat_map(|line| format!("line {line}\r half{}\n", "\n".repeat(line % 5)).into_bytes());
    let text: Vec<u8> = lines.collect();
    rig.put("text.txt", &text)?;
    rig.put("windows.bin", &content(200_000))?;
    rig.start()?;
    let before = rig.metrics()?;
    let capture = Capture::start(&rig.lab.client, CLIENT_IF, &rig.file("socket.pcap"))?;

    let netascii = Asked {
        netascii: true,
        ..Asked::default()
    };
    let client = &rig.lab.client;
    for server in [IpAddr::from(SERVER_V4), IpAddr::from(SERVER_V6)] {
        let got = RealClient::TftpHpa.get_as(client, server, "text.txt", netascii)?;
        ensure!(
            got.bytes == text,
            "{server}: {} bytes, {}",
            got.bytes.len(),
            got.said
        );
    }
    for (blksize, windowsize) in [(0, 2), (512, 8), (1428, 16)] {
        let asked = Asked {
            blksize,
            windowsize,
            ..Asked::default()
        };
        let got = RealClient::Atftp.get_as(client, SERVER_V4.into(), "windows.bin", asked)?;
        ensure!(
            got.exit == 0 && got.bytes == content(200_000),
            "{asked:?}: {} bytes, {}",
            got.bytes.len(),
            got.said
        );
    }
    for server in [OVER_V4, OVER_V6] {
        for windowsize in [2, 16, 64, 65_535] {
            let mut request = Request::sized("windows.bin", 1428);
            request.options.windowsize = windowsize;
            let got = rig.get(server, request)?;
            ensure!(
                got.outcome == Outcome::Complete && got.bytes == content(200_000),
                "a window of {windowsize} from {server}: {:?}",
                got.outcome
            );
        }
    }
    let mut request = Request::plain("text.txt");
    request.mode = Mode::Netascii;
    let got = rig.get(OVER_V4, request)?;
    ensure!(got.bytes == to_netascii(&text), "not the text in netascii");

    let after = rig.metrics()?;
    ensure!(answers(&before, &after, Rung::Socket) > 0.0);
    for rung in [Rung::Xdp, Rung::Tc] {
        ensure!(
            answers(&before, &after, rung) == 0.0,
            "{rung:?} has answered"
        );
    }
    if rig.rung != Rung::Socket {
        let passed = |reason| counted(&before, &after, rig.first_path(), reason);
        ensure!(
            passed(Reason::Mode) == 3,
            "{} for their mode",
            passed(Reason::Mode)
        );
        ensure!(
            passed(Reason::Option) == 11,
            "{} for a window",
            passed(Reason::Option)
        );
    }
    capture.finish()?.ensure_sound()
}

/// RFC 764: a line ends with CR LF, and a CR that ends none is followed by NUL.
fn to_netascii(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' => out.extend_from_slice(b"\r\0"),
            _ => out.push(byte),
        }
    }
    out
}

/// `::/0` has the mapped forms of all IPv4 addresses in it, and means none of them.
fn all_of_ipv6_is_nobody_of_ipv4(rig: &mut Rig<'_>) -> Result<()> {
    const NAME: &str = "file.bin";
    let config = fs::read_to_string(rig.edge.config())?;
    let allow = r#"allow = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::1/128"]"#;
    ensure!(config.contains(allow), "{config}");
    // The server's own is let in, for whoever waits until it serves.
    let others = format!(r#"allow = ["::/0", "{SERVER_V4}/32"]"#);
    fs::write(rig.edge.config(), config.replace(allow, &others))?;
    rig.put(NAME, &content(2_000))?;
    rig.start()?;
    let before = rig.metrics()?;
    let exchange = rig.exchange(CLIENT_V4)?;
    exchange.send(OVER_V4, b"\0\x01file.bin\0octet\0")?;
    let denied = rig.grown(&before, rig.first_path(), Reason::Denied, 1)?;
    ensure!(denied == 1, "{denied} requests were denied");
    let over_http = rig.http_get(HTTP_V4, NAME).ok().flatten();
    ensure!(over_http.is_none_or(|(outcome, _)| outcome != Outcome::Complete));

    let got = rig.get(OVER_V6, Request::plain(NAME))?;
    ensure!(got.outcome == Outcome::Complete && got.bytes == content(2_000));
    rig.ensure_alone(&before)?;
    let over_http = rig.http_get(HTTP_V6, NAME)?;
    ensure!(over_http.is_some_and(|(outcome, bytes)| {
        outcome == Outcome::Complete && bytes == content(2_000)
    }));
    rig.stop()
}
