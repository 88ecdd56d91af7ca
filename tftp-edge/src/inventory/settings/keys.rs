//! The keys of a phone's settings.

/// Every key of a phone's settings, and what its value looks like: the help of `site set`, and of
/// its errors. A key with a dot stands for all that begin with what is before the dot.
pub const KEYS: &[(&str, &str)] = &[
    (
        "servers",
        "HOST[/sccp=2000][/sip=5060][/sips=5061];…  up to 5, first is preferred",
    ),
    (
        "server_group",
        "the name of a server group, in place of servers",
    ),
    (
        "srst",
        "HOST[/sccp=2000][/sip=5060];…  up to 3, empty for none",
    ),
    (
        "tvs",
        "HOST[/port=2445];…  up to 5 trust verification servers",
    ),
    (
        "capf",
        "HOST[/port=3804]  certificates for phones; the first server if empty",
    ),
    ("capf_auth", "off, password, null, lsc or mic"),
    ("vpn_urls", "https://…;…  up to 3 gateways, empty for none"),
    (
        "vpn_cert_hashes",
        "BASE64;…  SHA-1 of their certificates, up to 10",
    ),
    ("vpn_auth", "user, password or certificate"),
    ("vpn_mtu", "256 to 1406 bytes"),
    ("vpn_connect_timeout_s", "1 to 600 seconds"),
    (
        "vpn_keep_password",
        "true or false: whether the phone keeps it",
    ),
    (
        "vpn_auto_detect",
        "true or false: whether phones try without a VPN first",
    ),
    (
        "vpn_check_host",
        "true or false: whether the certificate must name the host",
    ),
    ("ntp", "HOST;…  up to 5"),
    ("time_zone", "W. Europe Standard/Daylight Time"),
    ("date_template", "D/M/Y, M/D/YA, D.M.Y …"),
    (
        "user_locale",
        "German_Germany  the folder of the language pack",
    ),
    ("user_locale_code", "de_DE"),
    ("user_locale_version", "changes when the pack does"),
    ("network_locale", "Germany  the folder of g3-tones.xml"),
    ("network_locale_version", "changes when the pack does"),
    ("sip_transport", "tcp, udp or tls"),
    ("sip_proxy", "USECALLMANAGER, or a host"),
    ("register_expires_s", "60 to 86400 seconds"),
    ("dial_template", "a dial plan, or a file name: dialplan.xml"),
    ("soft_keys", "a soft key set, or a file name: softkeys.xml"),
    (
        "feature_policy",
        "a feature policy, or a file name: policy.xml",
    ),
    ("services", "NAME;…  phone services, in their order"),
    ("voicemail", "the number of the messages key"),
    ("services_url", "http://…"),
    ("directory_url", "http://…"),
    ("authentication_url", "http://…"),
    ("information_url", "http://…"),
    ("messages_url", "http://…"),
    ("idle_url", "http://…"),
    ("idle_timeout_s", "0 to 86400 seconds"),
    ("phone_password", "unlocks the settings menu"),
    ("ssh_user", "text"),
    ("ssh_password", "text"),
    ("web_access", "true or false"),
    ("load_server", "a host that has the firmware"),
    ("peer_firmware_sharing", "true or false"),
    (
        "vendor.NAME",
        "the text of the element NAME of vendorConfig",
    ),
    (
        "xml.NAME",
        "the text of another element of the configuration",
    ),
];
