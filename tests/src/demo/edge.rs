//! The daemon under test: its configuration, its command line, its process.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use tftp_edge::config::Config;
use tftp_edge::inventory::{Device, Inventory};
use tftp_edge::phonefile::Renderer;

use super::Metrics;
use super::metrics::page;
use crate::lab::{Process, SERVER_IF};
use crate::server::{Place, Server};
use crate::site::{self, Site};

/// The daemon's rung, as `[kernel] mode` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Auto,
    Xdp,
    Tc,
    Off,
}

impl Mode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
            Self::Off => "off",
        }
    }
}

/// Several daemons of a machine have no pin path in common; see [`Edge::pin_under`].
const NO_PINS: &str = r#"pin_path = """#;

/// Where `/metrics` is by default, in the daemon's namespace.
const METRICS: &str = "127.0.0.1:9466";

/// A daemon with a folder of its own.
#[derive(Debug)]
pub struct Edge<'lab> {
    binary: PathBuf,
    folder: PathBuf,
    place: Place<'lab>,
    port: u16,
    /// See [`Edge::run_under`].
    under: Vec<OsString>,
}

impl<'lab> Edge<'lab> {
    /// Writes a configuration into `folder`. On the loopback the kernel side is off.
    pub fn new(
        binary: &Path,
        folder: &Path,
        place: Place<'lab>,
        mode: Mode,
        max_transfers: usize,
    ) -> Result<Self> {
        let (listen, port, http, mode) = match place {
            Place::Namespace(_) => (
                r#"["0.0.0.0:69", "[::]:69"]"#,
                69,
                r#"["0.0.0.0:6970", "[::]:6970"]"#,
                mode,
            ),
            Place::Loopback => (
                r#"["127.0.0.1:6969"]"#,
                6969,
                r#"["127.0.0.1:6970"]"#,
                Mode::Off,
            ),
        };
        let mode = mode.as_str();
        let config = format!(
            r#"[tftp]
listen = {listen}
max_transfers = {max_transfers}

[http]
listen = {http}

[access]
allow = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8", "::1/128"]

[content]
root = "tftp"

[inventory]
database = "inventory.sqlite"

[kernel]
mode = "{mode}"
interfaces = ["{SERVER_IF}"]
{NO_PINS}

[control]
socket = "control.sock"
"#
        );
        let edge = Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            place,
            port,
            under: Vec::new(),
        };
        fs::create_dir_all(edge.root())?;
        fs::write(edge.config(), config).context("writing the daemon's configuration")?;
        Ok(edge)
    }

    /// Adds a section to the daemon's configuration; it holds from the next start on.
    pub fn configure(&self, section: &str) -> Result<()> {
        let mut config = fs::read_to_string(self.config())?;
        config.push_str(section);
        fs::write(self.config(), config).context("writing the daemon's configuration")
    }

    /// Has phones register at the daemon, from the next start on; `storm` is the section on storms.
    pub fn register(&self, storm: &str) -> Result<()> {
        let (sccp, sip) = match self.place {
            Place::Namespace(_) => (
                r#"["0.0.0.0:2000", "[::]:2000"]"#,
                r#"["0.0.0.0:5060", "[::]:5060"]"#,
            ),
            // The phones have the other addresses, and the same port.
            Place::Loopback => (r#"["127.0.0.1:2000"]"#, r#"["127.0.0.1:5060"]"#),
        };
        self.configure(&format!(
            r#"
[register]
mode = "registrar"

[register.sccp]
listen = {sccp}

[register.sip]
listen = {sip}

[register.storm]
{storm}
"#
        ))
    }

    /// From the next start on, the daemon is what a command becomes in the end: `env` or `prlimit`, with
    /// their arguments. What asks the daemon is not.
    pub fn run_under<W: Into<OsString>>(&mut self, words: impl IntoIterator<Item = W>) {
        self.under = words.into_iter().map(Into::into).collect();
    }

    /// Where the daemon answers.
    pub fn address(&self) -> SocketAddr {
        (IpAddr::from(self.place.address()), self.port).into()
    }

    pub fn config(&self) -> PathBuf {
        self.folder.join("tftp-edge.toml")
    }

    /// Puts more lines behind the header of a section that the configuration has.
    pub fn amend(&self, section: &str, lines: &str) -> Result<()> {
        let (header, config) = (format!("[{section}]\n"), self.config());
        let text = fs::read_to_string(&config)?;
        ensure!(text.contains(&header), "the configuration has no {header}");
        fs::write(
            &config,
            text.replace(&header, &format!("{header}{lines}\n")),
        )
        .with_context(|| format!("writing {}", config.display()))
    }

    /// From the next start on, maps and programs are pinned under a path of the daemon's own.
    pub fn pin_under(&self, path: &Path) -> Result<()> {
        let config = self.config();
        let text = fs::read_to_string(&config)?;
        ensure!(text.contains(NO_PINS), "the configuration has pins");
        let pins = format!(r#"pin_path = "{}""#, path.display());
        fs::write(&config, text.replace(NO_PINS, &pins))
            .with_context(|| format!("writing {}", config.display()))
    }

    /// The folder whose files are served.
    pub fn root(&self) -> PathBuf {
        self.folder.join("tftp")
    }

    /// Runs a command of the daemon's to its end; returns what it wrote. It must end well.
    pub fn command(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.output(arguments)?;
        ensure!(
            output.status.success(),
            "tftp-edge {} failed ({}): {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(output.stdout)
    }

    /// Starts a command of the daemon's that goes on; what it writes goes to the file `log`.
    pub fn spawn(&self, name: &str, arguments: &[&str], log: &Path) -> Result<Process> {
        let mut command = self.place.command(&self.binary);
        command.args(arguments).arg("--config").arg(self.config());
        Process::start(name, command, log)
    }

    /// Runs a command of the daemon's to its end, however that is.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = self.place.command(&self.binary);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null());
        command
            .output()
            .with_context(|| format!("running {}", self.binary.display()))
    }

    /// Makes a site the one that is served, and lets it know what its phones must get. `csv` is where
    /// its list of phones is written.
    pub fn host(&self, site: &mut Site, csv: &Path) -> Result<()> {
        site.write(&self.root(), csv)?;
        self.import(csv)?;
        self.set(&site::settings(self.place.address().into()))?;
        for (device, content) in self.rendered()? {
            site.oracle.set_rendered(&device, content);
        }
        Ok(())
    }

    pub fn import(&self, csv: &Path) -> Result<()> {
        let csv = csv.to_string_lossy();
        self.command(&["inventory", "import", &csv]).map(drop)
    }

    /// Sets keys of the site that holds for all others too.
    pub fn set(&self, settings: &[String]) -> Result<()> {
        let mut arguments = vec!["inventory", "site", "set", "default"];
        arguments.extend(settings.iter().map(String::as_str));
        self.command(&arguments).map(drop)
    }

    /// The registrations the daemon lists, as JSON: an object a line.
    pub fn registrations(&self) -> Result<Vec<u8>> {
        self.command(&["registrations", "--json"])
    }

    /// The configuration of a device, as `tftp-edge render` prints it.
    pub fn render(&self, device: &str) -> Result<Bytes> {
        Ok(self.command(&["render", device])?.into())
    }

    /// The configurations of all devices, rendered from the daemon's inventory by its library: a
    /// [`render`](Self::render) each would take minutes.
    pub fn rendered(&self) -> Result<Vec<(String, Bytes)>> {
        let config = Config::load(&self.config())?;
        let snapshot = Inventory::open(&config.inventory)?.snapshot()?;
        let mut renderer = Renderer::default();
        let render = |device: &Arc<Device>| {
            let content = Bytes::copy_from_slice(renderer.device(device, &snapshot)?);
            Ok((device.name.to_string(), content))
        };
        snapshot.devices.values().map(render).collect()
    }

    /// Starts the daemon and waits until its content is complete. The kernel program has it by then:
    /// the daemon tells it everything before it opens its own sockets.
    pub fn start(&self) -> Result<Process> {
        let server = Server::Edge {
            under: self.under.clone(),
            binary: self.binary.clone(),
            config: self.config(),
        };
        let log = self.folder.join("tftp-edge.log");
        let mut process = server.start(self.place, self.port, &log)?;
        process.wait_until(Duration::from_secs(120), || {
            self.metrics()
                .is_ok_and(|metrics| metrics.sum("tftp_edge_ready", &[]) == 1.0)
        })?;
        Ok(process)
    }

    /// What the daemon says of a storm, in one line; nothing when there is none.
    pub fn storm(&self) -> Result<String> {
        let text = self.place.enter(|| page(METRICS, "/readyz"))?;
        Ok(text.lines().nth(1).unwrap_or_default().to_owned())
    }

    /// The text of a scrape, and how long it took.
    pub fn scrape(&self) -> Result<(Duration, String)> {
        self.place.enter(|| {
            let began = Instant::now();
            let text = page(METRICS, "/metrics")?;
            Ok((began.elapsed(), text))
        })
    }

    pub fn metrics(&self) -> Result<Metrics> {
        self.place.enter(|| Metrics::get(METRICS))
    }
}
