//! Kamailio as a plain registrar: everything in memory, a process for each core, no log.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::lab::{Namespace, Process, tool};

/// Memory its processes share, in megabytes: enough that nothing is left out, which is counted.
const SHARED_MB: u32 = 2048;

/// Memory of each process's own, in megabytes.
const OWN_MB: u32 = 16;

/// What it runs with.
pub struct Kamailio {
    program: PathBuf,
    control: PathBuf,
    folder: PathBuf,
    config: PathBuf,
}

impl Kamailio {
    /// Writes its configuration into `folder`.
    pub fn new(folder: &Path, listen: SocketAddr, digest: bool, processes: usize) -> Result<Self> {
        let find = |name| {
            tool(name).with_context(|| format!("there is no {name}; run `cargo xtask setup`"))
        };
        let kamailio = Self {
            program: find("kamailio")?,
            control: find("kamcmd")?,
            folder: folder.to_owned(),
            config: folder.join("kamailio.cfg"),
        };
        let text = configuration(listen, digest, processes, &kamailio.socket());
        fs::write(&kamailio.config, text)
            .with_context(|| format!("writing {}", kamailio.config.display()))?;
        Ok(kamailio)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("kamailio.sock")
    }

    /// Starts it; returns when it can be asked.
    pub fn start(&self, namespace: &Namespace) -> Result<Process> {
        let mut command = namespace.command(&self.program);
        command
            .arg("-f")
            .arg(&self.config)
            .args(["-DD", "-E"])
            .args(["-m", &SHARED_MB.to_string()])
            .args(["-M", &OWN_MB.to_string()])
            .arg("-Y")
            .arg(&self.folder);
        let log = self.folder.join("kamailio.log");
        let mut process = Process::start("kamailio", command, &log)?;
        process.wait_until(Duration::from_secs(30), || self.registered().is_ok())?;
        Ok(process)
    }

    /// How many contacts it has stored, by itself.
    pub fn registered(&self) -> Result<u64> {
        let output = Command::new(&self.control)
            .arg("-s")
            .arg(format!("unix:{}", self.socket().display()))
            .args(["stats.fetch", "usrloc:location_contacts"])
            .output()
            .context("running kamcmd")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "kamcmd failed: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (_, count) = text
            .split_once("location_contacts:")
            .with_context(|| format!("kamcmd says {text}"))?;
        let count = count.split_whitespace().next();
        count
            .and_then(|it| it.parse().ok())
            .with_context(|| format!("kamcmd says {text}"))
    }
}

/// No module that is not needed, and a hash table of locations as large as the population: its
/// default of 1024 slots would make it look worse than it is.
fn configuration(listen: SocketAddr, digest: bool, processes: usize, socket: &Path) -> String {
    // As a script does it that has no database: the password of a line is computed from its name.
    let authenticate = match digest {
        true => {
            "    if (!pv_www_authenticate(\"$td\", \"pw$au\", \"0\")) {\n        \
             www_challenge(\"$td\", \"1\");\n        exit;\n    }\n"
        }
        false => "",
    };
    let socket = socket.display();
    format!(
        r#"#!KAMAILIO
debug=-1
log_stderror=yes
memdbg=5
memlog=5
children={processes}
tcp_children={processes}
tcp_max_connections=200000
tcp_connection_lifetime=7200
maxbuffer=4194304
auto_aliases=no
dns=no
rev_dns=no
server_signature=no
listen=udp:{listen}
listen=tcp:{listen}
loadmodule "kex.so"
loadmodule "ctl.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("ctl", "binrpc", "unix:{socket}")
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 17)
modparam("registrar", "default_expires", 3600)
modparam("registrar", "max_expires", 3600)
modparam("auth", "nonce_expire", 3600)
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
request_route {{
    if (method != "REGISTER") {{
        sl_send_reply("405", "Method Not Allowed");
        exit;
    }}
{authenticate}    save("location");
}}
"#
    )
}
