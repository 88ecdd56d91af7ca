//! What the values of the inventory may be made of. They end up in XML and on phones' displays,
//! so characters XML 1.0 forbids (and all other control characters) are refused where they come in.

/// Whether a character can be shown and can stand in XML 1.0.
pub(crate) fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Any printable text of at most `max` characters.
pub(crate) fn value(text: &str, max: usize) -> Result<String, String> {
    if let Some(c) = text.chars().find(|&c| !is_printable(c)) {
        return Err(format!(
            "it has the control character U+{:04X}",
            u32::from(c)
        ));
    }
    match text.chars().count() {
        count if count <= max => Ok(text.to_owned()),
        count => Err(format!("{count} characters are more than {max}")),
    }
}

/// A host name or an address.
pub(crate) fn host(text: &str, max: usize) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if text.is_empty() || !text.chars().all(known) {
        return Err(format!("{text:?} is no host name or address"));
    }
    value(text, max)
}

pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(format!("{text:?} is no port from 1 to 65535")),
    }
}

pub(crate) fn directory_number(text: &str) -> Result<(), String> {
    let known = |c: char| c.is_ascii_alphanumeric() || "*#+._-".contains(c);
    if text.is_empty() || text.len() > 24 || !text.chars().all(known) {
        return Err(format!(
            "{text:?} is no directory number; expected up to 24 of digits, letters and * # + . _ -"
        ));
    }
    Ok(())
}

/// Letters, digits and `_`, or nothing: what the folder of a locale may be called.
pub(crate) fn word(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !text.chars().all(known) {
        return Err(format!("{text:?} has more than letters, digits and _"));
    }
    value(text, 50)
}

/// The name of a file beneath the root, or nothing.
pub(crate) fn file_name(text: &str) -> Result<String, String> {
    let mut folded = [0; tftp_ebpf::name::KEY_LEN];
    if !text.is_empty() && tftp_ebpf::name::normalise(text.as_bytes(), &mut folded).is_err() {
        return Err(format!("{text:?} is no file name a phone can ask for"));
    }
    Ok(text.to_owned())
}

/// A URL a phone can open, or nothing.
pub(crate) fn url(text: &str, max: usize) -> Result<String, String> {
    let known = ["http://", "https://", "Application:"];
    if !text.is_empty() && !known.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(format!("{text:?} is no URL with http or https"));
    }
    value(text, max)
}
