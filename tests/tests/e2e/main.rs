//! The daemon, as it is installed, against clients on a wire: the same cases on each rung of the
//! ladder.
//!
//! They need root, and say so if they are skipped. `cargo test -p tftp-edge-tests --test e2e` wants
//! the daemon built before; `cargo xtask test` does it.

/// Makes one test of a case for each rung, so that a failure names it.
macro_rules! on_every_rung {
    ($($case:ident),+ $(,)?) => {
        on_every_rung!(@rung xdp Xdp $($case)+);
        on_every_rung!(@rung tc Tc $($case)+);
        on_every_rung!(@rung socket Socket $($case)+);
    };
    (@rung $module:ident $rung:ident $($case:ident)+) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    tftp_edge_tests::rig::run(tftp_ebpf::verdict::Rung::$rung, super::$case);
                }
            )+
        }
    };
}

mod absence;
mod classify;
mod clients;
mod clock;
mod dhcp;
mod faults;
mod flood;
mod front;
mod full;
mod hostile;
mod http;
mod interfaces;
mod journal;
mod leftovers;
mod lldp;
mod log;
mod memory;
mod neighbours;
mod orders;
mod outage;
mod prometheus;
mod provisioning;
mod raw;
mod registration;
mod reload;
mod reserve;
mod restart;
mod scan;
mod service;
mod sip;
mod sip_hostile;
mod soak;
mod storm;
mod swap;
mod top;
mod trace;
mod upstream;
mod vlan;
mod web;
mod why;
