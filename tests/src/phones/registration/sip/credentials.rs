//! How a phone proves who it is, from the first challenge on.

use super::super::{Fault, SipLine};
use super::digest::{Answer, Challenge};
use super::message::Message;

/// Challenges to one request that a phone answers.
const CHALLENGES_MAX: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Credentials {
    challenge: Option<Challenge>,
    /// How often the nonce was used.
    uses: u32,
    /// Challenges to the request under way.
    challenges: u8,
}

impl Credentials {
    /// A new request, of which no challenge was answered yet.
    pub(super) fn begin(&mut self) {
        self.challenges = 0;
    }

    /// The value of `Authorization` for a REGISTER, once the server has asked for it.
    pub(super) fn header(&mut self, line: &SipLine, uri: &str) -> Option<String> {
        let challenge = self.challenge.as_ref()?;
        self.uses += 1;
        let answer = Answer {
            user: &line.auth_name,
            password: &line.password,
            method: "REGISTER",
            uri,
            count: self.uses,
            cnonce: &format!("{:08x}", rand::random::<u32>()),
        };
        Some(answer.header(challenge))
    }

    /// Takes a 401 or 407. False if the password is refused: the same again would be as wrong.
    pub(super) fn challenged(&mut self, answer: &Message) -> Result<bool, Fault> {
        let mut offered = answer
            .all("www-authenticate")
            .chain(answer.all("proxy-authenticate"));
        let challenge = offered.find_map(Challenge::parse);
        let challenge =
            challenge.ok_or_else(|| Fault::new("a challenge without digest and MD5"))?;
        self.challenges += 1;
        let is_refused = self.challenges > 1 && !challenge.is_stale;
        if is_refused || self.challenges > CHALLENGES_MAX {
            self.challenge = None;
            return Ok(false);
        }
        self.challenge = Some(challenge);
        self.uses = 0;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(stale: &str) -> Message {
        let text = format!(
            "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\",nonce=\"n\",\
             algorithm=SHA-256\r\nWWW-Authenticate: Digest realm=\"r\",nonce=\"m\",\
             qop=\"auth\"{stale}\r\n\r\n"
        );
        Message::datagram(text.as_bytes()).expect("well formed")
    }

    fn line() -> SipLine {
        SipLine {
            name: "1".into(),
            auth_name: "anna".into(),
            password: "s".into(),
        }
    }

    #[test]
    fn of_two_challenges_that_with_md5_is_answered_and_its_uses_are_counted() {
        let mut credentials = Credentials::default();
        assert_eq!(credentials.header(&line(), "sip:s"), None);
        assert_eq!(credentials.challenged(&challenge("")), Ok(true));
        for count in ["00000001", "00000002"] {
            let header = credentials
                .header(&line(), "sip:s")
                .expect("it was asked for");
            assert!(header.contains("nonce=\"m\""), "{header}");
            assert!(header.contains(&format!("nc={count}")), "{header}");
        }
    }

    #[test]
    fn a_password_is_not_tried_twice_but_a_stale_nonce_is_replaced() {
        let mut credentials = Credentials::default();
        credentials.begin();
        assert_eq!(credentials.challenged(&challenge("")), Ok(true));
        assert_eq!(credentials.challenged(&challenge(",stale=true")), Ok(true));
        assert_eq!(credentials.challenged(&challenge("")), Ok(false));
    }
}
