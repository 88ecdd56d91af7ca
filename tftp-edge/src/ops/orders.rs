//! `tftp-edge phones reset|restart|apply-config`: the daemon tells phones to start anew, at a pace.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::control::{self, AskError};
use super::exit::Exit;
use super::phones::Which;
use crate::inventory::DeviceName;
use crate::register::Order;
use crate::register::pacer::{self, Command, Ordered};

/// Names in one request: it has to fit into a line of the control socket.
const NAMES: usize = 100;

/// Between two looks at how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Have registered phones boot anew, firmware and addresses included
    Reset(OrderArgs),
    /// Have registered phones read their configuration and register again
    Restart(OrderArgs),
    /// Have registered phones read their configuration, and restart only if they have to
    ApplyConfig(OrderArgs),
}

#[derive(Debug, Args)]
pub struct OrderArgs {
    #[command(flatten)]
    pub which: Which,
    /// At most so many phones a second; the configuration's pace holds all the same
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// Only say how many would be told
    #[arg(long)]
    pub dry_run: bool,
    /// Say how far it is until all have been told
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
    /// What came of it as JSON
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl OrderCommand {
    /// Ends with [`Exit::Data`] if a device was named that nobody knows, or a site without any; the
    /// others are told.
    pub fn run(self, socket: &Path, out: &mut dyn Write) -> Result<Exit, AskError> {
        let (order, args) = match self {
            Self::Reset(args) => (Order::Reset, args),
            Self::Restart(args) => (Order::Restart, args),
            Self::ApplyConfig(args) => (Order::ApplyConfig, args),
        };
        let socket = args.socket.as_deref().unwrap_or(socket);
        let mut all = Ordered::default();
        let mut tickets: Vec<u64> = Vec::new();
        for phones in requests(&args.which) {
            let command = Command {
                order,
                phones,
                rate: args.rate,
                ticket: tickets.last().copied(),
                dry_run: args.dry_run,
            };
            let ordered = control::order(socket, command)?;
            tickets.extend(ordered.ticket.filter(|it| !tickets.contains(it)));
            add(&mut all, ordered);
        }
        match args.json {
            true => {
                serde_json::to_writer(&mut *out, &all).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            false => out.write_all(told(order, &all, args.dry_run).as_bytes())?,
        }
        if args.wait {
            wait(socket, &tickets, args.json, out)?;
        }
        Ok(match all.unknown.is_empty() && all.empty_site.is_none() {
            true => Exit::Ok,
            false => Exit::Data,
        })
    }
}

fn requests(which: &Which) -> Vec<pacer::Which> {
    match &which.site {
        Some(site) => vec![pacer::Which::Site(site.clone())],
        None if which.all => vec![pacer::Which::All],
        None => {
            let some = which.names.chunks(NAMES);
            some.map(|names| pacer::Which::Names(names.to_vec()))
                .collect()
        }
    }
}

fn add(all: &mut Ordered, more: Ordered) {
    all.ticket = all.ticket.or(more.ticket);
    all.queued += more.queued;
    all.joined += more.joined;
    all.no_room += more.no_room;
    all.not_registered += more.not_registered;
    all.unknown.extend(more.unknown);
    all.empty_site = all.empty_site.take().or(more.empty_site);
}

fn told(order: Order, ordered: &Ordered, is_dry: bool) -> String {
    let what = match is_dry {
        true => "would be told to",
        false => "will be told to",
    };
    let mut text = format!("{} {what} {}", ordered.queued, order.as_str());
    for (count, which) in [
        (ordered.joined, "had an order waiting"),
        (ordered.no_room, "not told, too many are waiting"),
        (ordered.not_registered, "not registered"),
    ] {
        if count > 0 {
            text += &format!(", {count} {which}");
        }
    }
    if !ordered.unknown.is_empty() {
        let names: Vec<_> = ordered.unknown.iter().map(DeviceName::as_str).collect();
        text += &format!(", unknown: {}", names.join(", "));
    }
    if let Some(site) = &ordered.empty_site {
        text += &format!(", no device is in site {site:?}");
    }
    text + "\n"
}

fn wait(
    socket: &Path,
    tickets: &[u64],
    is_json: bool,
    out: &mut dyn Write,
) -> Result<(), AskError> {
    let mut before = None;
    loop {
        let mut left = 0;
        for &ticket in tickets {
            left += control::orders(socket, Some(ticket))?.left;
        }
        if before != Some(left) && !is_json {
            writeln!(out, "{left} left")?;
            out.flush()?;
        }
        if left == 0 {
            return Ok(());
        }
        before = Some(left);
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_for_people() {
        let ordered = Ordered {
            ticket: Some(1),
            queued: 3,
            not_registered: 2,
            unknown: vec!["SEP0000000000FF".parse().unwrap()],
            ..Ordered::default()
        };
        assert_eq!(
            told(Order::Reset, &ordered, false),
            "3 will be told to reset, 2 not registered, unknown: SEP0000000000FF\n"
        );
        assert_eq!(
            told(Order::Restart, &Ordered::default(), true),
            "0 would be told to restart\n"
        );
        let mistyped = Ordered {
            empty_site: Some("berln".to_owned()),
            ..Ordered::default()
        };
        assert_eq!(
            told(Order::Reset, &mistyped, false),
            "0 will be told to reset, no device is in site \"berln\"\n"
        );
    }

    #[test]
    fn many_names_are_asked_for_in_lines_that_fit() {
        let names = (0..250).map(|at| format!("SEP{at:012X}").parse().unwrap());
        let which = Which {
            names: names.collect(),
            site: None,
            all: false,
        };
        let requests = requests(&which);
        assert_eq!(requests.len(), 3);
        for phones in requests {
            let command = Command {
                order: Order::ApplyConfig,
                phones,
                rate: Some(u32::MAX),
                ticket: Some(u64::MAX),
                dry_run: false,
            };
            let line = serde_json::to_string(&control::Request::Order(command)).unwrap();
            assert!(line.len() < 4_096, "{}", line.len());
        }
    }
}
