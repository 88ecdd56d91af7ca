//! Frames under XDP and under TC.

use aya_ebpf::helpers::generated::{
    bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_store_bytes, bpf_xdp_adjust_tail,
    bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
};
use aya_ebpf::programs::{TcContext, XdpContext};
use tftp_ebpf::abi::trace::MIRROR_MAX;
use tftp_ebpf::abi::{MAX_BLOCK, SLAB_BYTES, SLAB_STRIDE, Slab};
use tftp_ebpf::frame::{Frame, REQUEST_MAX};
use tftp_ebpf::verdict::Rung;
use tftp_ebpf::wire::sip::HEAD_MAX;
use tftp_ebpf::wire::tftp::{OACK_MAX, Oack};
use tftp_ebpf::wire::{Bytes, below};

/// Checks that a block lies in its slab, in terms of the verifier; returns offset and length.
#[inline(always)]
pub(crate) fn in_slab(offset: usize, len: usize) -> Option<(usize, usize)> {
    let offset = below::<SLAB_BYTES>(offset);
    let len = below::<2048>(len);
    if offset >= SLAB_STRIDE || len == 0 || len > MAX_BLOCK as usize {
        return None;
    }
    Some((offset, len))
}

/// Zeroes what will be behind a request of `len` bytes; returns the length in terms of the verifier.
#[inline(always)]
fn end_request(out: &mut [u8; REQUEST_MAX], len: usize) -> Option<usize> {
    let len = below::<REQUEST_MAX>(len);
    if len == 0 || len > REQUEST_MAX - 4 {
        return None;
    }
    for index in len..len + 4 {
        out[index & (REQUEST_MAX - 1)] = 0;
    }
    Some(len)
}

/// The length of a head in terms of the verifier.
#[inline(always)]
fn head_len(len: usize) -> Option<u32> {
    let len = below::<2048>(len);
    if len == 0 || len > HEAD_MAX {
        None
    } else {
        Some(len as u32)
    }
}

/// The length of a frame's beginning in terms of the verifier.
#[inline(always)]
fn mirror_len(len: usize) -> Option<u32> {
    let len = below::<{ 2 * MIRROR_MAX }>(len);
    if len == 0 || len > MIRROR_MAX {
        None
    } else {
        Some(len as u32)
    }
}

/// The length of an OACK in terms of the verifier.
#[inline(always)]
fn oack_len(oack: &Oack) -> Option<usize> {
    let len = below::<128>(oack.len());
    if len == 0 || len > OACK_MAX {
        None
    } else {
        Some(len)
    }
}

pub(crate) struct XdpFrame<'ctx> {
    ctx: &'ctx XdpContext,
}

impl<'ctx> XdpFrame<'ctx> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'ctx XdpContext) -> Self {
        Self { ctx }
    }
}

impl Frame for XdpFrame<'_> {
    const RUNG: Rung = Rung::Xdp;

    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the context is the one the kernel passed.
        unsafe { bpf_xdp_get_buff_len(self.ctx.ctx) as usize }
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is the one the kernel passed.
        unsafe { (*self.ctx.ctx).ingress_ifindex }
    }

    #[inline(always)]
    fn outer_tag(&self) -> Option<[u8; 4]> {
        None
    }

    #[inline(always)]
    fn load<T: Bytes>(&self, at: usize, out: &mut T) -> bool {
        let len = size_of::<T>() as u32;
        // SAFETY: the kernel checks the range in the frame; any bytes are a value of `out`.
        unsafe { bpf_xdp_load_bytes(self.ctx.ctx, at as u32, (&raw mut *out).cast(), len) == 0 }
    }

    #[inline(always)]
    fn load_request(&self, at: usize, len: usize, out: &mut [u8; REQUEST_MAX]) -> bool {
        let Some(len) = end_request(out, len) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `out` has more than `len` bytes.
        unsafe {
            bpf_xdp_load_bytes(self.ctx.ctx, at as u32, out.as_mut_ptr().cast(), len as u32) == 0
        }
    }

    #[inline(always)]
    fn load_head(&self, at: usize, len: usize, out: &mut [u8; HEAD_MAX]) -> bool {
        let Some(len) = head_len(len) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `out` has at least `len` bytes.
        unsafe { bpf_xdp_load_bytes(self.ctx.ctx, at as u32, out.as_mut_ptr().cast(), len) == 0 }
    }

    #[inline(always)]
    fn load_frame(&self, len: usize, out: &mut [u8; MIRROR_MAX]) -> bool {
        let Some(len) = mirror_len(len) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `out` has at least `len` bytes.
        unsafe { bpf_xdp_load_bytes(self.ctx.ctx, 0, out.as_mut_ptr().cast(), len) == 0 }
    }

    #[inline(always)]
    fn resize(&mut self, from: usize, to: usize) -> bool {
        let delta = to as i32 - from as i32;
        // SAFETY: no pointer into the frame is held anywhere: all access is by helper.
        delta == 0 || unsafe { bpf_xdp_adjust_tail(self.ctx.ctx, delta) == 0 }
    }

    #[inline(always)]
    fn store<T: Bytes>(&mut self, at: usize, piece: &T) -> bool {
        let len = size_of::<T>() as u32;
        let bytes = (&raw const *piece).cast_mut().cast();
        // SAFETY: the kernel checks the range in the frame, and only reads the piece.
        unsafe { bpf_xdp_store_bytes(self.ctx.ctx, at as u32, bytes, len) == 0 }
    }

    #[inline(always)]
    fn store_oack(&mut self, at: usize, oack: &Oack) -> bool {
        let Some(len) = oack_len(oack) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `oack` has at least `len` bytes.
        unsafe {
            bpf_xdp_store_bytes(
                self.ctx.ctx,
                at as u32,
                oack.buffer().as_ptr() as *mut _,
                len as u32,
            ) == 0
        }
    }

    #[inline(always)]
    fn store_content(&mut self, at: usize, slab: &Slab, offset: usize, len: usize) -> bool {
        let Some((offset, len)) = in_slab(offset, len) else {
            return false;
        };
        // SAFETY: `in_slab` keeps the source inside the slab; the kernel checks the frame.
        unsafe {
            let source = slab.as_ptr().add(offset);
            bpf_xdp_store_bytes(self.ctx.ctx, at as u32, source as *mut _, len as u32) == 0
        }
    }
}

pub(crate) struct TcFrame<'ctx> {
    ctx: &'ctx TcContext,
}

impl<'ctx> TcFrame<'ctx> {
    #[inline(always)]
    pub(crate) fn new(ctx: &'ctx TcContext) -> Self {
        Self { ctx }
    }
}

impl Frame for TcFrame<'_> {
    const RUNG: Rung = Rung::Tc;

    #[inline(always)]
    fn len(&self) -> usize {
        self.ctx.len() as usize
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context is the one the kernel passed.
        unsafe { (*self.ctx.skb.skb).ifindex }
    }

    #[inline(always)]
    fn outer_tag(&self) -> Option<[u8; 4]> {
        // SAFETY: the context is the one the kernel passed.
        let (present, protocol, tci) = unsafe {
            let skb = &*self.ctx.skb.skb;
            (skb.vlan_present, skb.vlan_proto, skb.vlan_tci)
        };
        if present == 0 {
            return None;
        }
        let tci = (tci as u16).to_be_bytes();
        // `vlan_proto` holds the EtherType as it stood on the wire.
        let kind = (protocol as u16).to_ne_bytes();
        Some([kind[0], kind[1], tci[0], tci[1]])
    }

    #[inline(always)]
    fn load<T: Bytes>(&self, at: usize, out: &mut T) -> bool {
        let len = size_of::<T>() as u32;
        // SAFETY: the kernel checks the range in the frame; any bytes are a value of `out`.
        unsafe {
            let skb = self.ctx.skb.skb.cast();
            bpf_skb_load_bytes(skb, at as u32, (&raw mut *out).cast(), len) == 0
        }
    }

    #[inline(always)]
    fn load_request(&self, at: usize, len: usize, out: &mut [u8; REQUEST_MAX]) -> bool {
        let Some(len) = end_request(out, len) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `out` has more than `len` bytes.
        unsafe {
            let skb = self.ctx.skb.skb.cast();
            bpf_skb_load_bytes(skb, at as u32, out.as_mut_ptr().cast(), len as u32) == 0
        }
    }

    #[inline(always)]
    fn load_head(&self, at: usize, len: usize, out: &mut [u8; HEAD_MAX]) -> bool {
        let Some(len) = head_len(len) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `out` has at least `len` bytes.
        unsafe {
            let skb = self.ctx.skb.skb.cast();
            bpf_skb_load_bytes(skb, at as u32, out.as_mut_ptr().cast(), len) == 0
        }
    }

    #[inline(always)]
    fn load_frame(&self, len: usize, out: &mut [u8; MIRROR_MAX]) -> bool {
        let Some(len) = mirror_len(len) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `out` has at least `len` bytes.
        unsafe {
            let skb = self.ctx.skb.skb.cast();
            bpf_skb_load_bytes(skb, 0, out.as_mut_ptr().cast(), len) == 0
        }
    }

    #[inline(always)]
    fn resize(&mut self, from: usize, to: usize) -> bool {
        // SAFETY: no pointer into the frame is held anywhere: all access is by helper.
        from == to || unsafe { bpf_skb_change_tail(self.ctx.skb.skb, to as u32, 0) == 0 }
    }

    #[inline(always)]
    fn store<T: Bytes>(&mut self, at: usize, piece: &T) -> bool {
        let len = size_of::<T>() as u32;
        let bytes = (&raw const *piece).cast();
        // SAFETY: the kernel checks the range in the frame, and only reads the piece.
        unsafe { bpf_skb_store_bytes(self.ctx.skb.skb, at as u32, bytes, len, 0) == 0 }
    }

    #[inline(always)]
    fn store_oack(&mut self, at: usize, oack: &Oack) -> bool {
        let Some(len) = oack_len(oack) else {
            return false;
        };
        // SAFETY: the kernel checks the range in the frame; `oack` has at least `len` bytes.
        unsafe {
            let skb = self.ctx.skb.skb;
            bpf_skb_store_bytes(skb, at as u32, oack.buffer().as_ptr().cast(), len as u32, 0) == 0
        }
    }

    #[inline(always)]
    fn store_content(&mut self, at: usize, slab: &Slab, offset: usize, len: usize) -> bool {
        let Some((offset, len)) = in_slab(offset, len) else {
            return false;
        };
        // SAFETY: `in_slab` keeps the source inside the slab; the kernel checks the frame.
        unsafe {
            let source = slab.as_ptr().add(offset).cast();
            bpf_skb_store_bytes(self.ctx.skb.skb, at as u32, source, len as u32, 0) == 0
        }
    }
}
