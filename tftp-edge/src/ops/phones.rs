//! `tftp-edge phones`, `why` and `report`: how far each phone is, what it did, and what is the matter
//! with it, as the daemon knows it. `phones unknown|adopt|open|close`: who asks in vain, and who is
//! let in.
//!
//! Who knocked only the daemon knows; the rest is done in the inventory, and the daemon sees it.

mod list;
mod report;
#[cfg(test)]
mod sample;
mod show;
mod whom;
mod why;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};

use super::control::{self, ClientError};
use super::exit::Exit;
use super::status::{duration, size};
use crate::config::Config;
use crate::inventory::{Device, DeviceName, Inventory, Origin, Protocol, StoreError, text};
use crate::provisioning::{
    self, AdoptError, Adoption, Knockers, Knocking, Told, adopt, since_epoch,
};

pub use list::ListArgs;
pub use report::ReportArgs;
pub use show::ShowArgs;
pub use whom::Whom;
pub use why::WhyArgs;

#[derive(Debug, Subcommand)]
pub enum ProvisioningCommand {
    /// Show the devices that asked for their files and that nobody knows
    Unknown(UnknownArgs),
    /// Take an unknown device in, with the next free number of its site
    Adopt(AdoptArgs),
    /// Let devices fetch their configuration for a while
    Open(OpenArgs),
    /// Let devices fetch their configuration no more
    Close(Which),
}

#[derive(Debug, Args)]
pub struct UnknownArgs {
    /// Only those in the networks of this site
    #[arg(long)]
    pub site: Option<String>,
    /// Show the devices of the inventory instead that asked while their window was closed
    #[arg(long)]
    pub closed: bool,
    /// One JSON object for each device, one a line; times are Unix seconds
    #[arg(long)]
    pub json: bool,
    /// The daemon's control socket; taken from the configuration when it is not given
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// Such as SEP001122334455
    pub name: DeviceName,
    /// Such as 7841; not needed if what the device asked for tells it
    #[arg(long)]
    pub model: Option<String>,
    /// sip or sccp; not needed for a model that speaks only one of them
    #[arg(long, value_parser = protocol)]
    pub protocol: Option<Protocol>,
    /// By default the one whose networks the device knocked from
    #[arg(long)]
    pub site: Option<String>,
    /// By default the site's auto_registration_profile
    #[arg(long)]
    pub profile: Option<String>,
    /// By default the next free one of the site's auto_registration_numbers
    #[arg(long, value_parser = directory_number)]
    pub number: Option<String>,
    /// Print the new device as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct OpenArgs {
    #[command(flatten)]
    pub which: Which,
    /// By default provisioning.window_minutes
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: Option<u32>,
}

/// Which devices of the inventory.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Device names, such as SEP001122334455
    pub names: Vec<DeviceName>,
    /// All devices of a site
    #[arg(long)]
    pub site: Option<String>,
    /// All devices
    #[arg(long)]
    pub all: bool,
}

fn protocol(text: &str) -> Result<Protocol, &'static str> {
    text.parse().map_err(|()| "expected sip or sccp")
}

fn directory_number(text: &str) -> Result<String, String> {
    text::directory_number(text).map(|()| text.to_owned())
}

#[derive(Debug, thiserror::Error)]
pub enum PhonesError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("{name} is not adopted: {source}")]
    Adopt {
        name: DeviceName,
        source: AdoptError,
    },
    #[error("nothing tells where {0} is: it has not asked for anything; name its site with --site")]
    WhichSite(DeviceName),
    #[error("nothing tells what model {0} is; name it with --model, such as --model 7841")]
    WhichModel(DeviceName),
    #[error("not in the inventory, and so nothing was done: {}", names(.0))]
    NotThere(Vec<DeviceName>),
    #[error("site {0:?} has no devices")]
    NobodyThere(String),
    #[error(
        "every device may fetch its configuration at any time; to have windows, set \
         provisioning.window_minutes in the configuration and reload the daemon"
    )]
    NoWindows,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "nobody knows {0}: it is not in the inventory and was not heard of; `tftp-edge phones \
         unknown` shows who asks, and a name or MAC address may be mistyped"
    )]
    Nobody(DeviceName),
    #[error(
        "no phone is known at {0}; `tftp-edge phones --search` finds phones by part of their name or \
         number"
    )]
    NobodyAt(IpAddr),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// The widest line for people.
const WIDTH: usize = 100;

/// Breaks a text into lines, with something before the first and before the others.
fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut lines = vec![first.to_owned()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the start");
        let is_new = line.trim().is_empty() || *line == first;
        if !is_new && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{others}{word}"));
        } else {
            if !is_new {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// What phones say of themselves is printed, and does nothing to the terminal.
fn plain(text: &str) -> String {
    let harmless = |it: char| match it.is_control() && it != '\n' {
        true => char::REPLACEMENT_CHARACTER,
        false => it,
    };
    text.chars().map(harmless).collect()
}

fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

fn ago(now_ms: u64, at_ms: u64) -> String {
    duration(Duration::from_millis(now_ms.saturating_sub(at_ms)))
}

/// `2026-11-23T07:30:00Z`.
fn time(at_ms: u64) -> String {
    // The last that can be printed.
    let at_ms = at_ms.min(253_402_300_799_000);
    let at = std::time::UNIX_EPOCH + Duration::from_millis(at_ms);
    humantime::format_rfc3339_seconds(at).to_string()
}

fn json_line(value: &impl serde::Serialize, out: &mut dyn Write) -> Result<(), PhonesError> {
    serde_json::to_writer(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn names(names: &[DeviceName]) -> String {
    let names: Vec<_> = names.iter().map(DeviceName::as_str).collect();
    names.join(", ")
}

impl PhonesError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Adopt { .. }
            | Self::NotThere(_)
            | Self::NobodyThere(_)
            | Self::Nobody(_)
            | Self::NobodyAt(_) => Exit::Data,
            Self::WhichSite(_) | Self::WhichModel(_) => Exit::Usage,
            Self::NoWindows => Exit::Config,
            Self::Store(error) => error.into(),
            Self::Output(_) => Exit::Io,
        }
    }
}

impl ProvisioningCommand {
    pub fn run(self, config: &Config, out: &mut dyn Write) -> Result<(), PhonesError> {
        match self {
            Self::Unknown(args) => unknown(&args, config, out),
            Self::Adopt(args) => take_in(args, config, out),
            Self::Open(OpenArgs { which, minutes }) => {
                let minutes = minutes.unwrap_or(config.provisioning.window_minutes);
                let count = set_windows(&which, Some(minutes), config)?;
                writeln!(out, "{count} open for {minutes} minutes")?;
                Ok(())
            }
            Self::Close(which) => {
                let count = set_windows(&which, None, config)?;
                writeln!(out, "{count} closed")?;
                Ok(())
            }
        }
    }
}

fn unknown(args: &UnknownArgs, config: &Config, out: &mut dyn Write) -> Result<(), PhonesError> {
    let who = match args.closed {
        true => Knockers::Closed,
        false => Knockers::Unknown,
    };
    let socket = args.socket.as_deref().unwrap_or(&config.control.socket);
    let mut devices = control::knocking(socket, who)?;
    if let Some(site) = &args.site {
        devices.retain(|device| device.site == *site);
    }
    let mut text = String::new();
    if args.json {
        for device in &devices {
            text += &serde_json::to_string(device).map_err(io::Error::from)?;
            text.push('\n');
        }
    } else {
        text = table(&devices, since_epoch());
    }
    Ok(out.write_all(text.as_bytes())?)
}

/// For people; nothing but a line if there is nobody.
fn table(devices: &[Knocking], now: Duration) -> String {
    if devices.is_empty() {
        return "nobody asked\n".to_owned();
    }
    let mut text = format!(
        "{:<16} {:<16} {:<16} {:<8} {:>6}  {:<14} asked for\n",
        "device", "address", "site", "model", "times", "last"
    );
    for device in devices {
        let last = now.saturating_sub(Duration::from_secs(device.last_seen));
        writeln!(
            text,
            "{:<16} {:<16} {:<16} {:<8} {:>6}  {:<14} {}",
            device.name,
            device.source.to_string(),
            device.site,
            device.model.as_deref().unwrap_or("?"),
            device.times,
            format!("{} ago", duration(last)),
            device.file,
        )
        .expect("writing to a string cannot fail");
    }
    text
}

fn take_in(args: AdoptArgs, config: &Config, out: &mut dyn Write) -> Result<(), PhonesError> {
    let name = args.name;
    let by_name = Told::by_name(name);
    let given = (args.model.is_some() || by_name.model.is_some()) && args.site.is_some();
    let knock = match given {
        true => None,
        false => knock_of(name, &config.control.socket)?,
    };
    let told = knock.as_ref();
    let site = args.site.or_else(|| told.map(|knock| knock.site.clone()));
    let model = args
        .model
        .or(by_name.model)
        .or_else(|| told.and_then(|knock| knock.model.clone()));
    let adoption = Adoption {
        name,
        site: site.ok_or(PhonesError::WhichSite(name))?,
        model: model.ok_or(PhonesError::WhichModel(name))?,
        protocol: args.protocol.or(by_name.protocol),
        profile: args.profile,
        number: args.number,
    };
    let minutes = config.provisioning.window_minutes;
    let window = config.provisioning.has_windows().then(|| end_of(minutes));
    let mut inventory = Inventory::open(&config.inventory)?;
    let origin = Origin::of_process("phones adopt");
    for adopted in adopt(&mut inventory, &[adoption], window, &origin)? {
        let device = adopted.map_err(|source| PhonesError::Adopt { name, source })?;
        if args.json {
            serde_json::to_writer(&mut *out, &device).map_err(io::Error::from)?;
            writeln!(out)?;
            continue;
        }
        write!(out, "{}", told_of(&device))?;
        match window {
            Some(_) => writeln!(
                out,
                "; it may fetch its configuration for {minutes} minutes"
            )?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn told_of(device: &Device) -> String {
    let numbers: Vec<_> = device.lines.iter().map(|it| it.number.as_str()).collect();
    let mut text = format!(
        "{} adopted: {} {}, number {}, site {}",
        device.name,
        device.model,
        device.protocol,
        numbers.join(";"),
        device.site
    );
    if let Some(profile) = &device.profile {
        text += &format!(", profile {profile}");
    }
    text
}

/// What the daemon saw of a device that nobody knows.
fn knock_of(name: DeviceName, socket: &Path) -> Result<Option<Knocking>, ClientError> {
    let unknown = control::knocking(socket, Knockers::Unknown)?;
    Ok(unknown.into_iter().find(|knock| knock.name == name))
}

/// Opens or closes windows; gives back how many.
fn set_windows(which: &Which, minutes: Option<u32>, config: &Config) -> Result<usize, PhonesError> {
    if !config.provisioning.has_windows() {
        return Err(PhonesError::NoWindows);
    }
    let mut inventory = Inventory::open(&config.inventory)?;
    let devices = inventory.snapshot()?.devices;
    let chosen: Vec<DeviceName> = if let Some(site) = &which.site {
        let of_site = devices.values().filter(|device| device.site == *site);
        let of_site: Vec<_> = of_site.map(|device| device.name).collect();
        if of_site.is_empty() {
            return Err(PhonesError::NobodyThere(site.clone()));
        }
        of_site
    } else if which.all {
        devices.keys().copied().collect()
    } else {
        let is_missing = |name: &&DeviceName| !devices.contains_key(*name);
        let missing: Vec<_> = which.names.iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            return Err(PhonesError::NotThere(missing));
        }
        which.names.clone()
    };
    inventory
        .store()
        .set_windows(&chosen, minutes.map(end_of))?;
    Ok(chosen.len())
}

fn end_of(minutes: u32) -> u64 {
    since_epoch().as_secs() + provisioning::seconds(minutes)
}

#[cfg(test)]
mod tests;
