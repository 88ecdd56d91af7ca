//! The client engineers have at hand, against the server.

use std::fs;
use std::process::{Command, Output};
use std::time::Duration;

use crate::site::{Site, content};

fn curl(site: &Site, arguments: &[&str], path: &str) -> Output {
    let url = format!("http://{}{path}", site.address());
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--path-as-is",
        ])
        .args(arguments)
        .arg(url)
        .current_dir(site.folder.path())
        .output();
    output.unwrap_or_else(|error| panic!("cannot run curl ({error}): install the package curl"))
}

fn head_and_body(output: &Output) -> (String, Vec<u8>) {
    let all = &output.stdout;
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(all[..end].to_vec()).unwrap();
    (head.to_ascii_lowercase(), all[end..].to_vec())
}

#[test]
fn files_of_all_sizes_come_whole() {
    let sizes = [0, 1, 8191, 8192, 65_536, 65_537, 5_000_000];
    let files: Vec<_> = sizes
        .iter()
        .map(|&size| (format!("f{size}.bin"), content(size)))
        .collect();
    let named: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_slice()))
        .collect();
    let site = Site::start(&named);
    for (name, content) in &files {
        for version in ["--http1.0", "--http1.1"] {
            let output = curl(&site, &[version, "--fail"], &format!("/{name}"));
            assert!(output.status.success(), "{name}: {output:?}");
            assert!(output.stdout == *content, "{name} by {version}");
        }
    }
}

#[test]
fn a_download_that_broke_is_resumed() {
    let file = content(200_000);
    let site = Site::start(&[("image.sbn", &file)]);
    let part = site.folder.path().join("part");
    fs::write(&part, &file[..70_000]).unwrap();
    let arguments = ["--continue-at", "-", "--output", "part"];
    let output = curl(&site, &arguments, "/image.sbn");
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(&part).unwrap() == file);
}

#[test]
fn a_range_is_a_206_and_one_behind_the_end_a_416() {
    let file = content(1000);
    let site = Site::start(&[("a.bin", &file)]);
    let (head, body) = head_and_body(&curl(&site, &["-i", "--range", "10-19"], "/a.bin"));
    assert!(head.starts_with("http/1.1 206 "), "{head}");
    assert!(head.contains("\r\ncontent-range: bytes 10-19/1000\r\n"));
    assert_eq!(body, &file[10..20]);
    let (head, body) = head_and_body(&curl(&site, &["-i", "--range", "1000-"], "/a.bin"));
    assert!(head.starts_with("http/1.1 416 "), "{head}");
    assert!(head.contains("\r\ncontent-range: bytes */1000\r\n"));
    assert!(body.is_empty());
    // Several may be answered with the whole (RFC 9110 section 14.2).
    let (head, body) = head_and_body(&curl(&site, &["-i", "--range", "0-1,5-6"], "/a.bin"));
    assert!(head.starts_with("http/1.1 200 ") && body == file, "{head}");
}

#[test]
fn what_has_not_changed_is_not_fetched_again() {
    let site = Site::start(&[("a.xml", b"<x/>")]);
    let options = ["--etag-save", "tag", "--etag-compare", "tag", "-i"];
    let (head, body) = head_and_body(&curl(&site, &options, "/a.xml"));
    assert!(
        head.starts_with("http/1.1 200 ") && body == b"<x/>",
        "{head}"
    );
    let (head, body) = head_and_body(&curl(&site, &options, "/a.xml"));
    assert!(
        head.starts_with("http/1.1 304 ") && body.is_empty(),
        "{head}"
    );

    // By date, once the second it was published in is over.
    std::thread::sleep(Duration::from_millis(2_100));
    let kept = ["--remote-time", "--output", "kept"];
    assert!(curl(&site, &kept, "/a.xml").status.success());
    let (head, _) = head_and_body(&curl(&site, &["-i", "--time-cond", "kept"], "/a.xml"));
    assert!(head.starts_with("http/1.1 304 "), "{head}");
}

#[test]
fn several_files_come_over_one_connection() {
    let site = Site::start(&[("a.xml", b"<a/>"), ("b.xml", b"<b/>")]);
    let second = format!("http://{}/B.XML", site.address());
    let output = curl(&site, &["-w", "[%{num_connects}]", &second], "/%61.xml");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "<b/>[1]<a/>[0]");
}

#[test]
fn head_and_other_methods() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    let (head, body) = head_and_body(&curl(&site, &["--head"], "/a.xml"));
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("\r\ncontent-length: 4\r\n") && body.is_empty());
    let output = curl(&site, &["-i", "--upload-file", "/dev/null"], "/a.xml");
    let (head, _) = head_and_body(&output);
    assert!(head.starts_with("http/1.1 405 "), "{head}");
    assert!(head.contains("\r\nallow: get, head\r\n"));
}

#[test]
fn a_path_that_would_leave_the_root_is_not_found() {
    let site = Site::start(&[("a.xml", b"<a/>")]);
    for path in [
        "/../inventory.db",
        "/x/../../inventory.db",
        "/%2e%2e/inventory.db",
    ] {
        let (head, _) = head_and_body(&curl(&site, &["-i"], path));
        assert!(head.starts_with("http/1.1 404 "), "{path}: {head}");
    }
}
