//! The kernel program: two entry points over one core, two more for what they hand on; and the
//! same in smaller steps for traces.
//!
//! [`tftp_ebpf::answer::handle`] decides everything about TFTP, and which packets are of a
//! registration; [`tftp_ebpf::classify::classify`] decides about those. Here a verdict becomes an
//! action. On any other target than BPF this is a stub, so that the crate builds and lints with the
//! workspace.

#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod bpf;

#[cfg(not(target_arch = "bpf"))]
fn main() {
    eprintln!("tftp-edge-bpf is a program for the kernel: the tftp-edge daemon loads it");
}

#[cfg(target_arch = "bpf")]
mod entry {
    use aya_ebpf::EbpfContext;
    use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
    use aya_ebpf::helpers::generated::bpf_redirect;
    use aya_ebpf::macros::{classifier, xdp};
    use aya_ebpf::programs::{TcContext, XdpContext};
    use aya_log_ebpf::warn;
    use tftp_ebpf::answer::handle;
    use tftp_ebpf::classify::{Decision, classify, classify_as};
    use tftp_ebpf::frame::Frame;
    use tftp_ebpf::trace::{self, Next};
    use tftp_ebpf::verdict::{Reason, Verdict};

    use crate::bpf::frames::{TcFrame, XdpFrame};
    use crate::bpf::maps::{self, KernelMaps};

    #[xdp]
    fn tftp_edge_xdp(ctx: XdpContext) -> u32 {
        match answer(&ctx, &mut XdpFrame::new(&ctx)).verdict() {
            Verdict::Answer => xdp_action::XDP_TX,
            Verdict::Pass => xdp_action::XDP_PASS,
            Verdict::Drop => xdp_action::XDP_DROP,
            Verdict::Classify => {
                // SAFETY: nothing is left to be dropped here. Returns only if the daemon has put no
                // program there.
                unsafe { maps::NEXT_XDP.tail_call(&ctx, Next::Classify as u32) };
                xdp_action::XDP_PASS
            }
        }
    }

    #[xdp]
    fn tftp_edge_classify_xdp(ctx: XdpContext) -> u32 {
        match classify(&XdpFrame::new(&ctx), &KernelMaps) {
            Decision::Pass | Decision::WouldDrop => xdp_action::XDP_PASS,
            Decision::Drop => xdp_action::XDP_DROP,
        }
    }

    #[classifier]
    fn tftp_edge_tc(ctx: TcContext) -> i32 {
        let mut frame = TcFrame::new(&ctx);
        match answer(&ctx, &mut frame).verdict() {
            // SAFETY: no pointers; sends the frame out of the interface it came in on.
            Verdict::Answer => unsafe { bpf_redirect(frame.ifindex(), 0) as i32 },
            // TC_ACT_OK would keep it from the programs attached behind this one.
            Verdict::Pass => TC_ACT_UNSPEC,
            Verdict::Drop => TC_ACT_SHOT,
            Verdict::Classify => {
                // SAFETY: as under XDP.
                unsafe { maps::NEXT_TC.tail_call(&ctx, Next::Classify as u32) };
                TC_ACT_UNSPEC
            }
        }
    }

    #[classifier]
    fn tftp_edge_classify_tc(ctx: TcContext) -> i32 {
        match classify(&TcFrame::new(&ctx), &KernelMaps) {
            Decision::Pass | Decision::WouldDrop => TC_ACT_UNSPEC,
            Decision::Drop => TC_ACT_SHOT,
        }
    }

    // What is attached while a trace runs, and what follows on it.

    #[xdp]
    fn tftp_edge_xdp_traced(ctx: XdpContext) -> u32 {
        let next = trace::take(&XdpFrame::new(&ctx), &KernelMaps);
        // SAFETY: nothing is left to be dropped here. Returns only if the daemon has put no
        // program there.
        unsafe { maps::NEXT_XDP.tail_call(&ctx, next as u32) };
        xdp_action::XDP_PASS
    }

    #[xdp]
    fn tftp_edge_handle_xdp_traced(ctx: XdpContext) -> u32 {
        let mut frame = XdpFrame::new(&ctx);
        let reason = answer(&ctx, &mut frame);
        let next = trace::handled(&KernelMaps, reason);
        // SAFETY: as above.
        unsafe { maps::NEXT_XDP.tail_call(&ctx, next as u32) };
        match reason.verdict() {
            Verdict::Answer => xdp_action::XDP_TX,
            Verdict::Pass | Verdict::Classify => xdp_action::XDP_PASS,
            Verdict::Drop => xdp_action::XDP_DROP,
        }
    }

    #[xdp]
    fn tftp_edge_tell_xdp(ctx: XdpContext) -> u32 {
        match trace::tell(&XdpFrame::new(&ctx), &KernelMaps) {
            Verdict::Answer => xdp_action::XDP_TX,
            Verdict::Pass | Verdict::Classify => xdp_action::XDP_PASS,
            Verdict::Drop => xdp_action::XDP_DROP,
        }
    }

    #[xdp]
    fn tftp_edge_classify_xdp_traced(ctx: XdpContext) -> u32 {
        match traced(&XdpFrame::new(&ctx)) {
            Decision::Pass | Decision::WouldDrop => xdp_action::XDP_PASS,
            Decision::Drop => xdp_action::XDP_DROP,
        }
    }

    #[classifier]
    fn tftp_edge_tc_traced(ctx: TcContext) -> i32 {
        let next = trace::take(&TcFrame::new(&ctx), &KernelMaps);
        // SAFETY: as under XDP.
        unsafe { maps::NEXT_TC.tail_call(&ctx, next as u32) };
        TC_ACT_UNSPEC
    }

    #[classifier]
    fn tftp_edge_handle_tc_traced(ctx: TcContext) -> i32 {
        let mut frame = TcFrame::new(&ctx);
        let reason = answer(&ctx, &mut frame);
        let next = trace::handled(&KernelMaps, reason);
        // SAFETY: as above.
        unsafe { maps::NEXT_TC.tail_call(&ctx, next as u32) };
        match reason.verdict() {
            // SAFETY: as in the program that does not trace.
            Verdict::Answer => unsafe { bpf_redirect(frame.ifindex(), 0) as i32 },
            Verdict::Pass | Verdict::Classify => TC_ACT_UNSPEC,
            Verdict::Drop => TC_ACT_SHOT,
        }
    }

    #[classifier]
    fn tftp_edge_tell_tc(ctx: TcContext) -> i32 {
        let frame = TcFrame::new(&ctx);
        match trace::tell(&frame, &KernelMaps) {
            // SAFETY: as in the program that does not trace.
            Verdict::Answer => unsafe { bpf_redirect(frame.ifindex(), 0) as i32 },
            Verdict::Pass | Verdict::Classify => TC_ACT_UNSPEC,
            Verdict::Drop => TC_ACT_SHOT,
        }
    }

    #[classifier]
    fn tftp_edge_classify_tc_traced(ctx: TcContext) -> i32 {
        match traced(&TcFrame::new(&ctx)) {
            Decision::Pass | Decision::WouldDrop => TC_ACT_UNSPEC,
            Decision::Drop => TC_ACT_SHOT,
        }
    }

    #[inline(always)]
    fn traced<F: Frame>(frame: &F) -> Decision {
        let (class, decision) = classify_as(frame, &KernelMaps);
        trace::tell_classified(&KernelMaps, class, decision);
        decision
    }

    #[inline(always)]
    fn answer<C: EbpfContext, F: Frame>(ctx: &C, frame: &mut F) -> Reason {
        let reason = handle(frame, &KernelMaps);
        maps::count(F::RUNG, reason);
        // Never a line per packet: this says that something is wrong with a driver or a map. The
        // verifier drops it altogether unless the daemon turned it on before loading.
        if matches!(reason, Reason::WriteFailed) {
            warn!(
                ctx,
                "an answer could not be written; frame of {} bytes on interface {}",
                frame.len(),
                frame.ifindex()
            );
        }
        reason
    }

    #[cfg(not(test))]
    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo) -> ! {
        loop {}
    }

    // Helpers that read kernel memory need a licence the kernel accepts.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
}
