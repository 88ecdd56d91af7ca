//! The size of a picture, from the header of its file (PNG, RFC 2083, sections 3.1 and 4.1.1).

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Width and height in pixels. The first chunk is always IHDR: length, type, width, height.
pub(super) fn size(head: &[u8]) -> Result<(u32, u32), String> {
    let no_png = || "it is no PNG picture".to_owned();
    match head.strip_prefix(SIGNATURE).ok_or_else(no_png)? {
        [0, 0, 0, 13, b'I', b'H', b'D', b'R', size @ ..] => match size {
            [a, b, c, d, e, f, g, h, ..] => {
                let [width, height] = [[*a, *b, *c, *d], [*e, *f, *g, *h]].map(u32::from_be_bytes);
                Ok((width, height))
            }
            _ => Err("the picture is cut off".into()),
        },
        _ => Err(no_png()),
    }
}
