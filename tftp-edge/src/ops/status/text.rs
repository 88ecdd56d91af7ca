//! The text for people.

use std::fmt;
use std::time::Duration;

use super::Status;
use super::units::{duration, size};
use crate::alarms::Alarm;
use crate::kernel::InterfaceStatus;

fn fmt_interface(out: &mut fmt::Formatter<'_>, interface: &InterfaceStatus) -> fmt::Result {
    write!(out, "  {}: ", interface.name)?;
    match interface.absent_seconds {
        Some(seconds) => write!(out, "absent for {}", duration(Duration::from_secs(seconds)))?,
        None => write!(out, "{}", interface.mode.as_str())?,
    }
    if !interface.members.is_empty() {
        write!(out, " on {}", interface.members.join(", "))?;
    }
    match &interface.problem {
        Some(problem) => writeln!(out, " ({problem})")?,
        None => writeln!(out)?,
    }
    match &interface.notice {
        Some(notice) => writeln!(out, "    note: {notice}"),
        None => Ok(()),
    }
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.ready, self.is_degraded()) {
            (false, _) => "not ready",
            (true, true) => "serving, degraded",
            (true, false) => "serving",
        };
        writeln!(
            out,
            "tftp-edge {}, pid {}, up {}: {state}",
            self.version,
            self.pid,
            duration(Duration::from_secs(self.uptime_seconds))
        )?;
        for reason in &self.reasons {
            writeln!(out, "  {reason}")?;
        }

        writeln!(out, "\nkernel path: {}", self.kernel.mode.as_str())?;
        if let Some(problem) = &self.kernel.problem {
            writeln!(out, "  {problem}")?;
        }
        for interface in &self.kernel.interfaces {
            fmt_interface(out, interface)?;
        }
        let pins = &self.kernel.pins;
        if let Some(path) = &pins.path {
            let adopted = if pins.adopted {
                ", taken over from the daemon before"
            } else {
                ""
            };
            writeln!(out, "  pinned under {}{adopted}", path.display())?;
        }
        if let Some(problem) = &pins.problem {
            writeln!(out, "  {problem}")?;
        }
        if !self.sockets.is_empty() {
            writeln!(out, "sockets: {}", self.sockets.join(", "))?;
        }
        for (scheme, addresses) in [("HTTP", &self.http.http), ("HTTPS", &self.http.https)] {
            if !addresses.is_empty() {
                writeln!(out, "{scheme}: {}", addresses.join(", "))?;
            }
        }

        writeln!(
            out,
            "\n{:<8}{:>11}{:>11}{:>11}{:>9}{:>12}{:>9}{:>12}",
            "path", "requests", "complete", "not found", "failed", "blocks", "resent", "sent"
        )?;
        for rung in &self.rungs {
            writeln!(
                out,
                "{:<8}{:>11}{:>11}{:>11}{:>9}{:>12}{:>9}{:>12}",
                rung.path,
                rung.requests,
                rung.complete,
                rung.not_found,
                rung.failed,
                rung.blocks,
                rung.resent,
                size(rung.bytes)
            )?;
        }

        let transfers = &self.transfers;
        writeln!(
            out,
            "\ntransfers: {} of {} in the kernel, {} of {} on sockets",
            transfers.kernel, transfers.kernel_limit, transfers.socket, transfers.socket_limit
        )?;
        let http = &self.http;
        if http.connections_limit > 0 {
            let (open, limit) = (http.connections, http.connections_limit);
            writeln!(out, "HTTP connections: {open} of {limit}")?;
        }
        let files = &self.files;
        writeln!(
            out,
            "files: {} on disk, {} generated; {} of them in the kernel; {} names known to be absent",
            files.on_disk, files.generated, files.in_kernel, files.absent
        )?;
        if files.refused > 0 || files.clashes > 0 {
            writeln!(
                out,
                "  not served: {} names that must not be, {} that differ from another only in case",
                files.refused, files.clashes
            )?;
        }
        let devices = &self.devices;
        write!(out, "devices: {} SIP, {} SCCP", devices.sip, devices.sccp)?;
        if let Some(open) = devices.windows_open {
            write!(out, "; {open} of them may fetch their configuration now")?;
        }
        match devices.unknown {
            0 => writeln!(out)?,
            unknown => writeln!(
                out,
                "; {unknown} unknown ones asked (`tftp-edge phones unknown`)"
            )?,
        }
        self.fmt_stuck(out)?;
        self.fmt_upstream(out)?;
        if let Some(register) = &self.register {
            register.fmt(out)?;
        }
        self.journal.fmt(out)?;

        write!(out, "{}", self.configuration)?;
        if let Some(log) = &self.log {
            write!(out, "{log}")?;
        }

        if !self.alarms.is_empty() {
            writeln!(out, "\nalarms:")?;
        }
        for alarm in &self.alarms {
            let Alarm {
                kind,
                subject,
                problem,
                ..
            } = alarm;
            writeln!(out, "  {kind}: {subject}: {problem}")?;
        }
        Ok(())
    }
}

impl Status {
    fn fmt_stuck(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phones: u64 = self.stuck.values().sum();
        if phones == 0 {
            return Ok(());
        }
        let mut causes: Vec<_> = self.stuck.iter().collect();
        causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let causes: Vec<_> = causes
            .iter()
            .map(|(it, count)| format!("{count} {it}"))
            .collect();
        let them = match phones {
            1 => "phone does",
            _ => "phones do",
        };
        writeln!(
            out,
            "{phones} {them} not get on: {} (`tftp-edge phones --stuck`)",
            causes.join(", ")
        )
    }

    fn fmt_upstream(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let upstream = &self.upstream;
        if upstream.servers.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "upstream: {} files, {} of {}; {} names not there either",
            upstream.files,
            size(upstream.bytes),
            size(upstream.bytes_limit),
            upstream.absent
        )?;
        for server in &upstream.servers {
            let problem = server.problem.as_deref();
            writeln!(out, "  {}: {}", server.server, problem.unwrap_or("answers"))?;
        }
        Ok(())
    }
}
