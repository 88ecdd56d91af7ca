//! What is granted of the options of a request, and the OACK that says so.
//!
//! Input: the largest block and window the server grants, the size of the file, then options as
//! they stand in a request.

use tftp_ebpf::name::KEY_LEN;
use tftp_ebpf::wire::tftp::{Granted, Limits, OACK_MAX, Oack, Request};

use crate::script::Script;
use crate::tftp_packet;

const ROOM: usize = 512;
const BEGIN: &[u8] = b"\0\x01f\0octet\0";

pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let limits = Limits {
        blksize: script.word().max(512),
        windowsize: script.word().max(1),
    };
    let size = u64::from(script.word()) << 16 | u64::from(script.word());
    let is_known = script.byte() & 1 == 0;
    let written = script.rest();
    let written = &written[..written.len().min(ROOM - BEGIN.len())];
    let mut packet = [0; ROOM];
    let len = BEGIN.len() + written.len();
    packet[..BEGIN.len()].copy_from_slice(BEGIN);
    packet[BEGIN.len()..len].copy_from_slice(written);
    let request = Request::parse(&packet, len, &mut [0; KEY_LEN]).expect("name and mode are good");
    let words = tftp_packet::split(&packet[2..len]).expect("name and mode are there");
    assert_eq!(request.options, tftp_packet::options(&words.options));

    let asked = request.options;
    let granted = Granted::new(&asked, &limits, is_known.then_some(size));
    assert!(granted.blksize <= asked.blksize && granted.blksize <= limits.blksize);
    assert!(granted.windowsize <= asked.windowsize && granted.windowsize <= limits.windowsize);
    assert_eq!(granted.timeout, asked.timeout, "as asked or not at all");
    assert_eq!(granted.tsize, (asked.tsize && is_known).then_some(size));
    assert!(granted.block_len() >= 8 && granted.window() >= 1);

    let mut oack = Oack::EMPTY;
    granted.encode_oack(&mut oack);
    let bytes = oack.as_bytes();
    assert!(bytes.len() <= OACK_MAX);
    // It says what was asked in other words; only the size may have more digits than the question.
    assert!(bytes.len() <= len + 10, "{} bytes for {len}", bytes.len());
    assert_eq!(bytes[..2], [0, 6]);
    let words: Vec<_> = bytes[2..].split(|&byte| byte == 0).collect();
    let (last, words) = words.split_last().expect("a split has a part");
    assert!(last.is_empty(), "the last option has its NUL");
    assert_eq!(words.is_empty(), granted.is_empty());
    let mut read = Granted::default();
    for option in words.chunks(2) {
        let number: u64 = std::str::from_utf8(option[1])
            .ok()
            .and_then(|text| text.parse().ok())
            .expect("a number in digits");
        match option[0] {
            b"blksize" => read.blksize = number as u16,
            b"windowsize" => read.windowsize = number as u16,
            b"timeout" => read.timeout = number as u8,
            b"tsize" => read.tsize = Some(number),
            other => panic!("{other:?} was never asked for"),
        }
    }
    assert_eq!(read, granted);
}
