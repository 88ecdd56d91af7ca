//! Numbers as headers have them.

/// One or more digits whose value fits. Leading zeros are common, and fine.
pub fn decimal(bytes: &[u8]) -> Option<u32> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u32, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// `delta-seconds`: 32 bits (RFC 3261 20.19).
pub fn seconds(bytes: &[u8]) -> Option<u32> {
    decimal(bytes.trim_ascii())
}
