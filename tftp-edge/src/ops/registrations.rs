//! `tftp-edge registrations`: who is registered, and who comes and goes.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::control::{self, AskError};
use super::status::duration;
use crate::inventory::{DeviceName, Protocol};
use crate::provisioning::since_epoch;
use crate::register::export::{Event, Filter, Row};

#[derive(Debug, Args)]
pub struct RegistrationsArgs {
    /// Only this device
    pub device: Option<DeviceName>,
    /// Only phones of this site
    #[arg(long)]
    pub site: Option<String>,
    /// Only sip or sccp
    #[arg(long, value_parser = protocol)]
    pub protocol: Option<Protocol>,
    /// Only phones with this line
    #[arg(long, value_name = "NUMBER")]
    pub line: Option<String>,
    /// Go on with what changes, until interrupted
    #[arg(long)]
    pub follow: bool,
    /// One JSON object a line; times are Unix seconds
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

fn protocol(text: &str) -> Result<Protocol, &'static str> {
    text.parse().map_err(|()| "expected sip or sccp")
}

impl RegistrationsArgs {
    pub fn run(&self, socket: &Path, out: &mut dyn Write) -> Result<(), AskError> {
        let filter = Filter {
            device: self.device,
            site: self.site.clone(),
            protocol: self.protocol,
            line: self.line.clone(),
        };
        match self.follow {
            true => control::follow(socket, filter, |event| {
                match self.json {
                    true => json(&event, out)?,
                    false => out.write_all(told(&event).as_bytes())?,
                }
                // Somebody waits for each of them.
                Ok(out.flush()?)
            }),
            false => self.list(socket, filter, out),
        }
    }

    fn list(&self, socket: &Path, filter: Filter, out: &mut dyn Write) -> Result<(), AskError> {
        let mut rows = Vec::new();
        control::registrations(socket, filter, |row| rows.push(row))?;
        rows.sort_unstable_by_key(|row| row.device);
        if self.json {
            for row in &rows {
                json(row, out)?;
            }
            return Ok(());
        }
        Ok(out.write_all(table(&rows, since_epoch()).as_bytes())?)
    }
}

fn json(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// For people; nothing but a line if there is nobody.
fn table(rows: &[Row], now: Duration) -> String {
    if rows.is_empty() {
        return "nobody is registered\n".to_owned();
    }
    let mut text = format!(
        "{:<16} {:<5} {:<4} {:<22} {:<14} {:<8} {:<12} {:<12} lines\n",
        "device", "", "", "address", "site", "model", "since", "for"
    );
    for row in rows {
        let at = |seconds: u64| Duration::from_secs(seconds);
        let numbers: Vec<_> = row.lines.iter().map(|it| it.number.as_str()).collect();
        let left = match row.connected {
            true => duration(at(row.expires).saturating_sub(now)),
            false => "expected".to_owned(),
        };
        writeln!(
            text,
            "{:<16} {:<5} {:<4} {:<22} {:<14} {:<8} {:<12} {:<12} {}",
            row.device,
            row.protocol.as_str(),
            row.transport.as_str(),
            std::net::SocketAddr::new(row.address, row.port).to_string(),
            row.site,
            row.model.as_deref().unwrap_or("?"),
            duration(now.saturating_sub(at(row.since))),
            left,
            numbers.join(" "),
        )
        .expect("writing to a string cannot fail");
    }
    writeln!(text, "{} registered", rows.len()).expect("writing to a string cannot fail");
    text
}

/// One line for people; none for what is the daemon's business alone.
fn told(event: &Event) -> String {
    let place = |row: &Row| {
        let numbers: Vec<_> = row.lines.iter().map(|it| it.number.as_str()).collect();
        format!(
            "{} {} at {}, site {}, lines {}\n",
            row.protocol,
            row.transport,
            std::net::SocketAddr::new(row.address, row.port),
            row.site,
            numbers.join(" ")
        )
    };
    match event {
        Event::Resync => "-- all that are registered:\n".to_owned(),
        Event::Synced { registrations } => format!("-- {registrations} registered; changes:\n"),
        Event::Registered { registration } => {
            format!(
                "{} registered: {}",
                registration.device,
                place(registration)
            )
        }
        Event::Moved { registration } => {
            format!("{} moved: {}", registration.device, place(registration))
        }
        Event::Left { device, reason, .. } => {
            format!("{device} left: {}\n", reason.replace('_', " "))
        }
        Event::Heartbeat { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Transport;
    use crate::register::export::Line;

    fn row() -> Row {
        let line = |number: &str| Line {
            number: number.to_owned(),
            contact: None,
        };
        Row {
            device: "SEP001122334455".parse().unwrap(),
            protocol: Protocol::Sccp,
            transport: Transport::Tcp,
            address: "2001:db8::5".parse().unwrap(),
            port: 50_123,
            lines: vec![line("1001"), line("1002")],
            site: "berlin".to_owned(),
            model: None,
            load: None,
            since: 1_000,
            expires: 4_700,
            connected: true,
        }
    }

    #[test]
    fn the_list_for_people() {
        let now = Duration::from_secs(4_660);
        let text = table(&[row()], now);
        assert_eq!(
            text.lines().nth(1).unwrap(),
            "SEP001122334455  sccp  tcp  [2001:db8::5]:50123    berlin         ?        1 h 1 min    \
             40 s         1001 1002"
        );
        assert_eq!(text.lines().nth(2).unwrap(), "1 registered");
        let restored = Row {
            connected: false,
            ..row()
        };
        assert!(table(&[restored], now).contains(" expected "));
        assert_eq!(table(&[], now), "nobody is registered\n");
    }

    #[test]
    fn events_for_people() {
        let registered = Event::Registered {
            registration: row(),
        };
        assert_eq!(
            told(&registered),
            "SEP001122334455 registered: sccp tcp at [2001:db8::5]:50123, site berlin, \
             lines 1001 1002\n"
        );
        let left = Event::Left {
            device: row().device,
            protocol: Protocol::Sccp,
            reason: "keepalive_timeout".to_owned(),
            cause: Some(13),
        };
        assert_eq!(told(&left), "SEP001122334455 left: keepalive timeout\n");
        assert_eq!(told(&Event::Heartbeat { time: 1 }), "");
    }
}
