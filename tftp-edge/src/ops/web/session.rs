//! Who may change something: the password, and the sessions of those who gave it.
//!
//! A session is a random token in a cookie that scripts cannot read and that no other site's page
//! sends along. Each has a second one that every form carries: a form of somebody else does not have
//! it. The tokens are compared by their hashes, so that the time it takes tells nothing of them.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::recent::{Recent, source_of};

/// Sessions at one time; the one that was not used for longest goes first.
const SESSIONS: usize = 64;
/// A session ends when it is not used for so long, and in any case.
const IDLE: Duration = Duration::from_secs(30 * 60);
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// Wrong passwords of one source, and of all together, in a window. Over it nobody is heard until the
/// window has ended, whatever the password is.
const GUESSES: u32 = 5;
const ALL_GUESSES: u32 = 100;
const WINDOW: Duration = Duration::from_secs(60);
/// Sources whose guesses are remembered.
const SOURCES: usize = 1024;

type Hash = [u8; 32];

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// What a password is checked against.
#[derive(Clone)]
pub struct Password(Hash);

impl fmt::Debug for Password {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Password(..)")
    }
}

impl Password {
    pub(super) fn new(text: &str) -> Self {
        Self(hash(text))
    }

    /// Takes the same time whatever the guess is like.
    pub(super) fn is(&self, guess: &str) -> bool {
        self.0.ct_eq(&hash(guess)).into()
    }
}

/// Why somebody is not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LoginError {
    #[error("there is no password, and so nothing can be changed here; see web.password_file")]
    NoPassword,
    #[error("that is not the password")]
    Wrong,
    #[error("too many wrong passwords; wait a minute and try again")]
    TooMany,
}

/// Wrong passwords since the first of a window.
#[derive(Debug, Default)]
struct Guesses {
    count: u32,
    since: Option<Instant>,
}

impl Guesses {
    fn has_room(&mut self, most: u32, now: Instant) -> bool {
        let is_over = |since| now.saturating_duration_since(since) >= WINDOW;
        if self.since.is_none_or(is_over) {
            *self = Self::default();
        }
        self.count < most
    }

    fn note(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.count += 1;
    }
}

struct Session {
    begun: Instant,
    used: Instant,
    form_token: String,
    /// What came of the last change, told on the next page.
    said: Option<String>,
}

/// What a page knows of its session.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Seen {
    pub(super) form_token: String,
    pub(super) said: Option<String>,
}

/// All sessions. Time comes in.
pub(super) struct Sessions {
    password: Mutex<Option<Password>>,
    /// By the hash of the cookie's token.
    sessions: Mutex<HashMap<Hash, Session>>,
    of_source: Recent<Guesses>,
    of_all: Mutex<Guesses>,
}

fn token() -> String {
    let random: [u8; 32] = rand::random();
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sessions {
    pub(super) fn new(password: Option<Password>) -> Self {
        Self {
            password: Mutex::new(password),
            sessions: Mutex::default(),
            of_source: Recent::new(SOURCES),
            of_all: Mutex::default(),
        }
    }

    /// Whether anything can be changed at all.
    pub(super) fn can_begin(&self) -> bool {
        self.password.lock().is_some()
    }

    /// From now on this is the password. Whether it is another one: then all sessions end.
    pub(super) fn set_password(&self, password: Option<Password>) -> bool {
        let mut present = self.password.lock();
        let is_other = match (&*present, &password) {
            (Some(before), Some(after)) => before.0 != after.0,
            (before, after) => before.is_some() || after.is_some(),
        };
        if is_other {
            self.sessions.lock().clear();
        }
        *present = password;
        is_other
    }

    /// Begins a session; returns the token of its cookie.
    pub(super) fn begin(
        &self,
        guess: &str,
        source: IpAddr,
        now: Instant,
    ) -> Result<String, LoginError> {
        let password = self.password.lock().clone();
        let password = password.ok_or(LoginError::NoPassword)?;
        let source = source_of(source);
        let of_source = |it: &mut Guesses| it.has_room(GUESSES, now);
        let has_room = self.of_source.with(source, Guesses::default, of_source);
        // Whoever is out of guesses learns nothing from further ones.
        if !has_room || !self.of_all.lock().has_room(ALL_GUESSES, now) {
            return Err(LoginError::TooMany);
        }
        if !password.is(guess) {
            self.of_all.lock().note(now);
            self.of_source
                .with(source, Guesses::default, |it| it.note(now));
            return Err(LoginError::Wrong);
        }
        let cookie = token();
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, session| session.is_alive(now));
        if sessions.len() >= SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, it)| it.used)
        {
            let oldest = *oldest.0;
            sessions.remove(&oldest);
        }
        let session = Session {
            begun: now,
            used: now,
            form_token: token(),
            said: None,
        };
        sessions.insert(hash(&cookie), session);
        Ok(cookie)
    }

    /// The session of a cookie's token; what is to be said is said once.
    pub(super) fn look(&self, cookie: &str, now: Instant) -> Option<Seen> {
        self.with(cookie, now, |session| Seen {
            form_token: session.form_token.clone(),
            said: session.said.take(),
        })
    }

    /// Whether there is such a session; nothing that is to be said counts as said.
    pub(super) fn has(&self, cookie: &str, now: Instant) -> bool {
        self.with(cookie, now, |_| ()).is_some()
    }

    /// Whether a form is the session's own.
    pub(super) fn is_own(&self, cookie: &str, form_token: &str, now: Instant) -> bool {
        let is_own = |session: &mut Session| {
            let own = hash(&session.form_token);
            own.ct_eq(&hash(form_token)).into()
        };
        self.with(cookie, now, is_own).unwrap_or(false)
    }

    /// Tells something on the next page.
    pub(super) fn say(&self, cookie: &str, text: String, now: Instant) {
        self.with(cookie, now, |session| session.said = Some(text));
    }

    pub(super) fn end(&self, cookie: &str) {
        self.sessions.lock().remove(&hash(cookie));
    }

    fn with<T>(
        &self,
        cookie: &str,
        now: Instant,
        act: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(&hash(cookie))?;
        if !session.is_alive(now) {
            sessions.remove(&hash(cookie));
            return None;
        }
        session.used = now;
        Some(act(session))
    }
}

impl Session {
    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < IDLE
            && now.saturating_duration_since(self.begun) < LIFETIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "correct horse battery";

    fn sessions() -> Sessions {
        Sessions::new(Some(Password::new(RIGHT)))
    }

    fn source(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn another_password_ends_all_sessions_and_the_same_none() {
        let (sessions, now) = (sessions(), Instant::now());
        let token = sessions.begin(RIGHT, source(1), now).unwrap();
        assert!(!sessions.set_password(Some(Password::new(RIGHT))));
        assert!(sessions.has(&token, now));
        assert!(sessions.set_password(Some(Password::new("another one"))));
        assert!(!sessions.has(&token, now));
        assert!(sessions.begin(RIGHT, source(1), now).is_err());
        assert!(sessions.begin("another one", source(1), now).is_ok());
        assert!(sessions.set_password(None) && !sessions.can_begin());
    }

    #[test]
    fn without_a_password_nobody_logs_in() {
        let sessions = Sessions::new(None);
        let begun = sessions.begin("", source(1), Instant::now());
        assert_eq!(begun, Err(LoginError::NoPassword));
    }

    #[test]
    fn guesses_of_a_source_are_counted_and_the_right_one_comes_too_late() {
        let (sessions, now) = (sessions(), Instant::now());
        for _ in 0..GUESSES {
            assert_eq!(
                sessions.begin("wrong", source(1), now),
                Err(LoginError::Wrong)
            );
        }
        assert_eq!(
            sessions.begin(RIGHT, source(1), now),
            Err(LoginError::TooMany)
        );
        assert!(
            sessions.begin(RIGHT, source(2), now).is_ok(),
            "others may try"
        );
        assert!(sessions.begin(RIGHT, source(1), now + WINDOW).is_ok());
    }

    #[test]
    fn guesses_from_everywhere_are_counted_together() {
        let (sessions, now) = (sessions(), Instant::now());
        for guess in 0..ALL_GUESSES {
            let from = source((guess % 256) as u8);
            assert_eq!(sessions.begin("wrong", from, now), Err(LoginError::Wrong));
        }
        assert_eq!(
            sessions.begin(RIGHT, source(200), now),
            Err(LoginError::TooMany)
        );
    }

    #[test]
    fn a_session_ends_when_it_is_left_alone_when_it_is_old_and_by_hand() {
        let (sessions, now) = (sessions(), Instant::now());
        let cookie = sessions.begin(RIGHT, source(1), now).unwrap();
        assert!(sessions.look(&cookie, now + IDLE / 2).is_some());
        assert!(sessions.look(&cookie, now + IDLE).is_some(), "it was used");
        assert!(sessions.look(&cookie, now + IDLE * 2).is_none());

        let cookie = sessions.begin(RIGHT, source(1), now).unwrap();
        let mut at = now;
        while at < now + LIFETIME {
            assert!(sessions.look(&cookie, at).is_some());
            at += IDLE / 2;
        }
        assert!(sessions.look(&cookie, at).is_none());

        let cookie = sessions.begin(RIGHT, source(1), now).unwrap();
        sessions.end(&cookie);
        assert!(sessions.look(&cookie, now).is_none());
    }

    #[test]
    fn a_form_belongs_to_one_session() {
        let (sessions, now) = (sessions(), Instant::now());
        let [one, two] = [1, 2].map(|it| sessions.begin(RIGHT, source(it), now).unwrap());
        let form = sessions.look(&one, now).unwrap().form_token;
        assert!(sessions.is_own(&one, &form, now));
        assert!(!sessions.is_own(&two, &form, now));
        assert!(!sessions.is_own(&one, "", now));
        assert!(!sessions.is_own("", &form, now));
    }

    #[test]
    fn sessions_are_bounded_and_the_one_that_is_used_stays() {
        let (sessions, now) = (sessions(), Instant::now());
        let first = sessions.begin(RIGHT, source(1), now).unwrap();
        for at in 1..=SESSIONS as u32 {
            let later = now + Duration::from_secs(u64::from(at));
            sessions.look(&first, later);
            sessions.begin(RIGHT, source(1), later).unwrap();
        }
        assert_eq!(sessions.sessions.lock().len(), SESSIONS);
        assert!(
            sessions
                .look(&first, now + Duration::from_secs(90))
                .is_some()
        );
    }

    #[test]
    fn what_came_of_a_change_is_said_once() {
        let (sessions, now) = (sessions(), Instant::now());
        let cookie = sessions.begin(RIGHT, source(1), now).unwrap();
        sessions.say(&cookie, "done".to_owned(), now);
        let said = |_| sessions.look(&cookie, now).unwrap().said;
        assert_eq!([0, 1].map(said), [Some("done".to_owned()), None]);
    }
}
