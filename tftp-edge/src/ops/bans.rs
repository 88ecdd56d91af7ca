//! `tftp-edge bans`: who is shut out from registration, and letting them in again before their time.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::control::{self, AskError};
use super::exit::Exit;
use super::status::duration;
use crate::recent::{name_of, source_of};
use crate::register::bans::{Banned, Lift};

/// Sources in one request: it has to fit into a line of the control socket.
const MOST: usize = 64;

#[derive(Debug, Subcommand)]
pub enum BansCommand {
    /// List the sources that are shut out from registration, and those that would be if no phones of
    /// a site were there
    List(How),
    /// Let sources in again
    Lift(LiftArgs),
}

#[derive(Debug, Args)]
pub struct LiftArgs {
    /// `10.66.6.6`; over IPv6 any address of the prefix, or the prefix: `2001:db8::/64`
    #[arg(required_unless_present = "all", num_args = 1..=MOST, value_parser = source)]
    pub sources: Vec<IpAddr>,
    /// All that are shut out
    #[arg(long, conflicts_with = "sources")]
    pub all: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Args)]
pub struct How {
    /// JSON instead of text; times are seconds
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

fn source(text: &str) -> Result<IpAddr, &'static str> {
    let prefix = text.strip_suffix("/64").map(str::parse::<Ipv6Addr>);
    let ip = prefix.map_or_else(|| text.parse(), |it| it.map(IpAddr::V6));
    ip.map_err(|_| "expected an address, or an IPv6 prefix as `tftp-edge bans list` has it")
}

/// What came of `lift`.
#[derive(Debug, Default, Serialize)]
struct Lifted {
    lifted: Vec<Banned>,
    /// Nothing was to be done for them.
    not_banned: BTreeSet<String>,
}

impl Lifted {
    fn new(asked: &[IpAddr], lifted: Vec<Banned>) -> Self {
        let was_banned = |name: &String| lifted.iter().any(|it| it.source == *name);
        let names = asked.iter().map(|&ip| name_of(&source_of(ip)));
        Self {
            not_banned: names.filter(|it| !was_banned(it)).collect(),
            lifted,
        }
    }
}

impl BansCommand {
    pub fn socket(&self) -> Option<&Path> {
        let (Self::List(how) | Self::Lift(LiftArgs { how, .. })) = self;
        how.socket.as_deref()
    }

    /// Ends with [`Exit::Data`] if a source was named that is not shut out; the others are let in.
    pub fn run(&self, socket: &Path, out: &mut dyn Write) -> Result<Exit, AskError> {
        match self {
            Self::List(how) => {
                let banned = control::bans(socket)?;
                print(out, how, &banned, || table(&banned))?;
                Ok(Exit::Ok)
            }
            Self::Lift(args) => {
                let which = match args.all {
                    true => Lift::All,
                    false => Lift::Sources(args.sources.clone()),
                };
                let came = Lifted::new(&args.sources, control::lift(socket, which)?);
                print(out, &args.how, &came, || told(&came))?;
                Ok(match came.not_banned.is_empty() {
                    true => Exit::Ok,
                    false => Exit::Data,
                })
            }
        }
    }
}

fn print(
    out: &mut dyn Write,
    how: &How,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> io::Result<()> {
    if !how.json {
        return out.write_all(text().as_bytes());
    }
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// For people; nothing but a line if there is nobody.
fn table(banned: &[Banned]) -> String {
    if banned.is_empty() {
        return "nobody is shut out\n".to_owned();
    }
    let mut text = format!(
        "{:<28} {:<8} {:<12} {:<12} refused\n",
        "source", "for", "since", "left"
    );
    for it in banned {
        let time = |seconds| duration(Duration::from_secs(seconds));
        let refused = match it.is_spared {
            true => "not shut out: phones of a site are there".to_owned(),
            false => it.refused.to_string(),
        };
        text += &format!(
            "{:<28} {:<8} {:<12} {:<12} {refused}\n",
            it.source,
            it.offence.as_str(),
            time(it.for_s),
            time(it.seconds_left)
        );
    }
    text
}

fn told(came: &Lifted) -> String {
    let mut text = String::new();
    for it in &came.lifted {
        text += &match it.is_spared {
            true => format!("{}: was not shut out, and is told of no more\n", it.source),
            false => format!("{}: let in again\n", it.source),
        };
    }
    for source in &came.not_banned {
        text += &format!("{source}: is not shut out; see `tftp-edge bans list`\n");
    }
    match text.is_empty() {
        true => "nobody is shut out\n".to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::bans::Offence;

    fn banned(source: &str, is_spared: bool) -> Banned {
        Banned {
            source: source.to_owned(),
            offence: Offence::Guess,
            is_spared,
            for_s: 61,
            seconds_left: 839,
            refused: 12,
        }
    }

    #[test]
    fn the_list_for_people() {
        let all = [
            banned("10.66.6.6", false),
            banned("2001:db8:6:7::/64", true),
        ];
        assert_eq!(
            table(&all),
            "source                       for      since        left         refused\n\
             10.66.6.6                    guess    1 min 1 s    13 min 59 s  12\n\
             2001:db8:6:7::/64            guess    1 min 1 s    13 min 59 s  \
             not shut out: phones of a site are there\n"
        );
        assert_eq!(table(&[]), "nobody is shut out\n");
    }

    #[test]
    fn what_came_of_it_for_people() {
        let asked = [
            "10.66.6.6",
            "10.66.6.6",
            "10.1.0.1",
            "10.66.6.7",
            "10.66.6.7",
            "2001:db8:6:7::1",
            "2001:db8:6:7::2",
        ];
        let asked = asked.map(|it| it.parse().unwrap());
        let lifted = vec![
            banned("10.66.6.6", false),
            banned("10.1.0.1", true),
            banned("2001:db8:6:7::/64", false),
        ];
        let came = Lifted::new(&asked, lifted);
        assert_eq!(
            told(&came),
            "10.66.6.6: let in again\n10.1.0.1: was not shut out, and is told of no more\n\
             2001:db8:6:7::/64: let in again\n10.66.6.7: is not shut out; see `tftp-edge bans list`\n"
        );
        assert_eq!(told(&Lifted::default()), "nobody is shut out\n");
    }

    #[test]
    fn a_source_is_named_as_the_list_has_it() {
        for (text, ip) in [
            ("10.66.6.6", "10.66.6.6"),
            ("2001:db8::/64", "2001:db8::"),
            ("2001:db8::5", "2001:db8::5"),
        ] {
            assert_eq!(source(text), Ok(ip.parse().unwrap()));
        }
        let longest = vec!["2001:db8:1234:5678:9abc:def0:1234:5678".parse().unwrap(); MOST];
        let which = Lift::Sources(longest);
        let line = serde_json::to_string(&control::Request::Lift { which }).unwrap();
        assert!(line.len() < 4_096, "{}", line.len());
        for text in ["", "10.66.6.0/24", "10.66.6.6/64", "2001:db8::/48", "phone"] {
            assert!(source(text).unwrap_err().contains("expected"), "{text}");
        }
    }
}
