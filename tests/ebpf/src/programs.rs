use aya_ebpf::bindings::{BPF_F_INGRESS, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::helpers::{
    bpf_get_prandom_u32, bpf_skb_change_tail, bpf_skb_vlan_pop, bpf_skb_vlan_push,
};
use aya_ebpf::macros::{classifier, map, xdp};
use aya_ebpf::maps::{Array, PerCpuArray};
use aya_ebpf::programs::{TcContext, XdpContext};

/// The packet goes on, to the next program if there is one: TC_ACT_OK would be the last word.
const ON: i32 = TC_ACT_UNSPEC;

const ETH_LEN: usize = 14;
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021Q: u16 = 0x8100;
const IPPROTO_UDP: u8 = 17;

/// A full frame of a link with an MTU of 1500 bytes, without tags.
const FULL_FRAME: u32 = 1514;

/// Marks what `impair` has sent a second time, so that it is let through when it comes again.
const REPEATED: u32 = 0x7f7b_0001;

/// Settings of `impair`: packets in a million that are dropped, and that are sent twice; then
/// whether it is attached to the ingress side (1) or the egress side (0).
#[map]
static IMPAIR: Array<u32> = Array::with_max_entries(3, 0);

/// What `impair` did: seen, dropped, sent twice.
#[map]
static IMPAIRED: PerCpuArray<u64> = PerCpuArray::with_max_entries(3, 0);

/// VLAN ids that `push_tags` pushes: the inner, then the outer; zero is no tag.
#[map]
static TAGS: Array<u32> = Array::with_max_entries(2, 0);

/// Egress: grows every UDP frame to a full one. The receiver reads the length from IP and UDP, so
/// the bytes behind it mean nothing, but veth puts a frame this long into a page of its own.
#[classifier]
fn pad(ctx: TcContext) -> i32 {
    if is_udp(&ctx) && ctx.len() < FULL_FRAME {
        // SAFETY: the context is the one the kernel called us with. A frame that cannot grow goes
        // out as it is.
        unsafe { bpf_skb_change_tail(ctx.skb.skb, FULL_FRAME, 0) };
    }
    ON
}

/// veth drops frames that arrive by XDP_TX unless their receiver has an XDP program too.
#[xdp]
fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops and repeats UDP packets at random.
#[classifier]
fn impair(ctx: TcContext) -> i32 {
    // SAFETY: the context is the one the kernel called us with.
    let mark = unsafe { (*ctx.skb.skb).mark };
    if !is_udp(&ctx) {
        return ON;
    }
    if mark == REPEATED {
        ctx.set_mark(0);
        return ON;
    }
    count(0);
    if happens(0) {
        count(1);
        return TC_ACT_SHOT;
    }
    if happens(1) {
        let ingress = IMPAIR.get(2).copied().unwrap_or(0) != 0;
        let flags = if ingress { BPF_F_INGRESS as u64 } else { 0 };
        // SAFETY: as above.
        let interface = unsafe { (*ctx.skb.skb).ifindex };
        ctx.set_mark(REPEATED);
        if ctx.clone_redirect(interface, flags).is_ok() {
            count(2);
        }
        ctx.set_mark(0);
    }
    ON
}

/// Egress: puts one or two VLAN tags on every frame.
#[classifier]
fn push_tags(ctx: TcContext) -> i32 {
    for index in 0..2 {
        let id = TAGS.get(index).copied().unwrap_or(0);
        if id != 0 {
            // SAFETY: the context is the one the kernel called us with.
            let failed = unsafe { bpf_skb_vlan_push(ctx.skb.skb, ETH_P_8021Q.to_be(), id as u16) };
            if failed != 0 {
                return TC_ACT_SHOT;
            }
        }
    }
    ON
}

/// Ingress: takes the tags off again. A frame without them is not for these clients, and dropped,
/// as by a phone in a voice VLAN.
#[classifier]
fn pop_tags(ctx: TcContext) -> i32 {
    for index in 0..2 {
        // The outer tag comes off first.
        let id = TAGS.get(1 - index).copied().unwrap_or(0);
        if id != 0 {
            // SAFETY: the context is the one the kernel called us with.
            let tag = unsafe {
                let skb = ctx.skb.skb;
                if (*skb).vlan_present != 0 {
                    (*skb).vlan_tci & 0xfff
                } else {
                    0
                }
            };
            // SAFETY: as above.
            if tag != id || unsafe { bpf_skb_vlan_pop(ctx.skb.skb) } != 0 {
                return TC_ACT_SHOT;
            }
        }
    }
    ON
}

/// UDP over IPv4 or IPv6, behind tags that are still in the skb's metadata only.
#[inline(always)]
fn is_udp(ctx: &TcContext) -> bool {
    let Ok(ethertype) = ctx.load::<u16>(12) else {
        return false;
    };
    let protocol_at = match u16::from_be(ethertype) {
        ETH_P_IP => ETH_LEN + 9,
        ETH_P_IPV6 => ETH_LEN + 6,
        _ => return false,
    };
    ctx.load::<u8>(protocol_at) == Ok(IPPROTO_UDP)
}

/// Draws whether the event with this setting happens to this packet.
#[inline(always)]
fn happens(setting: u32) -> bool {
    let rate_ppm = IMPAIR.get(setting).copied().unwrap_or(0);
    // SAFETY: the helper has no preconditions.
    let drawn = unsafe { bpf_get_prandom_u32() };
    // 32 random bits scaled to a million: no modulo, no bias worth a name.
    ((drawn as u64 * 1_000_000) >> 32) < rate_ppm as u64
}

#[inline(always)]
fn count(counter: u32) {
    if let Some(cell) = IMPAIRED.get_ptr_mut(counter) {
        // SAFETY: the value is this CPU's own, and TC programs of one CPU do not interleave.
        unsafe { *cell += 1 };
    }
}
