use super::*;

fn parse(payload: &[u8]) -> (Result<Request, RequestError>, String) {
    let mut packet = [0xaa; 256];
    packet[..payload.len()].copy_from_slice(payload);
    let mut name = [0; KEY_LEN];
    let request = Request::parse(&packet, payload.len(), &mut name);
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(KEY_LEN);
    (
        request,
        String::from_utf8(name[..end].to_vec()).expect("names are ASCII"),
    )
}

fn options(tail: &[u8]) -> Options {
    let mut payload = b"\0\x01f\0octet\0".to_vec();
    payload.extend_from_slice(tail);
    parse(&payload).0.expect("a good request").options
}

#[test]
fn a_plain_request_has_a_mode_and_no_options() {
    let (request, name) = parse(b"\0\x01SEP001122334455.cnf.xml\0octet\0");
    assert_eq!(
        request,
        Ok(Request {
            mode: Mode::Octet,
            options: Options::default()
        })
    );
    assert_eq!(name, "sep001122334455.cnf.xml");
}

#[test]
fn the_stray_nul_of_old_phones_is_accepted() {
    assert!(parse(b"\0\x01OS79XX.TXT\0octet\0\0").0.is_ok());
    assert!(parse(b"\0\x01OS79XX.TXT\0octet\0\0\0\0").0.is_ok());
    assert_eq!(options(b"\0\0blksize\x001024\0"), Options::default());
}

#[test]
fn mode_and_options_are_read_alike_with_and_without_the_name() {
    let payload = b"\0\x01f\0OCTET\0blksize\x001024\0";
    let mut packet = [0xaa; 64];
    packet[..payload.len()].copy_from_slice(payload);
    assert_eq!(
        Request::parse_behind_name(&packet, payload.len(), 4),
        parse(payload).0
    );
}

#[test]
fn modes_are_read_in_any_case() {
    for (mode, expected) in [
        (&b"OcTeT"[..], Ok(Mode::Octet)),
        (b"NETASCII", Ok(Mode::Netascii)),
        (b"mail", Ok(Mode::Mail)),
        (b"binary", Err(RequestError::Mode)),
        (b"netasciix", Err(RequestError::Mode)),
        (b"", Err(RequestError::Mode)),
    ] {
        let packet = [&b"\0\x01f\0"[..], mode, b"\0"].concat();
        assert_eq!(
            parse(&packet).0.map(|request| request.mode),
            expected,
            "{mode:?}"
        );
    }
}

#[test]
fn what_ends_too_early_is_refused() {
    for packet in [&b"\0\x01"[..], b"\0\x01f", b"\0\x01f\0", b"\0\x01f\0octet"] {
        assert_eq!(
            parse(packet).0,
            Err(RequestError::Unterminated),
            "{packet:?}"
        );
    }
    assert_eq!(
        parse(b"\0\x01\0octet\0").0,
        Err(RequestError::Name(NameError::Empty))
    );
}

#[test]
fn known_options_are_read_in_any_case_and_order() {
    assert_eq!(
        options(b"TSIZE\x000\0BlkSize\x001428\0windowsize\x0016\0timeout\x003\0"),
        Options {
            blksize: 1428,
            windowsize: 16,
            timeout: 3,
            tsize: true
        }
    );
}

#[test]
fn bad_values_are_as_good_as_not_asked() {
    for tail in [
        &b"blksize\x007\0"[..],
        b"blksize\x000\0",
        b"blksize\0-1\0",
        b"blksize\0abc\0",
        b"blksize\0\0",
        b"blksize\x001024",
        b"timeout\x000\0",
        b"timeout\x00256\0",
        b"windowsize\x000\0",
        b"windowsize\x0065536\0",
        b"tsize\0x\0",
        b"multicast\0\0",
        b"blksize\0",
    ] {
        assert_eq!(options(tail), Options::default(), "{tail:?}");
    }
}

#[test]
fn huge_numbers_are_clamped() {
    assert_eq!(options(b"blksize\x0065465\0").blksize, MAX_BLKSIZE);
    assert_eq!(
        options(b"blksize\x0099999999999999999999\0").blksize,
        MAX_BLKSIZE
    );
}

#[test]
fn an_option_whose_name_only_ends_like_one_is_none() {
    for tail in [
        &b"findowsize\x0016\0"[..],
        b"xxndowsize\x0016\0",
        b"xtsize\x000\0",
        b"aaaaaaaablksize\x00512\0",
    ] {
        assert_eq!(options(tail), Options::default());
    }
    assert_eq!(options(b"WindowSize\x0016\0").windowsize, 16);
}

#[test]
fn of_an_option_sent_twice_the_first_counts() {
    assert_eq!(options(b"blksize\x00512\0blksize\x001024\0").blksize, 512);
    assert_eq!(options(b"blksize\x007\0blksize\x001024\0").blksize, 0);
}

#[test]
fn an_option_without_a_value_does_not_spoil_the_ones_before() {
    assert_eq!(options(b"blksize\x001024\0tsize\0").blksize, 1024);
}
