//! Fields of a body: read without panicking, whatever the length.

use std::net::Ipv4Addr;

/// A little-endian number.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

/// An address: the one field that is in network order.
pub fn ipv4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    let field: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    Some(field.into())
}

/// A text up to its first NUL; one that fills its field has none.
pub fn text_at(bytes: &[u8], at: usize, size: usize) -> Option<&[u8]> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    let len = field.iter().position(|&byte| byte == 0).unwrap_or(size);
    Some(&field[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_all_there_is_not_there() {
        let bytes = [1, 0, 0, 0, b'a', b'b', 0, b'c'];
        assert_eq!(u32_at(&bytes, 0), Some(1));
        assert_eq!(u32_at(&bytes, 5), None);
        assert_eq!(u32_at(&bytes, usize::MAX), None);
        assert_eq!(text_at(&bytes, 4, 4), Some(&b"ab"[..]));
        assert_eq!(text_at(&bytes, 4, 2), Some(&b"ab"[..]));
        assert_eq!(text_at(&bytes, 4, 5), None);
        assert_eq!(ipv4_at(&bytes, 4), Some([b'a', b'b', 0, b'c'].into()));
    }
}
