//! `<load>.loads`: the list of images a phone fetches to run a load.
//!
//! Cisco's files are signed: a header of tag, length, value records, as before trust lists, whose
//! second record says where the text begins. The text has CRLF lines, `#` comments and one image a
//! line, with spaces after it; those of 792x phones (`.LOADS`) have its size and MD5 on the line.
//! Those of 78xx and 88xx phones have a section `PLATFORM_n` for each hardware, of which a phone
//! takes the images of its own: all of them count here, as a site has all hardware sooner or later.
//!
//! No grammar is public. So a word is an image if its suffix says so, wherever it stands, and the
//! first word of a plain line if it looks like a file. The signature itself only a phone can check.

use std::collections::HashSet;

use tftp_ebpf::name::normalise;

/// Real ones have a few hundred bytes.
pub(super) const MAX_LEN: u64 = 64 << 10;

/// Real ones have up to 15.
const MAX_IMAGES: usize = 256;

/// The longest name a request can carry.
const MAX_NAME: usize = 500;

/// Records `version` and `header length` of the signature: tag, length, two bytes each.
const SIGNATURE_BEGIN: usize = 10;

/// A list of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loads {
    pub signed: bool,
    /// In the order of the file, each once.
    pub images: Vec<Image>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As the file spells it.
    pub name: String,
    pub size_bytes: Option<u64>,
    pub md5: Option<[u8; 16]>,
}

/// Why a file is no list of images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadsError {
    #[error("it is empty")]
    Empty,
    #[error("it has {0} bytes, which is too much for a list of images")]
    TooLong(u64),
    #[error("it is a web page: the download was answered with an error or a log-in page")]
    WebPage,
    #[error("its signature ends at byte {header}, the file at byte {file}: the copy is cut off")]
    CutOff { header: usize, file: usize },
    #[error("it is no text at byte {0}")]
    NoText(usize),
    #[error("line {line}: {name:?} is no name that a phone can ask for")]
    Name { line: usize, name: String },
    #[error("it names no image")]
    NoImages,
    #[error("it names more than {MAX_IMAGES} images")]
    TooManyImages,
}

impl Loads {
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadsError> {
        let len = bytes.len() as u64;
        if len > MAX_LEN {
            return Err(LoadsError::TooLong(len));
        }
        let (signed, begin) = match signature(bytes)? {
            Some(header) => (true, header),
            None => (false, 0),
        };
        let text = text(bytes, begin)?;
        if text.trim().is_empty() {
            return match signed {
                true => Err(LoadsError::NoImages),
                false => Err(LoadsError::Empty),
            };
        }
        if is_web_page(text.as_bytes()) {
            return Err(LoadsError::WebPage);
        }
        let mut seen = HashSet::new();
        let mut images = Vec::new();
        for (number, line) in text.lines().enumerate() {
            for image in images_of(line) {
                let mut folded = [0; MAX_NAME];
                let Ok(name) = normalise(image.name.as_bytes(), &mut folded) else {
                    return Err(LoadsError::Name {
                        line: number + 1,
                        name: image.name.chars().take(80).collect(),
                    });
                };
                if seen.insert(name.to_vec()) {
                    images.push(image);
                }
                if images.len() > MAX_IMAGES {
                    return Err(LoadsError::TooManyImages);
                }
            }
        }
        match images.is_empty() {
            true => Err(LoadsError::NoImages),
            false => Ok(Self { signed, images }),
        }
    }
}

/// Where the signature ends, if there is one.
fn signature(bytes: &[u8]) -> Result<Option<usize>, LoadsError> {
    let cut_off = |header| LoadsError::CutOff {
        header,
        file: bytes.len(),
    };
    match bytes {
        [1, 0, 2, _, _, 2, 0, 2, high, low, ..] => {
            let header = usize::from(u16::from_be_bytes([*high, *low]));
            if header > bytes.len() {
                return Err(cut_off(header));
            }
            Ok(Some(header.max(SIGNATURE_BEGIN)))
        }
        // No text begins with this byte.
        [1, ..] if bytes.len() < SIGNATURE_BEGIN => Err(cut_off(SIGNATURE_BEGIN)),
        _ => Ok(None),
    }
}

/// The text from `begin` on. Comments may be in any encoding; all else is ASCII.
fn text(bytes: &[u8], begin: usize) -> Result<String, LoadsError> {
    let text = bytes[begin..].trim_ascii_end();
    let end = text
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |at| at + 1);
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..);
    match text[..end].iter().position(|byte| !is_text(byte)) {
        Some(at) => Err(LoadsError::NoText(begin + at)),
        None => Ok(String::from_utf8_lossy(&text[..end]).into_owned()),
    }
}

/// What a web server says instead of a file.
pub(super) fn is_web_page(begin: &[u8]) -> bool {
    let begin = begin.trim_ascii_start();
    let starts = |with: &[u8]| {
        let head = begin.get(..with.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(with))
    };
    starts(b"<!doctype") || starts(b"<html") || starts(b"<?xml") || starts(b"<head")
}

fn images_of(line: &str) -> Vec<Image> {
    let line = line.trim();
    if line.starts_with(['#', '[', ';']) {
        return Vec::new();
    }
    let is_plain = !line.contains('=');
    let words = line.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '=' | '"' | '|'));
    let mut images: Vec<Image> = Vec::new();
    for (at, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if is_image(word) || at == 0 && is_plain && is_file(word) {
            images.push(Image {
                name: word.to_owned(),
                size_bytes: None,
                md5: None,
            });
        } else if let Some(image) = images.last_mut() {
            match md5(word) {
                Some(sum) => image.md5 = Some(sum),
                None => image.size_bytes = image.size_bytes.or_else(|| word.parse().ok()),
            }
        }
    }
    images
}

/// Whether the suffix is one of an image, such as `.sbn`, `.bin3.sgn` or `.zz`.
pub(super) fn is_image(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".sgn").unwrap_or(&name);
    let Some((stem, suffix)) = name.rsplit_once('.') else {
        return false;
    };
    let suffix = suffix.trim_end_matches(|c: char| c.is_ascii_digit());
    !stem.is_empty()
        && matches!(
            suffix,
            "sbn" | "sb" | "bin" | "sebn" | "zz" | "zup" | "sbin"
        )
}

/// Whether it has a suffix that begins with a letter: `10.3.1` is a version.
fn is_file(word: &str) -> bool {
    word.rsplit_once('.').is_some_and(|(stem, suffix)| {
        let is_suffix = suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let begins = suffix.bytes().next();
        !stem.is_empty() && is_suffix && begins.is_some_and(|byte| byte.is_ascii_alphabetic())
    })
}

fn md5(word: &str) -> Option<[u8; 16]> {
    if word.len() != 32 || !word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(word, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests;
