//! What a server grants, and the OACK that says so (RFC 2347).

use super::{DEFAULT_BLKSIZE, Options, opcode};

/// What a server lets a client have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest block size, after the interface's MTU.
    pub blksize: u16,
    /// Largest window, in blocks.
    pub windowsize: u16,
}

/// The answer to a request's options: zero where the option is left out of the OACK.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    pub blksize: u16,
    pub windowsize: u16,
    pub timeout: u8,
    /// The file's size in bytes, if `tsize` was asked for.
    pub tsize: Option<u64>,
}

impl Granted {
    /// `size` is `None` where it is not known before the transfer (netascii).
    #[inline(always)]
    pub fn new(asked: &Options, limits: &Limits, size: Option<u64>) -> Self {
        let at_most = |asked: u16, limit: u16| if asked < limit { asked } else { limit };
        Self {
            blksize: at_most(asked.blksize, limits.blksize),
            windowsize: at_most(asked.windowsize, limits.windowsize),
            timeout: asked.timeout,
            tsize: if asked.tsize { size } else { None },
        }
    }

    /// With nothing to acknowledge the transfer begins with DATA 1, never with an empty OACK.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.blksize == 0 && self.windowsize == 0 && self.timeout == 0 && self.tsize.is_none()
    }

    /// The block size in force.
    #[inline(always)]
    pub fn block_len(&self) -> u16 {
        if self.blksize == 0 {
            DEFAULT_BLKSIZE
        } else {
            self.blksize
        }
    }

    /// The window in force, in blocks.
    #[inline(always)]
    pub fn window(&self) -> u16 {
        if self.windowsize == 0 {
            1
        } else {
            self.windowsize
        }
    }

    /// Writes the OACK packet, opcode and all. Options stand in a fixed order, so that every rung
    /// sends the same bytes.
    #[inline(never)]
    pub fn encode_oack(&self, out: &mut Oack) {
        *out = Oack::EMPTY;
        out.push(0);
        out.push(opcode::OACK as u8);
        if self.blksize != 0 {
            out.option(b"blksize\0", self.blksize as u64);
        }
        if self.timeout != 0 {
            out.option(b"timeout\0", self.timeout as u64);
        }
        if let Some(tsize) = self.tsize {
            out.option(b"tsize\0", tsize);
        }
        if self.windowsize != 0 {
            out.option(b"windowsize\0", self.windowsize as u64);
        }
    }
}

/// Room for an OACK with all four options and a size of up to ten digits.
pub const OACK_MAX: usize = 72;

/// An OACK packet under construction; zero behind its end.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Oack {
    bytes: [u8; OACK_MAX],
    len: u32,
}

impl Oack {
    pub const EMPTY: Self = Self {
        bytes: [0; OACK_MAX],
        len: 0,
    };

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len as usize]
    }

    /// The whole buffer: the part behind the end is zero, and so does not change a checksum.
    #[inline(always)]
    pub const fn buffer(&self) -> &[u8; OACK_MAX] {
        &self.bytes
    }

    #[inline(always)]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an OACK has its opcode at least"
    )]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Never inlined: in registers the length would have one value the verifier knows for each way
    /// of putting options together.
    #[inline(never)]
    fn push(&mut self, byte: u8) {
        let at = self.len as usize;
        if at < OACK_MAX {
            self.bytes[at] = byte;
            self.len += 1;
        }
    }

    /// Name and value with their NULs. Ten digits are enough: no file of ours has more bytes.
    #[inline(always)]
    fn option<const N: usize>(&mut self, name: &[u8; N], value: u64) {
        for &byte in name {
            self.push(byte);
        }
        let mut divisor = 1_000_000_000;
        for _ in 0..10 {
            if value >= divisor || divisor == 1 {
                self.push(b'0' + (value / divisor % 10) as u8);
            }
            divisor /= 10;
        }
        self.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oack_answers_what_was_asked_and_nothing_else() {
        let limits = Limits {
            blksize: 1468,
            windowsize: 64,
        };
        let asked = Options {
            blksize: 8192,
            windowsize: 100,
            timeout: 3,
            tsize: true,
        };
        let granted = Granted::new(&asked, &limits, Some(4_294_967_295));
        let mut out = Oack::EMPTY;
        granted.encode_oack(&mut out);
        assert_eq!(
            out.as_bytes(),
            b"\0\x06blksize\x001468\0timeout\x003\0tsize\x004294967295\0windowsize\x0064\0"
        );
        assert!(Granted::new(&Options::default(), &limits, Some(7)).is_empty());
    }

    #[test]
    fn an_empty_file_has_a_size_too() {
        let limits = Limits {
            blksize: 1468,
            windowsize: 64,
        };
        let asked = Options {
            tsize: true,
            ..Options::default()
        };
        let mut out = Oack::EMPTY;
        Granted::new(&asked, &limits, Some(0)).encode_oack(&mut out);
        assert_eq!(out.as_bytes(), b"\0\x06tsize\x000\0");
    }
}
