//! HTTPS on a port of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, Output};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tftp_edge::alarms::AlarmKind;
use tftp_edge::http::{Refusal, Scheme};

use crate::site::{Choice, Site, content};

/// Has HTTPS served with a certificate for 127.0.0.1.
fn with_tls(choice: &mut Choice, change: impl FnOnce(&mut CertificateParams)) {
    let folder = choice.content.root.parent().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    change(&mut params);
    let tls = &mut choice.settings.tls;
    tls.enabled = true;
    tls.listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
    tls.certificate = folder.join("certificate.pem");
    tls.key = folder.join("key.pem");
    fs::write(&tls.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&tls.key, key.serialize_pem()).unwrap();
}

fn curl(site: &Site, arguments: &[&str], path: &str) -> Output {
    let url = format!(
        "https://{}{path}",
        site.server.local_addrs(Scheme::Https)[0]
    );
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--fail"])
        .args(["--cacert", "certificate.pem"])
        .args(arguments)
        .arg(url)
        .current_dir(site.folder.path())
        .output();
    output.unwrap_or_else(|error| panic!("cannot run curl ({error}): install the package curl"))
}

#[test]
fn files_come_whole_over_tls_1_2_and_1_3() {
    let file = content(3_000_000);
    let site = Site::with(&[("image.sbn", &file)], |choice| with_tls(choice, |_| {}));
    for versions in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let output = curl(&site, versions, "/image.sbn");
        assert!(output.status.success(), "{versions:?}: {output:?}");
        assert!(output.stdout == file, "{versions:?}");
    }
    let old = curl(&site, &["--tlsv1.0", "--tls-max", "1.1"], "/image.sbn");
    assert!(!old.status.success());
    site.wait_for("handshakes", 1, |snapshot| {
        snapshot.traffic[Scheme::Https as usize].refused(Refusal::Handshake)
    });
}

#[test]
fn a_signed_name_is_the_file_without_its_signature_over_https_only() {
    let files: [(&str, &[u8]); 3] = [
        ("SEP001122334455.cnf.xml", b"<device/>"),
        ("Ringlist.xml.sgn", b"\x01signed"),
        ("Ringlist.xml", b"<rings/>"),
    ];
    let site = Site::with(&files, |choice| with_tls(choice, |_| {}));
    let secure = |path: &str| curl(&site, &[], path).stdout;
    assert_eq!(secure("/SEP001122334455.cnf.xml.sgn"), b"<device/>");
    assert_eq!(secure("/SEP001122334455.cnf.xml"), b"<device/>");
    assert_eq!(secure("/Ringlist.xml.sgn"), b"<rings/>");
    assert_eq!(site.get("/SEP001122334455.cnf.xml.sgn").status, 404);
    assert_eq!(site.get("/Ringlist.xml.sgn").body, b"\x01signed");
}

#[test]
fn an_image_whose_own_name_ends_so_is_served_as_it_is() {
    let site = Site::with(&[("rootfs.zz.sgn", b"image")], |choice| {
        with_tls(choice, |_| {});
    });
    assert_eq!(curl(&site, &[], "/rootfs.zz.sgn").stdout, b"image");
}

#[test]
fn a_certificate_that_has_expired_leaves_http_as_it_is() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| {
        with_tls(choice, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        });
    });
    assert!(site.server.local_addrs(Scheme::Https).is_empty());
    assert_eq!(site.alarms.count(AlarmKind::Certificate), 1);
    assert_eq!(site.get("/a.xml").status, 200);
}

#[test]
fn another_certificate_is_shown_from_a_reload_on() {
    let site = Site::with(&[("a.xml", b"<a/>")], |choice| with_tls(choice, |_| {}));
    let other = |name: &str| site.folder.path().join(name);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let made = params.self_signed(&key).unwrap();
    fs::write(other("other.pem"), made.pem()).unwrap();
    fs::write(other("other.key"), key.serialize_pem()).unwrap();
    let is_trusted = |authority: &str| {
        let output = curl(&site, &["--cacert", authority], "/a.xml");
        output.status.success()
    };
    let trusted = || ["certificate.pem", "other.pem"].map(is_trusted);
    assert_eq!(trusted(), [true, false]);
    let remarks = site.reload(|settings| {
        settings.tls.certificate = other("other.pem");
        settings.tls.key = other("other.key");
    });
    assert_eq!(remarks, ["http.tls: another certificate"]);
    assert_eq!(trusted(), [false, true]);
}
