//! A daemon that serves, and what it tells of that.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use crate::daemon::Daemon;
use crate::program::{PATIENCE, code, configure, stdout, tftp_edge};

#[test]
fn a_daemon_serves_disk_and_inventory_and_tells_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    let config = file.to_str().unwrap();
    std::fs::write(
        directory.path().join("files/dialplan.xml"),
        "<DIALTEMPLATE/>",
    )
    .unwrap();
    let csv = directory.path().join("phones.csv");
    std::fs::write(
        &csv,
        "name,model,protocol,lines\nSEP001122334455,7941,sip,100\n",
    )
    .unwrap();
    tftp_edge(&[
        "--config",
        config,
        "inventory",
        "import",
        csv.to_str().unwrap(),
    ]);

    let daemon = Daemon::start(&file);
    let output = daemon.status(&["--json"]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["devices"]["sip"], 1);
    let server = status["sockets"][0].as_str().unwrap();
    assert_eq!(
        fetch_first_block(server, "DialPlan.xml"),
        b"<DIALTEMPLATE/>"
    );
    let rendered = tftp_edge(&["--config", config, "render", "SEP001122334455"]);
    let served = fetch_first_block(server, "SEP001122334455.cnf.xml");
    assert_eq!(served, &rendered.stdout[..512]);

    let status: serde_json::Value =
        serde_json::from_slice(&daemon.status(&["--json"]).stdout).unwrap();
    assert_eq!(status["rungs"][2]["requests"], 2);
}

/// DATA 1 of a read request without options (RFC 1350); the ERROR ends the transfer.
fn fetch_first_block(server: &str, name: &str) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = [b"\0\x01", name.as_bytes(), b"\0octet\0"].concat();
    socket.send_to(&request, server).unwrap();
    let mut packet = [0; 1024];
    let (len, from) = socket.recv_from(&mut packet).unwrap();
    socket.send_to(b"\0\x05\0\0\0", from).unwrap();
    assert_eq!(&packet[..4], b"\0\x03\0\x01");
    packet[4..len].to_vec()
}

#[test]
fn a_daemon_serves_http_and_tells_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = configure(directory.path());
    std::fs::write(directory.path().join("files/dialplan.xml"), "<x/>").unwrap();
    let daemon = Daemon::start(&file);
    let status: serde_json::Value =
        serde_json::from_slice(&daemon.status(&["--json"]).stdout).unwrap();
    let address = status["http"]["http"][0].as_str().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /DialPlan.xml HTTP/1.0\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n<x/>"), "{answer}");
    let status: serde_json::Value =
        serde_json::from_slice(&daemon.status(&["--json"]).stdout).unwrap();
    assert_eq!(status["rungs"][3]["path"], "http");
    assert_eq!(status["rungs"][3]["requests"], 1);
    let text = stdout(&daemon.status(&[]));
    assert!(text.contains(&format!("\nHTTP: {address}\n")), "{text}");
}
