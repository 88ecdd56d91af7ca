//! `tftp-edge`: runs what was typed. What can be typed is [`tftp_edge::cli`].

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tftp_edge::audit::AuditError;
use tftp_edge::cli::{Cli, Command, PhonesArgs, PhonesCommand};
use tftp_edge::config::command::{ConfigCommand, ConfigCommandError};
use tftp_edge::config::{self, Config, ConfigError};
use tftp_edge::dhcp::command::{DhcpArgs, DhcpError, LldpArgs};
use tftp_edge::edge;
use tftp_edge::inventory::command::{CommandError, InventoryCommand};
use tftp_edge::kernel::pins::command::{self as pins, DetachArgs};
use tftp_edge::ops::bans::BansCommand;
use tftp_edge::ops::control;
use tftp_edge::ops::exit::Exit;
use tftp_edge::ops::log;
use tftp_edge::ops::log::command::LogCommand;
use tftp_edge::ops::phones::{ListArgs, PhonesError, ReportArgs, WhyArgs};
use tftp_edge::ops::registrations::RegistrationsArgs;
use tftp_edge::ops::reload::ReloadArgs;
use tftp_edge::ops::top::TopArgs;
use tftp_edge::ops::trace::TraceArgs;
use tftp_edge::phonefile::command::{RenderArgs, RenderCommandError};
use tftp_edge::service;

/// An error and the code it ends with.
struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error)
    }
}

impl From<ConfigCommandError> for Failure {
    fn from(error: ConfigCommandError) -> Self {
        let exit = match &error {
            ConfigCommandError::Config(_) => Exit::Config,
            ConfigCommandError::Output(_) => Exit::Io,
        };
        Self::new(exit, error)
    }
}

impl From<DhcpError> for Failure {
    fn from(error: DhcpError) -> Self {
        let exit = match &error {
            DhcpError::NoSuchSite(_) | DhcpError::ManyVlans(_) => Exit::Usage,
            DhcpError::Nothing(_) | DhcpError::NoVlan => Exit::Data,
            DhcpError::Store(error) => error.into(),
            DhcpError::Output(_) => Exit::Io,
        };
        Self::new(exit, error)
    }
}

impl From<PhonesError> for Failure {
    fn from(error: PhonesError) -> Self {
        Self::new(error.exit(), error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Io, error)
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap itself would end with 2 on wrong usage.
            let exit = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
                _ => Exit::Usage,
            };
            // Nowhere is left to report that the message could not be written.
            let _ = error.print();
            return exit.into();
        }
    };
    let ended = match cli.command {
        Command::Run => run(&cli.config),
        Command::Check => check(&cli.config),
        Command::Config(command) => config_command(&cli.config, &command),
        Command::Reload(arguments) => reload(&cli.config, &arguments),
        Command::Status { json, socket } => status(&cli.config, json, socket),
        Command::Inventory(command) => inventory(&cli.config, command),
        Command::Phones(arguments) => phones(&cli.config, arguments),
        Command::Why(arguments) => why(&cli.config, &arguments),
        Command::Report(arguments) => report(&cli.config, &arguments),
        Command::Registrations(arguments) => registrations(&cli.config, &arguments),
        Command::Bans(command) => bans(&cli.config, &command),
        Command::Top(arguments) => top(&cli.config, &arguments),
        Command::Log(command) => log_command(&cli.config, command),
        Command::Detach(arguments) => detach(&cli.config, arguments),
        Command::Trace(arguments) => trace(&cli.config, &arguments),
        Command::Render(arguments) => render(&cli.config, &arguments),
        Command::Dhcp(arguments) => dhcp(&cli.config, &arguments),
        Command::Lldp(arguments) => lldp(&cli.config, &arguments),
        Command::Firmware(command) => audit(&cli.config, |config, out| command.run(config, out)),
        Command::Files(command) => audit(&cli.config, |config, out| command.run(config, out)),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(Failure { exit, error }) => {
            eprintln!("tftp-edge: {}", told(&error));
            exit.into()
        }
    }
}

/// The error and its causes on one line. Messages of ours that name their cause already are not
/// followed by it once more.
fn told(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// The configuration, with the log at its level.
fn configured(file: &Path) -> Result<Config, ConfigError> {
    let config = Config::load(file)?;
    log::init_for_command(&config.log);
    Ok(config)
}

fn run(file: &Path) -> Result<Exit, Failure> {
    let config = Config::load(file)?;
    let log = log::init(&config.log).map_err(|error| Failure::new(error.exit(), error))?;
    keep_memory_private();
    service::begin(&config);
    edge::run(&config, &log).map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

/// The daemon's memory holds the passwords of every phone: no core file is written of it, and no
/// other process of its user reads it through /proc or ptrace. Root still does.
fn keep_memory_private() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(event = "edge.core_readable", %error, "a core file of this process would hold passwords");
    }
}

fn check(file: &Path) -> Result<Exit, Failure> {
    config::command::check(file, &mut io::stdout())?;
    Ok(Exit::Ok)
}

fn config_command(file: &Path, command: &ConfigCommand) -> Result<Exit, Failure> {
    command.run(file, &mut io::stdout())?;
    Ok(Exit::Ok)
}

fn reload(file: &Path, arguments: &ReloadArgs) -> Result<Exit, Failure> {
    // What is at fault is for the daemon to say, and to remember: here only its socket is looked for.
    let socket = arguments.socket.clone();
    let socket = socket.unwrap_or_else(|| config::control_socket(file));
    arguments
        .run(&socket, &mut io::stdout())
        .map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

fn status(file: &Path, json: bool, socket: Option<PathBuf>) -> Result<Exit, Failure> {
    let socket = match socket {
        Some(socket) => socket,
        None => Config::load(file)?.control.socket,
    };
    let status = control::status(&socket).map_err(|error| Failure::new(error.exit(), error))?;
    let text = if json {
        serde_json::to_string_pretty(&status).map_err(io::Error::from)? + "\n"
    } else {
        status.to_string()
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(status.exit())
}

fn inventory(file: &Path, command: InventoryCommand) -> Result<Exit, Failure> {
    let config = configured(file)?;
    command
        .run(&config.inventory, &mut io::stdout())
        .map_err(|error| Failure::new(command_exit(&error), error))?;
    Ok(Exit::Ok)
}

fn phones(file: &Path, arguments: PhonesArgs) -> Result<Exit, Failure> {
    let config = configured(file)?;
    let Some(command) = arguments.command else {
        arguments.list.run(&config, &mut io::stdout())?;
        return Ok(Exit::Ok);
    };
    // Not by `args_conflicts_with_subcommands`: that forbids the global `--config` here, too.
    if arguments.list != ListArgs::default() {
        let error = anyhow::anyhow!(
            "options between `phones` and its command are those of the list of phones; put them \
             behind the command, if it has them"
        );
        return Err(Failure::new(Exit::Usage, error));
    }
    match command {
        PhonesCommand::Show(arguments) => arguments.run(&config, &mut io::stdout())?,
        PhonesCommand::Devices(command) => command
            .run(&config.inventory, &mut io::stdout())
            .map_err(|error| Failure::new(command_exit(&error), error))?,
        PhonesCommand::Provisioning(command) => command.run(&config, &mut io::stdout())?,
        PhonesCommand::Orders(command) => {
            let exit = command
                .run(&config.control.socket, &mut io::stdout())
                .map_err(|error| Failure::new(error.exit(), error))?;
            return Ok(exit);
        }
    }
    Ok(Exit::Ok)
}

fn why(file: &Path, arguments: &WhyArgs) -> Result<Exit, Failure> {
    Ok(arguments.run(&configured(file)?, &mut io::stdout())?)
}

fn report(file: &Path, arguments: &ReportArgs) -> Result<Exit, Failure> {
    arguments.run(&configured(file)?, &mut io::stdout())?;
    Ok(Exit::Ok)
}

fn registrations(file: &Path, arguments: &RegistrationsArgs) -> Result<Exit, Failure> {
    let socket = match &arguments.socket {
        Some(socket) => socket.clone(),
        None => configured(file)?.control.socket,
    };
    arguments
        .run(&socket, &mut io::stdout())
        .map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

fn bans(file: &Path, command: &BansCommand) -> Result<Exit, Failure> {
    let socket = match command.socket() {
        Some(socket) => socket.to_owned(),
        None => configured(file)?.control.socket,
    };
    command
        .run(&socket, &mut io::stdout())
        .map_err(|error| Failure::new(error.exit(), error))
}

fn top(file: &Path, arguments: &TopArgs) -> Result<Exit, Failure> {
    let socket = match &arguments.socket {
        Some(socket) => socket.clone(),
        None => configured(file)?.control.socket,
    };
    arguments
        .run(&socket)
        .map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

fn log_command(file: &Path, command: LogCommand) -> Result<Exit, Failure> {
    let config = configured(file)?;
    command
        .run(&config.control.socket, &mut io::stdout())
        .map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

fn detach(file: &Path, arguments: DetachArgs) -> Result<Exit, Failure> {
    let path = match arguments.pin_path {
        Some(path) => path,
        None => configured(file)?.kernel.pin_path,
    };
    pins::detach(&path, arguments.force, &mut io::stdout())
        .map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

fn trace(file: &Path, arguments: &TraceArgs) -> Result<Exit, Failure> {
    let socket = match &arguments.socket {
        Some(socket) => socket.clone(),
        None => configured(file)?.control.socket,
    };
    arguments
        .run(&socket, &mut io::stdout(), &mut io::stderr())
        .map_err(|error| Failure::new(error.exit(), error))?;
    Ok(Exit::Ok)
}

fn render(file: &Path, arguments: &RenderArgs) -> Result<Exit, Failure> {
    let config = configured(file)?;
    let (root, templates) = (&config.content.root, &config.content.templates);
    arguments
        .run(&config.inventory, root, templates, &mut io::stdout())
        .map_err(|error| {
            let exit = match &error {
                RenderCommandError::Store(error) => error.into(),
                RenderCommandError::Output(_) => Exit::Io,
                RenderCommandError::NoSite(_) => Exit::Usage,
                RenderCommandError::NoDevice { .. }
                | RenderCommandError::NoFile { .. }
                | RenderCommandError::Render { .. } => Exit::Data,
            };
            Failure::new(exit, error)
        })?;
    Ok(Exit::Ok)
}

fn dhcp(file: &Path, arguments: &DhcpArgs) -> Result<Exit, Failure> {
    let config = configured(file)?;
    arguments.run(&config.inventory, &mut io::stdout(), &mut io::stderr())?;
    Ok(Exit::Ok)
}

fn lldp(file: &Path, arguments: &LldpArgs) -> Result<Exit, Failure> {
    let config = configured(file)?;
    arguments.run(&config.inventory, &mut io::stdout(), &mut io::stderr())?;
    Ok(Exit::Ok)
}

fn audit(
    file: &Path,
    run: impl FnOnce(&Config, &mut dyn Write) -> Result<bool, AuditError>,
) -> Result<Exit, Failure> {
    let config = configured(file)?;
    let is_whole = run(&config, &mut io::stdout()).map_err(|error| {
        let exit = match &error {
            AuditError::Content(error) => error.into(),
            AuditError::Store(error) => error.into(),
            AuditError::Output(_) => Exit::Io,
        };
        Failure::new(exit, error)
    })?;
    Ok(match is_whole {
        true => Exit::Ok,
        false => Exit::Degraded,
    })
}

fn command_exit(error: &CommandError) -> Exit {
    match error {
        CommandError::File { source, .. } => Exit::of_io(source),
        CommandError::NoFiles(_) => Exit::NoInput,
        CommandError::Import { .. }
        | CommandError::Refused(_)
        | CommandError::NotUndone(_)
        | CommandError::NotThere(_) => Exit::Data,
        CommandError::Column(_) | CommandError::NoTable | CommandError::UnknownModel(_) => {
            Exit::Usage
        }
        CommandError::Store(error) => error.into(),
        CommandError::Output(_) => Exit::Io,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_daemon_leaves_no_core_file_with_passwords() {
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(true));
        super::keep_memory_private();
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
    }
}
