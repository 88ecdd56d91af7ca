//! Bodies of a REGISTER: which lines it is for, and what the phone can.
//!
//! The first REGISTER of a phone of the enterprise series has two parts. `bulkregisterreq` asks that
//! all lines be registered with the primary one, which is the only one that sends REGISTER then.
//! `optionsind` lists what the phone can, and the 200 lists what of it the server takes; the words
//! are those a call manager was seen to answer with.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::REQUEST_TYPE;
use crate::register::sip::message::parts;

/// Most elements that are read of one body.
const MAX_ELEMENTS: usize = 200;

/// Most options that are taken of one phone.
const MAX_OPTIONS: usize = 16;

/// Longest `usage` that is repeated to the phone.
const MAX_USAGE_BYTES: usize = 64;

/// What a phone asks for in the body of its REGISTER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// All lines are registered with this one.
    pub all_lines: bool,
    options: Vec<Choice>,
    /// There was a list of options, whatever was in it.
    has_options: bool,
}

/// One of the options that are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// So many messages may come in one NOTIFY.
    Combine {
        max: u32,
    },
    /// NOTIFY of dialogs comes without a subscription.
    Dialog {
        usage: String,
    },
    Presence {
        usage: String,
    },
    JoinRequest,
    Ix,
    Bfcp,
}

/// As a call manager grants it.
const MAX_COMBINED: u32 = 6;

impl Wishes {
    /// What a body asks for; nothing, if it is none of the phones', or broken.
    pub fn of(content_type: &[u8], body: &[u8]) -> Self {
        let mut wishes = Self::default();
        for part in parts(content_type, body) {
            if part
                .content_type
                .eq_ignore_ascii_case(REQUEST_TYPE.as_bytes())
            {
                wishes.read(part.bytes);
            }
        }
        wishes
    }

    /// What of it can be read: what follows a fault is nothing.
    fn read(&mut self, xml: &[u8]) {
        let Ok(xml) = std::str::from_utf8(xml) else {
            return;
        };
        let mut reader = Reader::from_str(xml);
        let mut path: Vec<Box<str>> = Vec::new();
        for _ in 0..MAX_ELEMENTS {
            match reader.read_event() {
                Ok(Event::Start(element)) => {
                    self.element(&path, &element);
                    path.push(element.name().as_ref().into());
                }
                Ok(Event::Empty(element)) => self.element(&path, &element),
                Ok(Event::End(_)) => {
                    path.pop();
                }
                Ok(Event::Eof) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn element(&mut self, path: &[Box<str>], element: &BytesStart<'_>) {
        let parent = path.last().map_or("", |it| it);
        match (parent, element.name().as_ref()) {
            ("bulkregisterreq", "contact") => {
                self.all_lines |= attribute(element, "all").is_some_and(|it| it == "true");
            }
            (_, "optionsind") => self.has_options = true,
            ("optionsind", option) if self.options.len() < MAX_OPTIONS => {
                self.options.extend(Choice::of(option, element));
            }
            _ => {}
        }
    }

    /// The body that answers it; none if there was no list of options.
    pub fn answer(&self) -> Option<String> {
        if !self.has_options {
            return None;
        }
        let options: String = self.options.iter().map(Choice::to_xml).collect();
        Some(format!(
            "<x-cisco-remotecc-response>\n<response>\n<code>200</code>\n<optionsind>\n{options}\
             </optionsind>\n</response>\n</x-cisco-remotecc-response>\n"
        ))
    }
}

impl Choice {
    /// None for what no answer was seen to.
    fn of(option: &str, element: &BytesStart<'_>) -> Option<Self> {
        let usage = || {
            let usage = attribute(element, "usage")?;
            let is_writable = usage.chars().all(is_of_xml);
            (usage.len() <= MAX_USAGE_BYTES && is_writable).then_some(usage)
        };
        match option {
            "combine" => {
                let max = attribute(element, "max")?.parse().ok()?;
                Some(Self::Combine {
                    max: MAX_COMBINED.min(max),
                })
            }
            "dialog" => Some(Self::Dialog { usage: usage()? }),
            "presence" => Some(Self::Presence { usage: usage()? }),
            "joinreq" => Some(Self::JoinRequest),
            "ix" => Some(Self::Ix),
            "bfcp" => Some(Self::Bfcp),
            _ => None,
        }
    }

    fn to_xml(&self) -> String {
        let of_usage = |name: &str, usage: &str| {
            let usage = quick_xml::escape::escape(usage);
            format!("<{name} usage=\"{usage}\"><unot/></{name}>\n")
        };
        match self {
            Self::Combine { max } => format!(
                "<combine max=\"{max}\">\n<remotecc><status/></remotecc>\n<service-control/>\n\
                 </combine>\n"
            ),
            Self::Dialog { usage } => of_usage("dialog", usage),
            Self::Presence { usage } => of_usage("presence", usage),
            Self::JoinRequest => "<joinreq></joinreq>\n".to_owned(),
            Self::Ix => "<ix/>\n".to_owned(),
            Self::Bfcp => "<bfcp/>\n".to_owned(),
        }
    }
}

/// Whether XML 1.0 can hold it: a reference to another character is read, and could not be repeated.
fn is_of_xml(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}')
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    let text = quick_xml::escape::unescape(&attribute.value).ok()?;
    Some(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--uniqueBoundary\r\n\
        Content-Type: application/x-cisco-remotecc-request+xml\r\n\
        Content-Disposition: session;handling=optional\r\n\r\n\
        <?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
        <x-cisco-remotecc-request><bulkregisterreq><contact all=\"true\"><register/></contact>\
        </bulkregisterreq></x-cisco-remotecc-request>\r\n\
        --uniqueBoundary\r\n\
        Content-Type: application/x-cisco-remotecc-request+xml\r\n\r\n\
        <x-cisco-remotecc-request><optionsind>\
        <combine max=\"6\"><remotecc><status></status></remotecc><service-control></service-control>\
        </combine>\
        <dialog usage=\"hook status\"><unot></unot><sub></sub></dialog>\
        <presence usage=\"blf &amp; speed dial\"><unot></unot></presence>\
        <joinreq></joinreq><cfwdall-anyline></cfwdall-anyline><bfcp></bfcp>\
        </optionsind></x-cisco-remotecc-request>\r\n\
        --uniqueBoundary--\r\n";

    const TYPE: &[u8] = b"multipart/mixed; boundary=uniqueBoundary";

    #[test]
    fn both_parts_are_read_and_the_options_answered() {
        let wishes = Wishes::of(TYPE, BODY.as_bytes());
        assert!(wishes.all_lines);
        assert_eq!(
            wishes.answer().unwrap(),
            "<x-cisco-remotecc-response>\n<response>\n<code>200</code>\n<optionsind>\n\
             <combine max=\"6\">\n<remotecc><status/></remotecc>\n<service-control/>\n</combine>\n\
             <dialog usage=\"hook status\"><unot/></dialog>\n\
             <presence usage=\"blf &amp; speed dial\"><unot/></presence>\n\
             <joinreq></joinreq>\n<bfcp/>\n\
             </optionsind>\n</response>\n</x-cisco-remotecc-response>\n"
        );
    }

    #[test]
    fn a_body_cut_anywhere_asks_for_less_and_never_for_something_else() {
        let whole = Wishes::of(TYPE, BODY.as_bytes());
        for end in 0..BODY.len() {
            let cut = Wishes::of(TYPE, &BODY.as_bytes()[..end]);
            assert!(whole.options.starts_with(&cut.options), "{end}");
        }
    }

    #[test]
    fn other_bodies_ask_for_nothing() {
        let nothing = Wishes::default();
        for (content_type, body) in [
            (&b"application/sdp"[..], BODY),
            (b"multipart/mixed", BODY),
            (b"multipart/mixed;boundary=\"\"", BODY),
            (b"multipart/mixed;boundary=other", BODY),
            (REQUEST_TYPE.as_bytes(), "<a><contact all=\"true\"/></a>"),
            (REQUEST_TYPE.as_bytes(), ""),
        ] {
            let wishes = Wishes::of(content_type, body.as_bytes());
            assert_eq!(wishes, nothing);
            assert_eq!(wishes.answer(), None);
        }
    }

    #[test]
    fn what_is_repeated_to_the_phone_is_bounded() {
        let option = "<presence usage=\"x\"/>";
        let many = format!("<optionsind>{}</optionsind>", option.repeat(1000));
        let wishes = Wishes::of(REQUEST_TYPE.as_bytes(), many.as_bytes());
        assert_eq!(wishes.options.len(), MAX_OPTIONS);
        let long = format!(
            "<optionsind><dialog usage=\"{}\"/></optionsind>",
            "x".repeat(65)
        );
        let wishes = Wishes::of(REQUEST_TYPE.as_bytes(), long.as_bytes());
        assert!(wishes.options.is_empty());
    }

    #[test]
    fn what_is_no_character_of_xml_is_not_repeated() {
        for reference in ["&#0;", "&#1;", "&#xfffe;"] {
            let body = format!("<optionsind><dialog usage=\"a{reference}\"/></optionsind>");
            let wishes = Wishes::of(REQUEST_TYPE.as_bytes(), body.as_bytes());
            assert!(wishes.options.is_empty(), "{reference}");
        }
    }
}
