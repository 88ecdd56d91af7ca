//! One phone, without sockets or a clock.

mod asked;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tftp_ebpf::stage::Stage;
use tftp_ebpf::wire::tftp::ErrorCode;

use super::registration::{Account, Unusable};
use super::{Expected, Family, Oracle};
use crate::client::{
    Collect, Expect, Failure, Fetch, HttpFetch, HttpReaction, Outcome, Reaction, Retry, Tally,
};
use asked::{Asked, PhoneSink};

/// What a phone is.
#[derive(Clone, Debug)]
pub struct PhoneSpec {
    /// `SEP` and the MAC.
    pub device: Arc<str>,
    pub family: Family,
    pub address: IpAddr,
    /// What it fetches, in order. The images that a `.loads` file names are fetched after it.
    pub files: Vec<Arc<str>>,
}

/// What whoever runs the phone has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until a datagram or the deadline.
    Wait,
    /// Send [`Phone::transmit`].
    Send,
    /// Send [`Phone::transmit`], the last of this file; then call [`Phone::next_file`].
    SendThenNext,
    /// Call [`Phone::next_file`].
    Next,
    /// The same file over TFTP: take a new port and send [`Phone::transmit`].
    FallBack,
}

/// How one file went.
#[derive(Clone, Debug)]
pub struct FileResult {
    pub stage: Stage,
    pub took: Duration,
    /// From the first request to the first answer.
    pub first_answer: Option<Duration>,
    pub tally: Tally,
    pub over_http: bool,
    /// Why the file is not what it must be, if it is not.
    pub failure: Option<String>,
}

/// A phone that boots.
pub struct Phone<'site> {
    spec: &'site PhoneSpec,
    oracle: &'site dyn Oracle,
    server: SocketAddr,
    /// Asked first, if the family knows HTTP.
    http: Option<SocketAddr>,
    retry: Retry,
    files: VecDeque<Arc<str>>,
    /// Files that timed out, or whose transfer the server forgot, may be asked for again, as phones
    /// do; so often in a boot.
    second_tries: u32,
    expected: Expected,
    fetch: Option<Asked>,
    registers: bool,
    account: Option<Result<Account, Unusable>>,
    /// It has booted before: its configuration may be a new one, of which nobody has told.
    is_again: bool,
}

impl<'site> Phone<'site> {
    pub fn new(
        spec: &'site PhoneSpec,
        oracle: &'site dyn Oracle,
        server: SocketAddr,
        retry: Retry,
        second_tries: u32,
    ) -> Self {
        Self {
            spec,
            oracle,
            server,
            http: None,
            retry,
            files: spec.files.iter().cloned().collect(),
            second_tries,
            expected: Expected::Absent,
            fetch: None,
            registers: false,
            account: None,
            is_again: false,
        }
    }

    /// Has it read in its configuration how to register.
    pub fn that_registers(mut self) -> Self {
        self.registers = true;
        self
    }

    /// A boot that was ordered: the configuration is taken as it comes.
    pub fn again(mut self) -> Self {
        self.is_again = true;
        self
    }

    /// Whether it boots because it was ordered to.
    pub fn is_again(&self) -> bool {
        self.is_again
    }

    /// A restart: nothing but the configuration is fetched.
    pub fn with_configuration_only(mut self) -> Self {
        self.files = [Family::config_file(&self.spec.device)].into();
        self
    }

    /// What its configuration says about registering, once it has come.
    pub fn take_account(&mut self) -> Option<Result<Account, Unusable>> {
        self.account.take()
    }

    /// Has files asked for over HTTP first, if the phone's family does that.
    pub fn with_http(mut self, server: Option<SocketAddr>) -> Self {
        self.http = server.filter(|_| self.spec.family.knows_http());
        self
    }

    pub fn spec(&self) -> &'site PhoneSpec {
        self.spec
    }

    /// The file under way.
    pub fn file(&self) -> Option<&str> {
        self.fetch.as_ref().map(|fetch| &**fetch.name())
    }

    /// Begins the next file: the caller sends [`Phone::http_request`] if there is one, else takes a
    /// new port and sends [`Phone::transmit`]. False when the boot is over.
    pub fn next_file(&mut self, now: Instant) -> bool {
        let Some(name) = self.files.pop_front() else {
            self.fetch = None;
            return false;
        };
        self.expected = match self.is_again && self.is_configuration(&name) {
            true => Expected::Judged,
            false => self.oracle.expected(&name),
        };
        self.fetch = Some(match self.http {
            Some(server) => Asked::Http(HttpFetch::new(server, name, self.sink(), now)),
            None => self.ask_over_tftp(name, now),
        });
        true
    }

    fn is_configuration(&self, name: &str) -> bool {
        name.strip_suffix(".cnf.xml") == Some(&self.spec.device)
    }

    fn sink(&self) -> PhoneSink {
        match &self.expected {
            Expected::Bytes(bytes) => PhoneSink::Compare(Expect::new(bytes.clone())),
            Expected::Absent | Expected::Judged => PhoneSink::Keep(Collect::default()),
        }
    }

    fn ask_over_tftp(&self, name: Arc<str>, now: Instant) -> Asked {
        let request = self.spec.family.request(name);
        Asked::Tftp(Fetch::new(
            self.server,
            request,
            self.retry,
            self.sink(),
            now,
        ))
    }

    /// Where a connection has to lead, and what is sent over it; none while TFTP is asked.
    pub fn http_request(&self) -> Option<(SocketAddr, String)> {
        match &self.fetch {
            Some(Asked::Http(fetch)) => Some((fetch.server(), fetch.request())),
            _ => None,
        }
    }

    /// Whether nothing of an answer over HTTP has come.
    pub fn is_http_untouched(&self) -> bool {
        matches!(&self.fetch, Some(Asked::Http(fetch)) if fetch.is_untouched())
    }

    /// Whether the connection that gave the last answer can be asked again.
    pub fn keeps_connection(&self) -> bool {
        matches!(&self.fetch, Some(Asked::Http(fetch)) if fetch.keeps_open())
    }

    pub fn on_http_bytes(&mut self, now: Instant, bytes: &[u8]) -> Action {
        self.on_http(now, |fetch| fetch.on_bytes(now, bytes))
    }

    /// The connection has ended, or could not be made.
    pub fn on_http_end(&mut self, now: Instant) -> Action {
        self.on_http(now, HttpFetch::on_end)
    }

    fn on_http(
        &mut self,
        now: Instant,
        event: impl FnOnce(&mut HttpFetch<PhoneSink>) -> HttpReaction,
    ) -> Action {
        let Some(Asked::Http(fetch)) = &mut self.fetch else {
            return Action::Wait;
        };
        match event(fetch) {
            HttpReaction::Wait => Action::Wait,
            HttpReaction::End => Action::Next,
            HttpReaction::Elsewhere => {
                let name = fetch.name().clone();
                self.fetch = Some(self.ask_over_tftp(name, now));
                Action::FallBack
            }
        }
    }

    /// Writes what is to be sent, and says where to.
    pub fn transmit(&self, out: &mut Vec<u8>) -> Option<SocketAddr> {
        match &self.fetch {
            Some(Asked::Tftp(fetch)) => Some(fetch.transmit(out)),
            _ => None,
        }
    }

    pub fn deadline(&self) -> Option<Instant> {
        self.fetch.as_ref().map(Asked::deadline)
    }

    pub fn on_datagram(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> Action {
        match &mut self.fetch {
            Some(Asked::Tftp(fetch)) => fetch.on_datagram(now, from, packet).into(),
            _ => Action::Wait,
        }
    }

    pub fn on_deadline(&mut self, now: Instant) -> Action {
        match &mut self.fetch {
            Some(Asked::Tftp(fetch)) => fetch.on_deadline(now).into(),
            _ => self.on_http(now, |fetch| fetch.on_deadline(now)),
        }
    }

    /// Takes the result of the file that has just ended.
    pub fn take_result(&mut self, now: Instant) -> Option<FileResult> {
        let fetch = self.fetch.take()?;
        let name = fetch.name().clone();
        let outcome = fetch.outcome().cloned();
        let mut result = FileResult {
            stage: Stage::of_name(name.to_ascii_lowercase().as_bytes()),
            took: now.saturating_duration_since(fetch.started()),
            first_answer: fetch
                .first_answer()
                .map(|first| first.saturating_duration_since(fetch.started())),
            tally: fetch.tally(),
            over_http: matches!(fetch, Asked::Http(_)),
            failure: None,
        };
        // ERROR 5: the server has forgotten the transfer, or was another one before.
        let may_go_better = match &outcome {
            Some(Outcome::Failed(Failure::Timeout { .. })) => true,
            Some(Outcome::Refused { code, .. }) => *code == ErrorCode::UnknownTid as u16,
            _ => false,
        };
        if self.second_tries > 0 && may_go_better {
            self.second_tries -= 1;
            self.files.push_front(name);
            return Some(result);
        }
        if let Err(why) = self.judge(&name, outcome, fetch.into_sink()) {
            result.failure = Some(format!("{name}: {why}"));
        }
        Some(result)
    }

    fn judge(
        &mut self,
        name: &Arc<str>,
        outcome: Option<Outcome>,
        sink: PhoneSink,
    ) -> Result<(), String> {
        const ABSENT: u16 = ErrorCode::FileNotFound as u16;
        match (outcome, &self.expected) {
            (Some(Outcome::Refused { code: ABSENT, .. }), Expected::Absent) => Ok(()),
            (Some(Outcome::Complete), Expected::Bytes(bytes)) => {
                if self.registers && self.is_configuration(name) {
                    self.account = Some(Account::read(bytes));
                }
                if name.ends_with(".loads") {
                    let images = images(bytes);
                    self.files = images.into_iter().chain(self.files.drain(..)).collect();
                }
                Ok(())
            }
            (Some(Outcome::Complete), Expected::Judged) => match sink {
                PhoneSink::Keep(Collect(content)) => {
                    if self.registers && self.is_configuration(name) {
                        self.account = Some(Account::read(&content));
                    }
                    match self.is_again {
                        true => Ok(()),
                        false => self.oracle.check(name, &content),
                    }
                }
                PhoneSink::Compare(_) => Err("was not kept to be judged".into()),
            },
            (Some(Outcome::Complete), Expected::Absent) => {
                Err("came, but must be absent".to_owned())
            }
            (Some(Outcome::Refused { code, text }), _) => Err(format!("ERROR {code}: {text}")),
            (Some(Outcome::Failed(failure)), _) => Err(failure.to_string()),
            (None, _) => Err("was broken off".into()),
        }
    }
}

impl From<Reaction> for Action {
    fn from(reaction: Reaction) -> Self {
        match reaction {
            Reaction::Wait => Self::Wait,
            Reaction::Send => Self::Send,
            Reaction::SendAndEnd => Self::SendThenNext,
            Reaction::End => Self::Next,
        }
    }
}

/// The images that a `.loads` file names, one a line, behind a binary header that ends where the
/// text begins. Comments begin with `#`.
fn images(loads: &[u8]) -> Vec<Arc<str>> {
    String::from_utf8_lossy(loads)
        .lines()
        .map(str::trim)
        .filter(|line| {
            line.contains('.')
                && !line.starts_with('#')
                && line.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests;
