//! What metrics, status and the web page are told of content and sockets.

use crate::audit::Auditor;
use crate::content::Library;
use crate::ops::sources;
use crate::tftp;

pub(super) fn sockets(server: &tftp::Server) -> sources::Sockets {
    let gauges = server.gauges();
    sources::Sockets {
        bound: server.local_addrs(),
        workers: server.workers(),
        transfers: gauges.transfers,
        transfers_limit: gauges.limit,
        receive_errors: gauges.receive_overflows,
    }
}

pub(super) fn content(library: &Library, auditor: &Auditor) -> sources::Content {
    let counts = library.counts();
    let mut ended = library.ended();
    ended.extend(auditor.has_ended().then_some("audit"));
    sources::Content {
        // The library starts with everything read.
        settled: true,
        on_disk: counts.files,
        generated: counts.generated,
        absent: counts.absent,
        refused: counts.refused,
        clashes: counts.clashes,
        memory_bytes: counts.bytes,
        memory_limit_bytes: counts.bytes_limit,
        evicted: counts.evicted,
        last_regeneration: counts.last_regeneration.took,
        regenerations: counts.regenerations,
        ended,
    }
}

pub(super) fn devices(library: &Library) -> sources::Devices {
    let counts = library.counts();
    sources::Devices {
        sip: counts.sip_devices,
        sccp: counts.sccp_devices,
        unknown: library.unknown(),
        forgotten: library.forgotten(),
        windows_open: counts.windows_open,
    }
}
