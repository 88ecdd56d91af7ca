//! What the answers to a phone's requests make it do.

use std::time::{Duration, Instant};

use super::super::grant;
use super::super::message::Message;
use super::{AFTER_DENIAL, Phone, Purpose, Stage};
use crate::phones::registration::{Event, Fault, Setback};

impl Phone<'_> {
    pub(super) fn on_response(
        &mut self,
        now: Instant,
        status: u16,
        reason: &str,
        message: &Message,
    ) -> Result<(), Fault> {
        let branch = message.branch();
        if branch.is_some() && branch == self.alarm.as_deref() {
            return self.on_alarm_answer(status, reason);
        }
        let (number, _) = message.cseq()?;
        let Some((purpose, transaction)) = &mut self.transaction else {
            return Ok(());
        };
        // The answer to a request that was sent twice comes twice.
        if branch != Some(transaction.branch.as_str()) || number != transaction.cseq {
            return Ok(());
        }
        if status < 200 {
            transaction.proceeds();
            return Ok(());
        }
        let purpose = *purpose;
        self.transaction = None;
        let retry_after = message
            .seconds("retry-after")
            .map(|s| Duration::from_secs(s.into()));
        match (status, purpose) {
            (401 | 407, Purpose::Token) => Err(Fault::new("a token is not to be paid for")),
            (401 | 407, _) => self.on_challenge(now, purpose, message),
            (200..=299, Purpose::Token) => {
                self.lost_server = false;
                self.request(now, Purpose::Register(0));
                Ok(())
            }
            (200..=299, Purpose::Register(line) | Purpose::Refresh(line)) => {
                self.granted(now, line, message)?;
                self.go_on(now, purpose);
                Ok(())
            }
            (_, Purpose::Unregister(line)) => {
                self.next_farewell(now, line + 1);
                Ok(())
            }
            (_, Purpose::Refresh(line)) => {
                let wait = retry_after.unwrap_or(AFTER_DENIAL);
                let why = setback(status, retry_after);
                self.tell(Event::SetBack(why, wait, Some(reason.into())));
                self.bindings[line].refresh_at = Some(now + wait);
                Ok(())
            }
            (486 | 503, Purpose::Token) => {
                let wait = retry_after.unwrap_or(AFTER_DENIAL);
                self.set_back(now, Setback::TokenRejected, wait, Some(reason.into()), true);
                Ok(())
            }
            _ => {
                let wait = retry_after.unwrap_or(AFTER_DENIAL);
                let why = setback(status, retry_after);
                self.set_back(
                    now,
                    why,
                    wait,
                    Some(format!("{status} {reason}").into()),
                    true,
                );
                Ok(())
            }
        }
    }

    /// Phones cannot authenticate an alarm; in a storm it may be turned away all the same.
    fn on_alarm_answer(&mut self, status: u16, reason: &str) -> Result<(), Fault> {
        match status {
            100..200 => Ok(()),
            200..300 | 503 => {
                self.alarm = None;
                Ok(())
            }
            _ => Err(Fault::new(format!(
                "the alarm is refused: {status} {reason}"
            ))),
        }
    }

    fn on_challenge(
        &mut self,
        now: Instant,
        purpose: Purpose,
        message: &Message,
    ) -> Result<(), Fault> {
        if self.credentials.challenged(message)? {
            self.request(now, purpose);
        } else if let Stage::Leaving(_) = self.stage {
            self.left();
        } else {
            let text = Some("401: the password is refused".into());
            self.set_back(now, Setback::Denied, AFTER_DENIAL, text, true);
        }
        Ok(())
    }

    /// Takes what a 200 grants to a line.
    fn granted(&mut self, now: Instant, line: usize, message: &Message) -> Result<(), Fault> {
        let Some(writer) = self.writer() else {
            return Ok(());
        };
        let contact = writer.contact(&self.sip().lines[line].name);
        let refresh = grant::refresh_after(message, &contact, self.sip().timers)?;
        let refresh = refresh.min(self.habits.hurry.unwrap_or(Duration::MAX));
        self.bindings[line].refresh_at = Some(now + refresh);
        self.credentials.begin();
        Ok(())
    }

    /// The next line, or registered.
    fn go_on(&mut self, now: Instant, purpose: Purpose) {
        match purpose {
            Purpose::Register(line) if line + 1 < self.bindings.len() => {
                self.request(now, Purpose::Register(line + 1));
            }
            Purpose::Register(_) => {
                self.stage = Stage::Registered;
                self.backoff.reset();
                self.lost_server = false;
                self.tell(Event::Registered(self.sip().transport));
            }
            _ => self.tell(Event::Refreshed),
        }
    }
}

const fn setback(status: u16, retry_after: Option<Duration>) -> Setback {
    match (status, retry_after) {
        (503, Some(_)) => Setback::RetryAfter,
        _ => Setback::Denied,
    }
}
