use aya::programs::ProgramError;
use aya_obj::VerifierLog;

use super::*;

const ALL: &str = "CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n";

/// Where nothing is in the way.
fn free() -> Surroundings {
    Surroundings {
        status: ALL.to_owned(),
        label: "unconfined\n".to_owned(),
        lockdown: "[none] integrity confidentiality\n".to_owned(),
        unprivileged_bpf_disabled: "2\n".to_owned(),
        release: "6.1.0-13-amd64\n".to_owned(),
        uid_map: "         0          0 4294967295\n".to_owned(),
        memlock: 8 << 20,
        has_btf: true,
        container: None,
        is_given_up: false,
    }
}

fn only(surroundings: &Surroundings, call: Call) -> String {
    let findings = surroundings.findings(call);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.into_iter().next().unwrap()
}

#[test]
fn nothing_is_found_where_nothing_is_in_the_way() {
    for call in [Call::RawSocket, Call::Load] {
        assert!(free().findings(call).is_empty(), "{call:?}");
    }
}

/// As `setpriv` leaves them: bind and raw alone; and with the rest in the bounding set.
#[test]
fn missing_capabilities_are_named_with_the_lines_for_the_unit() {
    let status = "CapEff:\t0000000000002400\nCapBnd:\t0000000000002400\nSeccomp:\t0\n";
    let bare = Surroundings {
        status: status.to_owned(),
        ..free()
    };
    assert_eq!(
        only(&bare, Call::Load),
        "the process lacks CAP_BPF CAP_PERFMON CAP_NET_ADMIN, and its bounding set has no \
         CAP_BPF CAP_PERFMON CAP_NET_ADMIN; add CapabilityBoundingSet=CAP_BPF CAP_PERFMON \
         CAP_NET_ADMIN and AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_NET_ADMIN to its unit \
         (kernel.unprivileged_bpf_disabled is 2)"
    );
    assert!(bare.findings(Call::RawSocket).is_empty());
    let status = "CapEff:\t0000008000003400\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n";
    let one = Surroundings {
        status: status.to_owned(),
        ..free()
    };
    assert_eq!(
        only(&one, Call::Load),
        "the process lacks CAP_PERFMON; add AmbientCapabilities=CAP_PERFMON to its unit"
    );
}

#[test]
fn in_a_container_the_advice_is_for_the_container() {
    let docker = Surroundings {
        status: "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n".to_owned(),
        container: Some("docker".to_owned()),
        label: "docker-default (enforce)\n".to_owned(),
        ..free()
    };
    let findings = docker.findings(Call::Load);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(
        findings[0],
        "the process lacks CAP_BPF CAP_PERFMON CAP_NET_ADMIN in this docker container; add \
         --cap-add=BPF --cap-add=PERFMON --cap-add=NET_ADMIN \
         (kernel.unprivileged_bpf_disabled is 2)"
    );
    assert!(findings[1].contains("--security-opt seccomp="));
    assert!(findings[2].contains("`docker-default (enforce)`"));
}

#[test]
fn a_filter_of_system_calls_is_found() {
    let filtered = Surroundings {
        status: ALL.replace("Seccomp:\t0", "Seccomp:\t2"),
        ..free()
    };
    assert!(only(&filtered, Call::Load).contains("SystemCallFilter=@system-service bpf"));
    // By `RestrictAddressFamilies=`, which refuses with EAFNOSUPPORT.
    assert!(only(&filtered, Call::RawSocket).contains("with AF_PACKET"));
}

#[test]
fn a_security_module_is_found_where_it_confines() {
    for (label, confines) in [
        ("/usr/bin/tftp-edge (enforce)", true),
        ("system_u:system_r:tftpd_t:s0", true),
        ("/usr/bin/tftp-edge (complain)", false),
        ("unconfined", false),
        (
            "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0",
            false,
        ),
        ("", false),
    ] {
        let labelled = Surroundings {
            label: label.to_owned(),
            ..free()
        };
        let findings = labelled.findings(Call::Load);
        assert_eq!(!findings.is_empty(), confines, "{label}: {findings:?}");
    }
}

#[test]
fn lockdown_is_in_the_way_for_confidentiality_alone() {
    let locked = |to: &str| Surroundings {
        lockdown: to.to_owned(),
        ..free()
    };
    let confidential = locked("none integrity [confidentiality]\n");
    assert!(only(&confidential, Call::Load).contains("lockdown=integrity"));
    let integrity = locked("none [integrity] confidentiality\n");
    assert!(integrity.findings(Call::Load).is_empty());
}

#[test]
fn an_old_kernel_is_named_with_what_is_needed() {
    let release = |release: &str| Surroundings {
        release: release.to_owned(),
        ..free()
    };
    let old = only(&release("5.15.0-91-generic\n"), Call::Load);
    assert_eq!(
        old,
        "the kernel is 5.15.0-91-generic, and 5.18 or later is needed"
    );
    let without_tcx = only(&release("6.1.0\n"), Call::Attach);
    assert!(without_tcx.contains("sch_clsact"), "{without_tcx}");
    assert!(release("6.6.0\n").findings(Call::Attach).is_empty());
}

#[test]
fn locked_memory_counts_before_5_11() {
    let old = Surroundings {
        release: "5.10.0-26-amd64".to_owned(),
        memlock: 64 << 10,
        ..free()
    };
    let findings = old.findings(Call::Load);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[1].contains("64 kB; set LimitMEMLOCK=infinity"));
    let unlimited = Surroundings {
        memlock: u64::MAX,
        ..old
    };
    assert_eq!(unlimited.findings(Call::Load).len(), 1);
}

#[test]
fn missing_type_information_is_told_when_nothing_else_is_found() {
    let bare = Surroundings {
        has_btf: false,
        ..free()
    };
    assert!(only(&bare, Call::Load).contains("CONFIG_DEBUG_INFO_BTF"));
    assert!(bare.findings(Call::RawSocket).is_empty());
}

#[test]
fn a_user_namespace_is_found() {
    let rootless = Surroundings {
        uid_map: "         0       1000          1\n         1     100000      65536\n".to_owned(),
        ..free()
    };
    assert!(only(&rootless, Call::Load).contains("user namespace"));
}

#[test]
fn what_was_given_up_is_told_as_that() {
    let given_up = Surroundings {
        status: "CapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n".to_owned(),
        is_given_up: true,
        ..free()
    };
    let told = only(&given_up, Call::Load);
    assert!(
        told.ends_with("as kernel.keep_privileges = false says"),
        "{told}"
    );
}

#[test]
fn the_surroundings_of_this_process_can_be_read() {
    let own = Surroundings::read();
    assert!(own.status.contains("CapEff:"));
    assert!(capabilities::numbers(&own.release).is_some());
    assert!(!own.uid_map.is_empty());
}

#[test]
fn a_refusal_is_found_behind_other_errors() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);
    let behind = |errno| Outer(std::io::Error::from_raw_os_error(errno));
    assert!(is_refusal(&behind(libc::EPERM)));
    assert!(is_refusal(&behind(libc::EACCES)));
    assert!(!is_refusal(&behind(libc::EBUSY)));
}

fn not_loaded(errno: i32, log: &str) -> ProgramError {
    ProgramError::LoadError {
        io_error: std::io::Error::from_raw_os_error(errno),
        verifier_log: VerifierLog::new(log.to_owned()),
    }
}

#[test]
fn a_refused_program_is_told_by_the_end_of_what_the_verifier_wrote() {
    let log = format!("{}R2 is no pointer\n", "22: (b7) r9 = 2\n".repeat(50_000));
    let told = |errno| refused_in(&free(), Call::Load, &not_loaded(errno, &log));
    assert_eq!(
        told(libc::EINVAL),
        "the BPF_PROG_LOAD syscall returned Invalid argument (os error 22); the verifier ends with: \
         22: (b7) r9 = 2 / 22: (b7) r9 = 2 / R2 is no pointer"
    );
    // The verifier's own word for a program that may not do what it does is EACCES.
    assert!(told(libc::EACCES).ends_with("R2 is no pointer"));
}

#[test]
fn a_capability_that_is_missing_goes_before_what_the_verifier_wrote() {
    let status = "CapEff:\t0000008000003400\nCapBnd:\t000001ffffffffff\nSeccomp:\t0\n";
    let without_perfmon = Surroundings {
        status: status.to_owned(),
        ..free()
    };
    let error = not_loaded(libc::EACCES, "R3 pointer arithmetic prohibited\n");
    assert_eq!(
        refused_in(&without_perfmon, Call::Load, &error),
        "the BPF_PROG_LOAD syscall returned Permission denied (os error 13); the process lacks \
         CAP_PERFMON; add AmbientCapabilities=CAP_PERFMON to its unit"
    );
}

#[test]
fn what_is_no_matter_of_rights_is_told_as_it_is() {
    let told = |errno| refused_in(&free(), Call::Load, &not_loaded(errno, ""));
    assert_eq!(
        told(libc::ENOMEM),
        "the BPF_PROG_LOAD syscall returned Cannot allocate memory (os error 12)"
    );
    assert!(told(libc::EPERM).contains("; no capability is missing, no filter is on"));
}
