use proptest::prelude::*;

use super::*;

fn folded(raw: &str) -> Result<String, NameError> {
    let mut out = [0; KEY_LEN];
    normalise(raw.as_bytes(), &mut out)
        .map(|name| String::from_utf8(name.to_vec()).expect("ASCII in, ASCII out"))
}

#[test]
fn spellings_of_one_name_fold_to_one_key() {
    for raw in [
        "Ringlist.xml",
        "RINGLIST.XML",
        "\\RingList.xml",
        "/ringlist.xml",
        "C:\\ringlist.xml",
    ] {
        assert_eq!(folded(raw).as_deref(), Ok("ringlist.xml"), "{raw}");
    }
    assert_eq!(
        folded("German_Germany//mk-sip.jar").as_deref(),
        Ok("german_germany/mk-sip.jar")
    );
    assert_eq!(folded("d:/a\\b").as_deref(), Ok("a/b"));
}

#[test]
fn the_folder_of_the_ip_communicator_is_no_part_of_a_name() {
    for raw in [
        "Communicator/SEP001122334455.cnf.xml",
        "Communicator\\SEP001122334455.cnf.xml",
        "C:\\Communicator\\SEP001122334455.cnf.xml",
        "/communicator//Communicator/sep001122334455.cnf.xml",
    ] {
        assert_eq!(
            folded(raw).as_deref(),
            Ok("sep001122334455.cnf.xml"),
            "{raw}"
        );
    }
    for (raw, name) in [
        ("Communicator", "communicator"),
        ("Communicators/x", "communicators/x"),
        ("xommunicator/x", "xommunicator/x"),
        ("x/Communicator/y", "x/communicator/y"),
        (
            "Communicator\\English_United_States\\ipc-sccp.jar",
            "english_united_states/ipc-sccp.jar",
        ),
    ] {
        assert_eq!(folded(raw).as_deref(), Ok(name), "{raw}");
    }
}

#[test]
fn an_empty_locale_leaves_the_name_of_the_file() {
    assert_eq!(folded("/mk-sip.jar").as_deref(), Ok("mk-sip.jar"));
}

#[test]
fn a_hash_is_part_of_the_name() {
    assert_eq!(folded("Ring#1.raw").as_deref(), Ok("ring#1.raw"));
}

#[test]
fn respelt_names_keep_their_case_and_lose_what_stands_before() {
    let mut out = [0; KEY_LEN];
    let name = respell(b"C:\\Communicator\\German_Germany//Mk-SIP.jar", &mut out);
    assert_eq!(name, Ok(&b"German_Germany/Mk-SIP.jar"[..]));
}

#[test]
fn a_colon_elsewhere_is_part_of_the_name() {
    assert_eq!(folded("ab:c").as_deref(), Ok("ab:c"));
}

#[test]
fn names_that_could_leave_the_root_are_refused() {
    for raw in [
        "../secret",
        "sub/../../secret",
        "./x",
        "..\\x",
        ".hidden",
        "c:../x",
        "a/./b",
    ] {
        assert_eq!(folded(raw), Err(NameError::DotSegment), "{raw}");
    }
}

#[test]
fn bytes_outside_printable_ascii_are_refused() {
    for raw in [&b"x\xff"[..], b"a\nb", b"caf\xc3\xa9"] {
        assert_eq!(key(raw), Err(NameError::Byte), "{raw:?}");
    }
}

#[test]
fn nothing_but_slashes_is_no_name() {
    for raw in ["", "/", "\\\\", "c:", "c:/", "Communicator/"] {
        assert_eq!(folded(raw), Err(NameError::Empty), "{raw}");
    }
}

#[test]
fn a_name_longer_than_a_key_is_refused() {
    assert!(key(&[b'a'; KEY_LEN]).is_ok());
    assert_eq!(key(&[b'a'; KEY_LEN + 1]), Err(NameError::TooLong));
}

fn collapsed(raw: &str) -> Option<(String, String)> {
    let mut name = key(raw.as_bytes()).ok()?;
    let mut device = [0; DEVICE_DIGITS];
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == 0);
        String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
    };
    let found = collapse(&mut name, &mut device);
    found.then(|| (text(&name), text(&device)))
}

#[test]
fn the_trust_lists_of_all_devices_are_two_patterns() {
    for (raw, pattern) in [
        ("CTLSEP00AABBCCDDEE.tlv", PATTERNS[0]),
        ("\\ITLSEP00aabbccddee.TLV", PATTERNS[1]),
    ] {
        let expected = (pattern.to_owned(), "00aabbccddee".to_owned());
        assert_eq!(collapsed(raw), Some(expected), "{raw}");
    }
    for raw in [
        "CTLFile.tlv",
        "CTLSEP00AABBCCDDE.tlv",
        "CTLSEP00AABBCCDDEEF.tlv",
        "CTLSEP00AABBCCDDEG.tlv",
        "CTLSEP00AABBCCDDEE.tlv.sgn",
        "xCTLSEP00AABBCCDDEE.tlv",
        "x/CTLSEP00AABBCCDDEE.tlv",
        "SEP00AABBCCDDEE.cnf.xml",
    ] {
        assert_eq!(collapsed(raw), None, "{raw}");
    }
}

#[test]
fn no_request_can_spell_a_pattern() {
    for pattern in PATTERNS {
        let published = directory_key(pattern).expect("a key");
        assert_ne!(key(pattern.as_bytes()), Ok(published), "{pattern}");
    }
    assert_eq!(directory_key("Ringlist.xml"), key(b"ringlist.xml"));
}

#[test]
fn a_file_of_one_device_is_known_by_its_name() {
    let is_of_device = |raw: &str| is_device_file(&key(raw.as_bytes()).expect("a key"));
    for raw in [
        "SEP00AABBCCDDEE.cnf.xml",
        "SEP00AABBCCDDEE.cnf.xml.sgn",
        "SIP00AABBCCDDEE.cnf",
        "ATA00AABBCCDDEE.cnf.xml",
        "Communicator/SEP00AABBCCDDEE.cnf.xml",
    ] {
        assert!(is_of_device(raw), "{raw}");
    }
    for raw in [
        "SEPDefault.cnf",
        "XMLDefault.cnf.xml",
        "SEP00AABBCCDDE.cnf.xml",
        "SEP00AABBCCDDEEF.cnf.xml",
        "CTLSEP00AABBCCDDEE.tlv",
        "SAP00AABBCCDDEE.cnf.xml",
    ] {
        assert!(!is_of_device(raw), "{raw}");
    }
}

/// Names as they are published: of one or more segments that stand for themselves.
fn plain_names() -> impl Strategy<Value = String> {
    "[a-z0-9_#@~-][a-z0-9_.#@~-]{1,11}(/[a-z0-9_-][a-z0-9_.-]{0,11}){0,3}"
        .prop_filter("the folder that goes", |name| {
            !name.starts_with("communicator/")
        })
}

/// A name as some phone may write it.
fn decorated() -> impl Strategy<Value = (String, Vec<u8>)> {
    let drives = prop::sample::select(vec!["", "/", "\\", "//", "C:", "c:\\", "/D:/"]);
    let folders = prop::sample::select(vec!["Communicator/", "COMMUNICATOR\\", "communicator//"]);
    let folders = prop::collection::vec(folders, 0..4);
    let whims = prop::collection::vec(any::<u8>(), 60);
    (plain_names(), drives, folders, whims).prop_map(|(name, drive, folders, whims)| {
        let mut written = format!("{drive}{}", folders.concat()).into_bytes();
        for (byte, whim) in name.bytes().zip(whims) {
            match byte {
                b'/' => written.extend_from_slice(match whim % 4 {
                    0 => b"\\",
                    1 => b"//",
                    2 => b"\\/",
                    _ => b"/",
                }),
                _ if whim % 2 == 0 => written.push(byte.to_ascii_uppercase()),
                _ => written.push(byte),
            }
        }
        (name, written)
    })
}

proptest! {
    #[test]
    fn however_a_phone_writes_a_name_it_is_the_same_file((name, written) in decorated()) {
        prop_assert_eq!(key(&written), key(name.as_bytes()));
    }

    #[test]
    fn however_a_phone_writes_a_name_the_kernel_reads_the_same((name, written) in decorated()) {
        let request = [&b"\0\x01"[..], &written, b"\0octet\0"].concat();
        let mut packet = [0; crate::frame::REQUEST_MAX];
        packet[..request.len()].copy_from_slice(&request);
        let mut read = [0xaa; KEY_LEN];
        let parsed = crate::wire::tftp::Request::parse(&packet, request.len(), &mut read);
        prop_assert!(parsed.is_ok(), "{parsed:?}");
        prop_assert_eq!(Ok(read), key(name.as_bytes()));
    }

    #[test]
    fn a_folded_name_folds_to_itself((_, written) in decorated()) {
        let mut buffer = [0; 255];
        let name = normalise(&written, &mut buffer).unwrap();
        let mut again = [0; 255];
        prop_assert_eq!(normalise(name, &mut again), Ok(name));
    }
}
