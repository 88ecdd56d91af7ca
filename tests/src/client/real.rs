//! The clients people use, run as they are.

use std::fs;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::lab::Namespace;

/// A TFTP client program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealClient {
    /// tftp-hpa: RFC 1350 without options.
    TftpHpa,
    Atftp,
    /// libcurl: tsize, blksize and timeout, unless a block size of zero says no options.
    Curl,
    /// tsize and blksize.
    Busybox,
}

impl RealClient {
    pub const ALL: [Self; 4] = [Self::TftpHpa, Self::Atftp, Self::Curl, Self::Busybox];

    pub const fn program(self) -> &'static str {
        match self {
            Self::TftpHpa => "tftp",
            Self::Atftp => "atftp",
            Self::Curl => "curl",
            Self::Busybox => "busybox",
        }
    }

    /// Whether the program can be asked for a block size.
    pub const fn has_blksize(self) -> bool {
        !matches!(self, Self::TftpHpa)
    }

    /// Whether it can fetch a file of no bytes. curl 7.88 looks for its peer after the transfer has
    /// ended with the first packet, and fails with exit code 71.
    pub const fn takes_empty_files(self) -> bool {
        !matches!(self, Self::Curl)
    }

    fn arguments(self, server: IpAddr, name: &str, asked: Asked, local: &str) -> Vec<String> {
        let host = server.to_string();
        let Asked { blksize, .. } = asked;
        let size = blksize.to_string();
        let words: Vec<&str> = match self {
            Self::TftpHpa => {
                let mode = if asked.netascii { "netascii" } else { "octet" };
                vec!["-m", mode, &host, "-c", "get", name, local]
            }
            Self::Atftp => {
                let options = [("blksize", blksize), ("windowsize", asked.windowsize)];
                let options = options.into_iter().filter(|&(_, value)| value != 0);
                let words = ["-g", "-r", name, "-l", local, &host].map(str::to_owned);
                return options
                    .flat_map(|(name, value)| ["--option".to_owned(), format!("{name} {value}")])
                    .chain(words)
                    .collect();
            }
            Self::Curl => {
                let host = match server {
                    IpAddr::V4(_) => host,
                    IpAddr::V6(_) => format!("[{host}]"),
                };
                let url = format!("tftp://{host}/{name}");
                let mut words = vec!["-sS", "--max-time", "120", "-o", local];
                if blksize == 0 {
                    words.push("--tftp-no-options");
                } else {
                    words.extend(["--tftp-blksize", &size]);
                }
                words.push(&url);
                return words.into_iter().map(str::to_owned).collect();
            }
            Self::Busybox => {
                let mut words = vec!["tftp", "-g", "-r", name, "-l", local];
                if blksize != 0 {
                    words.extend(["-b", &size]);
                }
                words.push(&host);
                words
            }
        };
        words.into_iter().map(str::to_owned).collect()
    }
}

/// What a client program did.
#[derive(Clone, Debug)]
pub struct Fetcher {
    pub client: RealClient,
    /// Its exit code; a signal's number plus 128 if one ended it.
    pub exit: i32,
    /// What it wrote; empty if it wrote no file.
    pub bytes: Vec<u8>,
    /// What it said, on both outputs.
    pub said: String,
}

/// What a client program is told to ask for; zero asks for no such option.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub blksize: u16,
    /// atftp only.
    pub windowsize: u16,
    /// tftp-hpa only; the others ask for octet.
    pub netascii: bool,
}

impl RealClient {
    /// Fetches `name` inside `namespace`; `blksize` zero asks for no option. Ended after two
    /// minutes.
    pub fn get(
        self,
        namespace: &Namespace,
        server: IpAddr,
        name: &str,
        blksize: u16,
    ) -> Result<Fetcher> {
        let asked = Asked {
            blksize,
            ..Asked::default()
        };
        self.get_as(namespace, server, name, asked)
    }

    /// As [`get`](Self::get), with more to ask for.
    pub fn get_as(
        self,
        namespace: &Namespace,
        server: IpAddr,
        name: &str,
        asked: Asked,
    ) -> Result<Fetcher> {
        let folder = tempfile::tempdir().context("making a folder for the client")?;
        let local = folder.path().join("got");
        let arguments = self.arguments(server, name, asked, &local.to_string_lossy());
        let limit = Duration::from_secs(120).as_secs().to_string();
        let mut command: Command = namespace.command("timeout");
        let output = command
            .arg(limit)
            .arg(self.program())
            .args(arguments)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("running {}", self.program()))?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Fetcher {
            client: self,
            exit: output
                .status
                .code()
                .or(output.status.signal().map(|signal| signal + 128))
                .unwrap_or(-1),
            bytes: fs::read(&local).unwrap_or_default(),
            said,
        })
    }
}
