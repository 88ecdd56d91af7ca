//! What can be typed on the command line.
//!
//! In the library, not beside `main`, so that manual pages and completions are made from the same
//! definitions that the program parses with.

use std::path::PathBuf;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::audit::command::{FilesCommand, FirmwareCommand};
use crate::config::DEFAULT_FILE;
use crate::config::command::ConfigCommand;
use crate::dhcp::command::{DhcpArgs, LldpArgs};
use crate::inventory::command::{DeviceCommand, InventoryCommand};
use crate::kernel::pins::command::DetachArgs;
use crate::ops::bans::BansCommand;
use crate::ops::exit;
use crate::ops::log::command::LogCommand;
use crate::ops::orders::OrderCommand;
use crate::ops::phones::{ListArgs, ProvisioningCommand, ReportArgs, ShowArgs, WhyArgs};
use crate::ops::registrations::RegistrationsArgs;
use crate::ops::reload::ReloadArgs;
use crate::ops::top::TopArgs;
use crate::ops::trace::TraceArgs;
use crate::phonefile::command::RenderArgs;

/// Serves sites of IP phones over TFTP, from the kernel where it can.
#[derive(Parser)]
#[command(name = "tftp-edge", version, after_help = exit::HELP)]
pub struct Cli {
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_FILE)]
    pub config: PathBuf,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground, until SIGTERM or SIGINT. SIGUSR2 ends it and leaves what the
    /// kernel serves from to the daemon that is started next.
    Run,
    /// Check the configuration, its fragments and the files it names, and say what is wrong with them.
    Check,
    /// Show the configuration: what is set and where, all that is in force, or the defaults.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Have the daemon that runs read its configuration anew, and say what changed.
    #[command(after_help = exit::HELP)]
    Reload(ReloadArgs),
    /// Ask the daemon that runs how it is.
    #[command(after_help = exit::HELP)]
    Status {
        /// One JSON object instead of text.
        #[arg(long)]
        json: bool,
        /// The daemon's control socket; taken from the configuration when it is not given.
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Read, show and change the inventory: devices, sites, and all that they share.
    #[command(subcommand)]
    Inventory(InventoryCommand),
    /// Show how far each phone is; add, change, remove and show the devices of the inventory, take in
    /// those that nobody knows, let devices have their configuration, and tell them to restart.
    Phones(PhonesArgs),
    /// Say what is the matter with a phone, and what to do
    #[command(after_help = exit::HELP)]
    Why(WhyArgs),
    /// List all phones with what they run, where they are, and since when they are registered
    Report(ReportArgs),
    /// Show the phones that are registered, and follow who comes and goes
    Registrations(RegistrationsArgs),
    /// Who is shut out from registration, and letting them in again.
    #[command(subcommand, after_help = exit::HELP)]
    Bans(BansCommand),
    /// Follow the daemon that runs on a terminal: phones, sites, storm and rates.
    Top(TopArgs),
    /// Show and change what the daemon that runs logs.
    #[command(subcommand)]
    Log(LogCommand),
    /// Take off what a daemon that was killed, or ended by SIGUSR2, has left in the kernel
    #[command(after_help = exit::HELP)]
    Detach(DetachArgs),
    /// Every packet of one phone while it runs, and what became of each
    #[command(after_help = exit::HELP)]
    Trace(TraceArgs),
    /// Print a generated file as a phone would get it.
    Render(RenderArgs),
    /// Print what a DHCP server needs to tell phones where we are.
    Dhcp(DhcpArgs),
    /// Print what lldpd needs to tell phones their voice VLAN.
    Lldp(LldpArgs),
    /// Whether the firmware that phones are told to run is here
    #[command(subcommand)]
    Firmware(FirmwareCommand),
    /// Whether the other files that phones ask for are here, and fit
    #[command(subcommand)]
    Files(FilesCommand),
}

#[derive(clap::Args)]
pub struct PhonesArgs {
    #[command(flatten)]
    pub list: ListArgs,
    #[command(subcommand)]
    pub command: Option<PhonesCommand>,
}

#[derive(Subcommand)]
pub enum PhonesCommand {
    /// Show all there is to a device, and what it did, boot by boot
    Show(ShowArgs),
    #[command(flatten)]
    Devices(DeviceCommand),
    #[command(flatten)]
    Provisioning(ProvisioningCommand),
    #[command(flatten)]
    Orders(OrderCommand),
}

/// The whole command line, as clap sees it.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        super::command().debug_assert();
    }
}
