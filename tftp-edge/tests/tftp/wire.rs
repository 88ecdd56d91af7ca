//! Packet by packet: who is answered, with what, and from where.

use crate::site::{Phone, Site, content, rrq};

#[test]
fn a_file_is_read_over_ipv4_and_ipv6() {
    let site = Site::start();
    site.files.put("f", content(5000));
    for ip in ["127.0.0.1", "::1"] {
        let phone = Phone::at(if ip == "::1" {
            "[::1]:0"
        } else {
            "127.0.0.1:0"
        });
        assert_eq!(
            phone.fetch(site.address(ip), &rrq("f", b""), 512, 1),
            content(5000)
        );
    }
}
