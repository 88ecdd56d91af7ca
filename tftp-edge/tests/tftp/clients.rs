//! The clients people use, against the server. Each must be installed: a client that is missing
//! is a failure with its name, not a test that passes unseen.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::site::{Site, content};

fn run(program: &str, package: &str, arguments: &[&str], directory: &Path) -> Output {
    Command::new("timeout")
        .arg("30")
        .arg(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .ok()
        .filter(|output| output.status.code() != Some(127))
        .unwrap_or_else(|| panic!("cannot run {program}: install the package {package}"))
}

/// Fetches files of all sizes that matter with one client.
fn check(sizes: &[usize], fetch: impl Fn(SocketAddr, &str, &Path) -> Output) {
    let site = Site::start();
    let directory = TempDir::new().unwrap();
    for &size in sizes {
        let name = format!("f{size}.bin");
        site.files.put(&name, content(size));
        let output = fetch(site.v4(), &name, directory.path());
        let got = fs::read(directory.path().join(&name));
        assert!(
            got.as_ref().is_ok_and(|got| *got == content(size)),
            "{size} bytes: {} came, {output:?}",
            got.map_or(0, |got| got.len())
        );
    }
}

const SIZES: [usize; 8] = [0, 1, 511, 512, 513, 1024, 70_000, 1_000_000];

#[test]
fn tftp_hpa_reads_files_of_all_sizes() {
    check(&SIZES, |server, name, directory| {
        let port = server.port().to_string();
        let arguments = ["-m", "octet", "127.0.0.1", &port, "-c", "get", name];
        run("tftp", "tftp-hpa", &arguments, directory)
    });
}

#[test]
fn atftp_reads_files_of_all_sizes_with_all_options() {
    for options in [
        &["--option", "blksize 1428"][..],
        &["--option", "blksize 1428", "--option", "windowsize 16"],
        // More would not fit the client's receive buffer, and a window has to.
        &["--option", "blksize 8192", "--option", "windowsize 4"],
        &["--option", "tsize", "--option", "timeout 2"],
        &[],
    ] {
        check(&SIZES, |server, name, directory| {
            let port = server.port().to_string();
            let get = ["--get", "-r", name, "-l", name, "127.0.0.1", &port];
            run("atftp", "atftp", &[options, &get].concat(), directory)
        });
    }
}

#[test]
fn curl_reads_files_of_all_sizes() {
    for options in [&["--tftp-blksize", "1428"][..], &["--tftp-no-options"], &[]] {
        // With options curl 7.88 fails on an empty file from any server: it is done before it has
        // connected its socket.
        let from = usize::from(options != ["--tftp-no-options"]);
        check(&SIZES[from..], |server, name, directory| {
            let url = format!("tftp://127.0.0.1:{}/{name}", server.port());
            let get = ["-s", "-S", "-o", name, &url];
            run("curl", "curl", &[options, &get].concat(), directory)
        });
    }
}

#[test]
fn busybox_reads_files_of_all_sizes() {
    for options in [&["-b", "1428"][..], &[]] {
        check(&SIZES, |server, name, directory| {
            let port = server.port().to_string();
            let get = ["-g", "-r", name, "-l", name, "127.0.0.1", &port];
            let arguments = [&["tftp"], options, &get].concat();
            run("busybox", "busybox", &arguments, directory)
        });
    }
}

#[test]
fn tftp_hpa_gets_the_same_text_in_netascii() {
    let site = Site::start();
    let text = b"line one\nline two\r\nand a bare \r in three\n".repeat(40);
    site.files.put("text.txt", text.clone());
    let directory = TempDir::new().unwrap();
    let port = site.v4().port().to_string();
    let arguments = ["-m", "ascii", "127.0.0.1", &port, "-c", "get", "text.txt"];
    run("tftp", "tftp-hpa", &arguments, directory.path());
    assert_eq!(fs::read(directory.path().join("text.txt")).unwrap(), text);
}

#[test]
fn curl_tells_our_errors_apart() {
    let site = Site::start();
    let directory = TempDir::new().unwrap();
    let base = format!("tftp://127.0.0.1:{}", site.v4().port());
    let exit = |arguments: &[&str]| {
        run("curl", "curl", arguments, directory.path())
            .status
            .code()
    };
    // curl exits with 68 for ERROR 1 and with 69 for ERROR 2.
    assert_eq!(exit(&["-s", &format!("{base}/nothing")]), Some(68));
    fs::write(directory.path().join("up"), b"x").unwrap();
    assert_eq!(exit(&["-s", "-T", "up", &format!("{base}/up")]), Some(69));
}
