//! The web page: what every phone does, for people who look after them.
//!
//! Pages are HTML that is whole without scripts; one stream of snapshots, made once a second for all
//! who look, keeps them up to date. Nothing comes from elsewhere. Everything can be seen by this host
//! and by the networks of `web.allow`; with a password, phones can be told to restart and unknown
//! ones be taken in.
//!
//! ```text
//! GET /api/now             the snapshot: `now::Now`
//! GET /api/events          the same as server-sent events, `event: now` each second, `id` in Unix
//!                          milliseconds; 503 when too many look
//! GET /api/history         the storm in the last ten minutes, oldest first: [{"at_ms", "waiting",
//!                          "in_progress", "arrivals_per_second", "served_per_second",
//!                          "registered"}]
//! GET /api/phones?q=&stage=&site=&model=&stuck=&first=
//!                          {"total", "first", "limit", "rows": [a phone as `journal::PhoneRow`, and
//!                          "state": {"words", "mark"}], "sites", "models"}; at most 200 rows
//! GET /api/phones/NAME     a row, and "findings", "boots": [{"number", "began_ms", "took_ms",
//!                          "stage", "registered", "lines"}], "inventory", "told_load",
//!                          "registration"; 404 if nobody knows it
//! GET /api/unknown         {"total", "rows": [devices as `tftp-edge phones unknown --json`]}, at
//!                          most 200 rows, the last to ask first
//! GET /api/configuration   {"file", "files", "sections": [{"name", "about", "keys": [{"key",
//!                          "value", "default", "is_default", "from", "effect", "about"}]}]};
//!                          passwords are left out
//! GET /api/firmware        as `tftp-edge firmware check --json`; null before the first check
//!
//! POST /login              password=
//! POST /logout             form_token=
//! POST /phones/NAME/order  form_token= order=reset|restart|apply-config
//! POST /unknown/adopt      form_token= name= model= protocol= site= number=; all but the name may be
//!                          empty
//! POST /log                form_token= level= minutes=; without a level it is again that of the
//!                          settings, without minutes it lasts
//! ```
//!
//! What is posted is a form, and the answer sends the browser on to a page that tells what came of
//! it. Shares are from 0 to 1, times Unix seconds unless they say milliseconds, sizes bytes.

mod changes;
mod format;
mod guard;
mod live;
mod now;
mod pages;
mod routes;
mod search;
mod session;
mod settings;
#[cfg(test)]
mod tests;
mod timeline;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub(super) use self::format::grouped;
use self::live::Live;
use self::pages::Pages;
use self::session::Sessions;
pub use self::settings::{PasswordError, Settings};
use super::bounded::Bounded;
use super::exit::Exit;
use super::serve::{Port, serve};
use super::sources::{Probe, Sources};
use crate::config::LiveConfig;
use crate::firmware::Report;
use crate::listen::ListenError;
use crate::live::Take;
use crate::register::Directory;
use crate::service;

/// A handful of people with a few pages open each, and a stream for each page.
const CONNECTIONS: usize = 64;
/// A connection that is no stream ends then, whatever it does.
const LIFETIME: Duration = Duration::from_secs(60);
/// Looking through all phones takes a core for a moment: others wait.
const SEARCHES: usize = 2;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl WebError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Listen(error) => error.exit(),
            Self::Password(error) => error.exit(),
        }
    }
}

/// What the page shows and changes.
pub struct Parts {
    pub sources: Arc<Sources>,
    pub directory: Arc<Directory>,
    /// What the last check of firmware found.
    pub firmware: Probe<Option<Arc<Report>>>,
}

/// What all requests share.
struct Web {
    parts: Parts,
    live: Live,
    pages: Pages,
    sessions: Sessions,
    searches: Semaphore,
    settings: LiveConfig,
}

/// Answers until it is dropped.
pub struct Server {
    address: SocketAddr,
    web: Arc<Web>,
    tasks: [JoinHandle<()>; 2],
}

impl Server {
    /// Must be called inside a tokio runtime.
    pub async fn start(config: LiveConfig, parts: Parts) -> Result<Self, WebError> {
        let settings = config.web.take();
        let password = settings.password()?;
        let address = settings.address;
        let failed = |source| ListenError::tcp(address, "web.address", "web.enabled", source);
        let listener = service::sockets::listener(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() && password.is_none() {
            tracing::warn!(
                event = "web.read_only",
                %address,
                "the web page is open to other hosts, and nothing can be changed on it: there is no \
                 web.password_file"
            );
        }
        let web = Arc::new(Web {
            live: Live::new(Arc::clone(&parts.sources)),
            pages: Pages::new(),
            sessions: Sessions::new(password),
            searches: Semaphore::new(SEARCHES),
            settings: config,
            parts,
        });
        let bounded = Bounded::new(listener, CONNECTIONS, LIFETIME);
        let router = routes::router(Arc::clone(&web));
        let refusals = Arc::clone(&web.parts.sources.refusals);
        let serving = tokio::spawn(serve(bounded, router, Port::Web, refusals));
        let looking = {
            let web = Arc::clone(&web);
            tokio::spawn(async move { web.live.run().await })
        };
        Ok(Self {
            address,
            web,
            tasks: [serving, looking],
        })
    }

    /// Gets ready for other settings: reads the file of the password.
    pub fn prepare(&self, settings: &Settings) -> Result<Take, PasswordError> {
        let password = settings.password()?;
        let web = Arc::clone(&self.web);
        Ok(Box::new(move || {
            let is_other = web.sessions.set_password(password);
            let remark =
                "web.password_file: another password; whoever was logged in is not any more";
            is_other.then(|| remark.to_owned()).into_iter().collect()
        }))
    }

    /// Where it listens, with the port the system chose if the settings said 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
