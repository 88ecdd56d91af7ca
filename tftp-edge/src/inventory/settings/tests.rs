use super::*;

#[test]
fn every_key_of_the_help_can_be_set() {
    for (key, _) in KEYS {
        let value = match *key {
            "servers" => "cm1;cm2/sccp=2001/sip=5070/sips=5071",
            "srst" => "10.0.0.9;10.0.0.8/sip=5070",
            "tvs" => "10.0.0.9;10.0.0.8/port=2446",
            "capf_auth" => "lsc",
            "vpn_urls" => "https://vpn.example.com/svc",
            "vpn_cert_hashes" => "s4U4A2DqXtupmzGuEGm2NCjxW/Y=",
            "vpn_auth" => "certificate",
            "vpn_mtu" | "vpn_connect_timeout_s" => "300",
            "vpn_keep_password" | "vpn_auto_detect" | "vpn_check_host" => "true",
            "date_template" => "M/D/YA",
            "sip_transport" => "tcp",
            "register_expires_s" | "idle_timeout_s" => "120",
            "web_access" | "peer_firmware_sharing" => "true",
            key if key.ends_with("_url") => "http://10.0.0.1/x?a=b&c=d",
            _ => "word",
        };
        let key = match *key {
            "vendor.NAME" => "vendor.webAccess",
            "xml.NAME" => "xml.timerT1",
            key => key,
        };
        let mut settings = PhoneSettings::default();
        assert_eq!(settings.set(key, value), Ok(()), "{key}");
        assert_eq!(settings.pairs()[key], value, "{key}");
        let mut again = PhoneSettings::default();
        for (key, value) in settings.pairs() {
            // Of the two ways to name servers one is always empty.
            if !key.starts_with("server") || !value.is_empty() {
                assert_eq!(again.set(&key, &value), Ok(()), "{key}={value}");
            }
        }
        assert_eq!(again, settings, "{key}");
    }
}

#[test]
fn servers_keep_their_order_and_their_ports() {
    let mut site = PhoneSettings::default();
    site.set("servers", "cm1 ; 10.0.0.2/sccp=2001/sip=5070")
        .unwrap();
    let ports: Vec<_> = site
        .servers
        .iter()
        .map(|server| (server.host.as_str(), server.sccp_port, server.sip_port))
        .collect();
    assert_eq!(ports, [("cm1", 2000, 5060), ("10.0.0.2", 2001, 5070)]);
}

#[test]
fn what_cannot_be_taken_says_what_is_expected() {
    let mut site = PhoneSettings::default();
    for (key, value, part) in [
        ("server", "x", "there is no setting \"server\""),
        ("servers", "a;b;c;d;e;f", "6 entries are more than 5"),
        ("servers", "a/sccp=0", "port"),
        ("servers", "a/mgcp=1", "not one of sccp, sip, sips"),
        ("servers", "a b", "host"),
        ("time_zone", "", "empty"),
        ("time_zone", "a\u{7}b", "control"),
        ("date_template", "Y/M", "no date template"),
        ("dial_template", "../x.xml", "file name"),
        ("services_url", "ftp://x", "URL"),
        ("register_expires_s", "5", "range"),
        ("web_access", "yes", "neither true nor false"),
        ("subnets", "10.0.0.0/8", "a site's"),
        ("vendor.a/b", "1", "no name of an element"),
        ("vendor.webaccess", "1", "is \"webAccess\" meant?"),
        ("xml.timerRegisterExpires", "1", "register_expires_s"),
        ("xml.a/b", "1", "there is no element"),
        ("srst", "a;b;c;d", "4 entries are more than 3"),
        ("tvs", "a/sccp=1", "more than /port="),
        ("capf_auth", "always", "no way to authenticate"),
        ("vpn_urls", "http://a", "https://"),
        ("vpn_cert_hashes", "abc", "base64"),
        ("vpn_mtu", "9000", "range"),
        ("colour.red", "1", "there is no setting"),
    ] {
        let error = site.set(key, value).unwrap_err().to_string();
        assert!(error.contains(part), "{key}={value}: {error}");
    }
    assert_eq!(site, PhoneSettings::default());
}

#[test]
fn a_table_of_the_configuration_file_reads_the_same_keys() {
    let site: Site =
        toml::from_str("servers = 'cm1'\nregister_expires_s = 120\nweb_access = true").unwrap();
    assert_eq!(site.phone.servers[0].host, "cm1");
    assert_eq!(
        (site.phone.register_expires_s, site.phone.web_access),
        (120, true)
    );
    let error = toml::from_str::<Site>("colour = 'red'").unwrap_err();
    assert!(error.to_string().contains("no setting"), "{error}");
}
