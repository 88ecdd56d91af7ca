//! What a REGISTER wants done with its contacts (RFC 3261 10.2 and 10.3).

use crate::register::sip::cisco::KEEP_ALIVE;
use crate::register::sip::message::{Defect, Message, Name, NameAddr, Uri, seconds, unquoted};

/// Most contacts of one REGISTER, and of one line.
pub const MAX_CONTACTS: usize = 8;

/// Longest URI of a contact: it is kept as long as it is registered.
const MAX_URI_BYTES: usize = 512;

/// The contacts of a REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish<'m> {
    /// None: it asks what there is.
    Fetch,
    /// `*`: all of the line are to go.
    RemoveAll,
    /// Removed or added, each by itself.
    Update(Vec<Contact<'m>>),
    /// A phone tells its standby server that it is there.
    KeepAlive,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact<'m> {
    pub address: NameAddr<'m>,
    pub uri: Uri<'m>,
    /// As the contact says itself, or else the message; seconds.
    pub expires: Option<u32>,
}

impl<'m> Wish<'m> {
    pub fn of(message: &Message<'m>) -> Result<Self, Defect> {
        let expires = match message.first(Name::Expires) {
            Some(value) => Some(seconds(value).ok_or(Defect::Expires)?),
            None => None,
        };
        let mut contacts = Vec::new();
        let mut has_star = false;
        for value in message.values(Name::Contact) {
            if value == b"*" {
                has_star = true;
                continue;
            }
            if contacts.len() == MAX_CONTACTS {
                return Err(Defect::Contacts);
            }
            contacts.push(Contact::of(value, expires)?);
        }
        if has_star {
            return match (contacts.is_empty(), expires) {
                (true, Some(0)) => Ok(Self::RemoveAll),
                _ => Err(Defect::Star),
            };
        }
        if contacts.is_empty() {
            return Ok(Self::Fetch);
        }
        let is_kept_alive =
            |it: &Contact<'_>| it.expires == Some(0) && it.address.params.get(KEEP_ALIVE).is_some();
        if contacts.iter().any(is_kept_alive) {
            return Ok(Self::KeepAlive);
        }
        Ok(Self::Update(contacts))
    }

    pub fn contacts(&self) -> &[Contact<'m>] {
        match self {
            Self::Update(contacts) => contacts,
            Self::Fetch | Self::RemoveAll | Self::KeepAlive => &[],
        }
    }

    /// Whether it adds or keeps anything.
    pub fn registers(&self) -> bool {
        self.contacts().iter().any(|it| it.expires != Some(0))
    }
}

impl<'m> Contact<'m> {
    fn of(value: &'m [u8], expires: Option<u32>) -> Result<Self, Defect> {
        let address = NameAddr::parse(value).ok_or(Defect::Contact)?;
        if address.uri.len() > MAX_URI_BYTES {
            return Err(Defect::Contact);
        }
        let uri = address.uri().filter(Uri::is_sip).ok_or(Defect::Contact)?;
        let expires = match address.params.get("expires") {
            Some(own) => {
                let own = own.value.ok_or(Defect::Expires)?;
                Some(seconds(&unquoted(own)).ok_or(Defect::Expires)?)
            }
            None => expires,
        };
        Ok(Self {
            address,
            uri,
            expires,
        })
    }
}
