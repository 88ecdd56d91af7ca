//! A request that waits for its answer (RFC 3261 17.1.2): timer E repeats it over UDP, timer F
//! gives it up.

use std::time::{Duration, Instant};

use super::super::{SipTimers, Transport};

/// Timer F is so many times T1.
const PATIENCE_T1: u32 = 64;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Timer E: send [`Transaction::bytes`] again.
    Resend,
    /// Timer F.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) branch: String,
    pub(super) cseq: u32,
    /// Kept over UDP alone.
    bytes: Vec<u8>,
    /// When it is sent again, and how long after that once more.
    resend: Option<(Instant, Duration)>,
    t2: Duration,
    gives_up: Instant,
}

impl Transaction {
    pub(super) fn new(
        (branch, cseq): (String, u32),
        bytes: &[u8],
        transport: Transport,
        timers: SipTimers,
        now: Instant,
    ) -> Self {
        let t1 = Duration::from_millis(timers.t1_ms.into());
        let (bytes, resend) = match transport {
            Transport::Udp => (bytes.to_vec(), Some((now + t1, t1 * 2))),
            Transport::Tcp => (Vec::new(), None),
        };
        Self {
            branch,
            cseq,
            bytes,
            resend,
            t2: Duration::from_millis(timers.t2_ms.into()),
            gives_up: now + t1 * PATIENCE_T1,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A provisional answer came: from now on it is repeated every T2.
    pub(super) fn proceeds(&mut self) {
        if let Some((_, interval)) = &mut self.resend {
            *interval = self.t2;
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        let resend = self.resend.map_or(self.gives_up, |(at, _)| at);
        resend.min(self.gives_up)
    }

    pub(super) fn due(&mut self, now: Instant) -> Due {
        if now >= self.gives_up {
            return Due::GivenUp;
        }
        match &mut self.resend {
            Some((at, interval)) if now >= *at => {
                *at = now + *interval;
                *interval = (*interval * 2).min(self.t2);
                Due::Resend
            }
            _ => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMERS: SipTimers = SipTimers {
        register_expires_s: 3600,
        register_delta_s: 5,
        t1_ms: 500,
        t2_ms: 4000,
    };

    /// Milliseconds at which it is sent again, until it is given up.
    fn times(transport: Transport, proceeds_at: Option<u64>) -> (Vec<u64>, u64) {
        let start = Instant::now();
        let id = ("z9hG4bK1".to_owned(), 101);
        let mut transaction = Transaction::new(id, b"REGISTER", transport, TIMERS, start);
        let mut resends = Vec::new();
        loop {
            let now = transaction.deadline();
            let ms = now.duration_since(start).as_millis() as u64;
            match transaction.due(now) {
                Due::Resend => resends.push(ms),
                Due::GivenUp => return (resends, ms),
                Due::Nothing => panic!("woken for nothing"),
            }
            if proceeds_at.is_some_and(|at| ms >= at) {
                transaction.proceeds();
            }
        }
    }

    #[test]
    fn over_udp_it_is_repeated_ever_more_rarely_up_to_t2() {
        let (resends, given_up) = times(Transport::Udp, None);
        let expected = [
            500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ];
        assert_eq!((resends.as_slice(), given_up), (&expected[..], 32_000));
    }

    #[test]
    fn after_a_provisional_answer_it_is_repeated_every_t2() {
        let (resends, _) = times(Transport::Udp, Some(500));
        assert_eq!(resends[..4], [500, 1500, 5500, 9500]);
    }

    #[test]
    fn over_tcp_it_is_never_repeated() {
        assert_eq!(times(Transport::Tcp, None), (vec![], 32_000));
    }
}
