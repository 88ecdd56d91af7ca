//! The request port: who is answered, and with what.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Instant;

use rand::RngExt;
use tftp_ebpf::name;
use tftp_ebpf::stage::Stage;
use tftp_ebpf::verdict::Reason;
use tftp_ebpf::wire::tftp::{ErrorCode, Granted, Limits, MIN_BLKSIZE, Mode, PORT, Request, opcode};

use super::engine::{Begun, Datagram, Engine, PathMtu, Session, Wish};
use super::transfer::{Repeated, Transfer};
use crate::content::{Lookup, Query, Version};
use crate::journal::Outcome;
use crate::misses::Miss;
use crate::stats::{StageCounter, Unserved};
use crate::udp::{Client, SocketId};

/// RFC 2347: a request has 512 octets at most.
const REQUEST_MAX: usize = 512;

/// Longest name taken, as it was written.
pub(super) const NAME_MAX: usize = 255;

/// IP, UDP and TFTP headers of a DATA packet.
const OVERHEAD_V4: u32 = 20 + 8 + 4;
const OVERHEAD_V6: u32 = 40 + 8 + 4;

/// Whether a request was read just now, or had been parked and is taken up again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Later {
        /// Its first packet has its token already.
        paid: bool,
    },
}

impl Turn {
    fn is_paid(self) -> bool {
        self == Self::Later { paid: true }
    }
}

impl Engine {
    /// A datagram to a request port.
    pub fn on_request_packet(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        now: Instant,
        mtu: &mut impl PathMtu,
    ) {
        if let Err(reason) = self.may_answer(datagram) {
            return self.count(reason);
        }
        let Some(opcode) = datagram.word(0).filter(|_| datagram.len >= 4) else {
            return self.count(Reason::Short);
        };
        match opcode {
            opcode::RRQ => self.on_read_request(socket, datagram, now, mtu, Turn::First),
            opcode::WRQ => self.refuse(socket, datagram, ErrorCode::AccessViolation, now),
            // Two servers that answered each other's ERRORs would never stop (CVE-2024-2169).
            opcode::DATA..=opcode::OACK => {
                let in_session = self.shared.settings.get().single_port
                    && self.on_session_packet(socket, datagram, now);
                if !in_session {
                    self.count(Reason::ReplyOpcode);
                }
            }
            _ => self.refuse(socket, datagram, ErrorCode::IllegalOperation, now),
        }
    }

    /// Takes up again the requests that were parked and whose time has come.
    pub fn on_ready(&mut self, now: Instant, mtu: &mut impl PathMtu) {
        for client in self.parking.ready.take() {
            let Some(parked) = self.parking.take(client) else {
                continue;
            };
            if parked.is_stale(now) {
                self.count(Reason::LateRequest);
                continue;
            }
            let (packet, len) = parked.packet();
            let datagram = Datagram {
                from: client,
                to: parked.to,
                broadcast: false,
                packet: &packet,
                len,
                stamp: parked.stamp,
            };
            let turn = Turn::Later { paid: parked.paid };
            self.on_read_request(parked.socket, &datagram, now, mtu, turn);
        }
    }

    /// Whether an answer to this datagram could do harm.
    pub(super) fn may_answer(&self, datagram: &Datagram<'_>) -> Result<(), Reason> {
        let from = datagram.from;
        let impossible = match from.ip {
            IpAddr::V4(ip) => ip.is_broadcast() || ip.is_multicast() || ip.is_unspecified(),
            IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
        };
        if impossible {
            Err(Reason::SourceAddress)
        } else if from.port == 0 || from.port == PORT {
            Err(Reason::SourcePort)
        } else if datagram.broadcast {
            Err(Reason::Broadcast)
        } else if !self.shared.access.get().allows(from.ip) {
            Err(Reason::Denied)
        } else {
            Ok(())
        }
    }

    fn on_read_request(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        now: Instant,
        mtu: &mut impl PathMtu,
        turn: Turn,
    ) {
        let Some((raw, request, options)) = parse(datagram) else {
            return self.refuse(socket, datagram, ErrorCode::IllegalOperation, now);
        };
        let mut buffer = [0; NAME_MAX];
        // A name that cannot be normalised is the catalog's to refuse.
        let name = name::normalise(raw, &mut buffer).unwrap_or(raw);
        let client = datagram.from.ip;
        let forwarded = self.shared.catalog.forwarders().tftp(client, options);
        let wish = Wish {
            name: std::hash::BuildHasher::hash_one(&self.names, name),
            request,
            to: datagram.to,
            forwarded,
        };
        if self.on_repeated(socket, datagram, wish, now, turn) {
            return;
        }
        let query = Query::new(raw, client).forwarded(forwarded);
        let found = self.shared.catalog.lookup(query);
        tracing::debug!(
            peer = %SocketAddr::from(datagram.from),
            file = %raw.escape_ascii(),
            outcome = found.as_str(),
            "asked over TFTP"
        );
        match found {
            Lookup::Found(version) => {
                let clamp = self.clamp(datagram.from, &request, mtu);
                self.start(socket, datagram, wish, version, clamp, now, turn);
            }
            Lookup::Absent => {
                self.answer_miss(socket, datagram, query, ErrorCode::FileNotFound, now);
            }
            Lookup::Refused => {
                self.answer_miss(socket, datagram, query, ErrorCode::AccessViolation, now);
            }
            Lookup::Loading => self.await_file(socket, datagram, query, now, turn),
        }
    }

    /// Has a file read or fetched that is not in memory. That costs the token of the first packet beforehand:
    /// otherwise a forged request could make the daemon read and drop firmware in turn for nothing.
    fn await_file(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        query: Query<'_>,
        now: Instant,
        turn: Turn,
    ) {
        if turn.is_paid() {
            // There is no room for it, or nobody upstream answers: the client asks again.
            self.tell_silence(datagram.from, query);
            return self.shed(stage_of(query.name));
        }
        if self.parking.holds(datagram, now) {
            return self.count(Reason::LateRequest);
        }
        if !self.shared.sources.take_first(datagram.from.ip, now) {
            return self.count(Reason::FirstBudget);
        }
        match self.parking.park(socket, datagram, now, true) {
            None => {
                self.tell_silence(datagram.from, query);
                self.shed(stage_of(query.name));
            }
            Some(false) => self.count(Reason::LateRequest),
            Some(true) => {
                let (ready, client) = (self.parking.ready.clone(), datagram.from);
                let wake = Box::new(move || ready.push(client));
                self.shared.catalog.when_ready(query, wake);
            }
        }
    }

    /// Deals with a request from a client that has a transfer; returns whether that was all.
    fn on_repeated(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        wish: Wish,
        now: Instant,
        turn: Turn,
    ) -> bool {
        let client = datagram.from;
        let Some(session) = self.sessions.get_mut(&client) else {
            return false;
        };
        if session.wish != wish {
            self.end(client, Reason::Superseded, now);
            return false;
        }
        if !session.transfer.is_proved() {
            if !self.shared.sources.take_first(client.ip, now) {
                self.count(Reason::FirstBudget);
                return true;
            }
            session.tokens += 1;
        }
        let jitter = self.rng.random();
        let mut line = self.outbox.line(session.socket, client, wish.to);
        let stage = session.transfer.version().stage;
        match session.transfer.on_repeat(now, jitter, &mut line) {
            Repeated::Answered(sent) => {
                self.rearm(client);
                self.count(Reason::Repeat);
                self.count_sent(stage, sent);
                true
            }
            Repeated::Late => {
                // The last ACK may be waiting on the transfer's socket while we read this one:
                // then the client asks for the same file anew, and rightly.
                let undecided = turn == Turn::First && session.transfer.is_unconfirmed();
                if undecided && self.parking.park(socket, datagram, now, false) == Some(true) {
                    self.parking.ready.push(client);
                } else {
                    self.count(Reason::LateRequest);
                }
                true
            }
            Repeated::Anew => {
                self.end(client, Reason::Superseded, now);
                false
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is one request")]
    fn start(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        wish: Wish,
        version: std::sync::Arc<Version>,
        blksize: u16,
        now: Instant,
        turn: Turn,
    ) {
        let client = datagram.from;
        let refused = if !self.admit(client.ip, now) {
            Some(Reason::Shed)
        } else if !turn.is_paid() && !self.shared.sources.take_first(client.ip, now) {
            self.shared.leave(client.ip);
            Some(Reason::FirstBudget)
        } else {
            None
        };
        if !wish.forwarded {
            match refused {
                None => self.tell_began(client, &version),
                Some(_) => self.tell_no_room(client, &version),
            }
        }
        match refused {
            None => {}
            Some(Reason::Shed) => return self.shed(version.stage),
            Some(reason) => return self.count(reason),
        }
        let settings = self.shared.settings.get();
        let limits = Limits {
            blksize,
            windowsize: settings.windowsize,
        };
        let size = match wish.request.mode {
            // Known only after the conversion.
            Mode::Netascii => None,
            Mode::Octet | Mode::Mail => Some(version.bytes.len() as u64),
        };
        let granted = Granted::new(&wish.request.options, &limits, size);
        let (stage, jitter) = (version.stage, self.rng.random());
        let socket = self.answering_socket(socket, client.ip);
        let mut line = self.outbox.line(socket, client, wish.to);
        let (transfer, sent) = Transfer::begin(
            version,
            wish.request.mode,
            granted,
            settings.resend_policy(),
            now,
            jitter,
            &mut line,
        );
        self.count(if transfer.has_oack() {
            Reason::Oack
        } else {
            Reason::FirstData
        });
        self.shared.counters.add(stage, StageCounter::Requests, 1);
        self.count_sent(stage, sent);
        let begun = datagram.stamp.map(|arrived| Begun { stage, arrived });
        self.begun.extend(begun);
        let session = Session {
            armed: transfer.deadline(),
            transfer,
            socket,
            wish,
            tokens: 1,
        };
        self.sessions.insert(client, session);
        self.arm(client);
    }

    /// Silence, so that the client asks again.
    fn shed(&self, stage: Stage) {
        let counters = &self.shared.counters;
        counters.add(stage, StageCounter::Requests, 1);
        counters.ended(stage, Unserved::Shed);
        self.count(Reason::Shed);
    }

    /// Takes a place among the transfers, and among those of its source. The last quarter is kept
    /// for clients that are in the middle of their boot: a phone that has begun finishes first.
    fn admit(&self, client: IpAddr, now: Instant) -> bool {
        let limit = self.shared.settings.get().max_transfers;
        let running = self.shared.running.fetch_add(1, Ordering::Relaxed);
        let admitted = running < limit - limit / 4
            || running < limit && self.shared.sources.is_known(client, now);
        if admitted && self.shared.sources.open(client) {
            return true;
        }
        self.shared.running.fetch_sub(1, Ordering::Relaxed);
        false
    }

    /// Largest block for this client. The MTU is asked for only if the answer can matter.
    fn clamp(&self, client: Client, request: &Request, mtu: &mut impl PathMtu) -> u16 {
        let settings = self.shared.settings.get();
        let most = settings.max_blksize;
        let overhead = match client.ip {
            IpAddr::V4(_) => OVERHEAD_V4,
            IpAddr::V6(_) => OVERHEAD_V6,
        };
        if !settings.mtu_clamp || request.options.blksize == 0 {
            return most;
        }
        match mtu.path_mtu(client) {
            None => most,
            Some(mtu) => {
                let fits = mtu.saturating_sub(overhead).min(u32::from(most)) as u16;
                fits.max(MIN_BLKSIZE)
            }
        }
    }

    /// ERROR 1 or 2 to a name, out of the budgets against scans.
    fn answer_miss(
        &mut self,
        socket: SocketId,
        datagram: &Datagram<'_>,
        query: Query<'_>,
        code: ErrorCode,
        now: Instant,
    ) {
        let raw = query.name;
        let (ip, miss) = (datagram.from.ip, Miss::of(raw));
        if let Err(reason) = self.shared.misses.take(ip, &miss, now) {
            // As in the kernel program: one scanner behind NAT must not hold up a site's boots.
            let goes_on = miss == Miss::Optional && self.shared.sources.is_known(ip, now);
            if !goes_on {
                // Configurations of devices that nobody knows are what a scan asks for.
                if !matches!(miss, Miss::Device(_)) {
                    self.tell_silence(datagram.from, query);
                }
                return self.count(reason);
            }
        }
        if !query.forwarded {
            let outcome = match code {
                ErrorCode::FileNotFound => Outcome::Absent,
                _ => Outcome::Refused,
            };
            self.tell_name(datagram.from, raw, outcome);
        }
        let stage = stage_of(raw);
        let socket = self.answering_socket(socket, datagram.from.ip);
        self.send_error(socket, datagram, code);
        let counters = &self.shared.counters;
        counters.add(stage, StageCounter::Requests, 1);
        if code == ErrorCode::FileNotFound {
            counters.add(stage, StageCounter::NotFound, 1);
            self.count(Reason::Absent);
        } else {
            self.count(Reason::Refused);
        }
    }

    /// The client hears nothing, and waits.
    fn tell_silence(&self, client: Client, query: Query<'_>) {
        if !query.forwarded {
            self.tell_name(client, query.name, Outcome::Overload);
        }
    }

    /// Any other ERROR, so many a second for each source.
    fn refuse(&mut self, socket: SocketId, datagram: &Datagram<'_>, code: ErrorCode, now: Instant) {
        if !self.shared.sources.take_error(datagram.from.ip, now) {
            return self.count(Reason::MissBudget);
        }
        let socket = self.answering_socket(socket, datagram.from.ip);
        self.send_error(socket, datagram, code);
        self.count(Reason::Refused);
    }

    /// The socket answers leave from: one at random, so that our TID cannot be foreseen (RFC 1350
    /// section 4), or the one that was asked.
    fn answering_socket(&mut self, asked: SocketId, client: IpAddr) -> SocketId {
        let sockets = match client {
            IpAddr::V4(_) => &self.sockets.v4,
            IpAddr::V6(_) => &self.sockets.v6,
        };
        if self.shared.settings.get().single_port || sockets.is_empty() {
            asked
        } else {
            sockets[self.rng.random_range(..sockets.len())]
        }
    }
}

fn stage_of(raw: &[u8]) -> Stage {
    let mut buffer = [0; NAME_MAX];
    Stage::of_name(name::normalise(raw, &mut buffer).unwrap_or(raw))
}

/// The name as it was written, the rest, and the rest's options as they were written; `None` for
/// what gets an ERROR 4.
fn parse<'packet>(datagram: &Datagram<'packet>) -> Option<(&'packet [u8], Request, &'packet [u8])> {
    let (packet, len) = (datagram.packet, datagram.len);
    if len > REQUEST_MAX {
        return None;
    }
    let raw = packet.get(2..len)?.split(|&byte| byte == 0).next()?;
    if raw.is_empty() || raw.len() > NAME_MAX {
        return None;
    }
    let mode_at = 2 + raw.len() + 1;
    let request = Request::parse_behind_name(packet, len, mode_at).ok()?;
    let tail = &packet[mode_at..len];
    let mode_len = tail.iter().position(|&byte| byte == 0)?;
    (request.mode != Mode::Mail).then_some((raw, request, &tail[mode_len + 1..]))
}
