//! Read and write requests: name, mode and options.
//!
//! Input: a datagram from its opcode on. The parser of both rungs is held against a reader that
//! splits at the NULs.

use tftp_ebpf::name::{self, KEY_LEN, NameError};
use tftp_ebpf::wire::tftp::{Mode, Options, Request, RequestError};

/// What RFC 2347 lets a request have.
const REQUEST_MAX: usize = 512;

pub fn run(input: &[u8]) {
    let input = &input[..input.len().min(REQUEST_MAX)];
    if input.len() < 2 {
        return;
    }
    let mut packet = [0xaa; REQUEST_MAX];
    packet[..input.len()].copy_from_slice(input);
    let mut key = [0; KEY_LEN];
    let read = Request::parse(&packet, input.len(), &mut key);
    let split = split(&input[2..]);
    match (read, &split) {
        (Ok(request), Some(words)) => {
            assert_eq!(Some(request.mode), mode(words.mode), "the mode");
            assert_eq!(request.options, options(&words.options), "the options");
            check_name(words.name, &key);
            let behind = Request::parse_behind_name(&packet, input.len(), 2 + words.name.len() + 1);
            assert_eq!(
                behind,
                Ok(request),
                "the daemon reads it as the kernel does"
            );
        }
        (Ok(_), None) => panic!("a name or a mode has no end, and was read"),
        (Err(RequestError::Mode), Some(words)) => assert_eq!(mode(words.mode), None),
        (Err(RequestError::Name(error)), _) => check_refused(&input[2..], error),
        (Err(RequestError::Unterminated), split) => assert!(split.is_none(), "it has both NULs"),
        (Err(RequestError::Mode), None) => panic!("the mode has no end"),
    }
}

/// A request cut at its NULs.
pub(crate) struct Words<'i> {
    name: &'i [u8],
    mode: &'i [u8],
    /// Options that have a value, in their order.
    pub(crate) options: Vec<(&'i [u8], &'i [u8])>,
}

/// None if name or mode has no NUL behind it.
pub(crate) fn split(bytes: &[u8]) -> Option<Words<'_>> {
    let ended = bytes.iter().rposition(|&byte| byte == 0)?;
    let mut words = bytes[..ended].split(|&byte| byte == 0);
    let (name, mode) = (words.next()?, words.next()?);
    let mut options = Vec::new();
    while let Some(option) = words.next().filter(|option| !option.is_empty())
        && let Some(value) = words.next()
    {
        options.push((option, value));
    }
    Some(Words {
        name,
        mode,
        options,
    })
}

fn mode(word: &[u8]) -> Option<Mode> {
    match word.to_ascii_lowercase().as_slice() {
        b"octet" => Some(Mode::Octet),
        b"netascii" => Some(Mode::Netascii),
        b"mail" => Some(Mode::Mail),
        _ => None,
    }
}

/// What the options mean: of one that is there twice the first counts, good or bad.
pub(crate) fn options(written: &[(&[u8], &[u8])]) -> Options {
    let first = |name: &str| {
        let mut named = written
            .iter()
            .filter(|(option, _)| option.eq_ignore_ascii_case(name.as_bytes()));
        let (_, value) = named.next()?;
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        is_number.then(|| {
            let digits = value.iter().map(|digit| u64::from(digit - b'0'));
            digits.fold(0_u64, |number, digit| {
                number.saturating_mul(10).saturating_add(digit)
            })
        })
    };
    let within = |name: &str, most: u64| first(name).filter(|&it| it <= most).unwrap_or(0);
    Options {
        blksize: match first("blksize") {
            Some(size @ 8..) => size.min(65_464) as u16,
            _ => 0,
        },
        windowsize: within("windowsize", 65_535) as u16,
        timeout: within("timeout", 255) as u8,
        tsize: first("tsize").is_some(),
    }
}

/// A name that was taken has one form: nothing in it leads out of the tree, and no other spelling
/// of it is left.
fn check_name(raw: &[u8], key: &[u8; KEY_LEN]) {
    let len = key.iter().position(|&byte| byte == 0).unwrap_or(KEY_LEN);
    let (written, padding) = key.split_at(len);
    assert!(padding.iter().all(|&byte| byte == 0), "{key:?}");
    let mut buffer = [0; REQUEST_MAX];
    let normal = name::normalise(raw, &mut buffer).expect("the parser has taken it");
    assert_eq!(written, normal);
    let text = std::str::from_utf8(written).expect("only ASCII is taken");
    assert!(!text.is_empty());
    assert!(!text.starts_with('/') && !text.contains("//") && !text.contains('\\'));
    assert!(!text.split('/').any(|segment| segment.starts_with('.')));
    assert_eq!(text, text.to_ascii_lowercase());
    assert!(!text.contains(|c: char| c.is_control()));
}

/// A name that was refused is refused by whoever reads it whole, too.
fn check_refused(bytes: &[u8], error: NameError) {
    let end = bytes.iter().position(|&byte| byte == 0);
    let raw = &bytes[..end.unwrap_or(bytes.len())];
    let mut buffer = [0; REQUEST_MAX];
    match (name::normalise(raw, &mut buffer), error) {
        (Err(_), _) => {}
        // The daemon has longer names than the kernel, whose key has the folder still in it.
        (Ok(_), NameError::TooLong) => assert!(raw.len() > KEY_LEN),
        (Ok(name), error) => panic!("{error:?}, and it is {name:?}"),
    }
}
