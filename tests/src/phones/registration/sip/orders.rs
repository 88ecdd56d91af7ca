//! What a server may tell a registered phone, and what the phone says to it.

use super::super::{Boot, Fault};
use super::message::{Message, Start};

/// What a request of the server makes the phone do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Obey {
    Nothing,
    Boot(Boot),
}

/// What a phone knows when it is told something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'k> {
    pub(super) call_id: &'k str,
    /// Of the configuration it runs.
    pub(super) stamp: &'k str,
}

/// Reads a request; returns its answer and what is to be done.
pub(super) fn read(request: &Message, known: Known<'_>) -> Result<(Vec<u8>, Obey), Fault> {
    let Start::Request { method } = &request.start else {
        return Err(Fault::new("an answer is no request"));
    };
    let (status, obey) = match method.as_str() {
        "NOTIFY" => notify(request, known)?,
        "OPTIONS" | "REFER" => ("200 OK", Obey::Nothing),
        _ => ("501 Not Implemented", Obey::Nothing),
    };
    Ok((answer(request, status)?, obey))
}

fn notify(request: &Message, known: Known<'_>) -> Result<(&'static str, Obey), Fault> {
    let event = request.expect("event")?;
    let obey = match event.split(';').next().unwrap_or_default().trim() {
        "service-control" => service_control(request, known)?,
        // It reads its configuration, and restarts with it.
        "check-sync" => Obey::Boot(Boot::Soft),
        _ => return Ok(("489 Bad Event", Obey::Nothing)),
    };
    request.expect("subscription-state")?;
    Ok(("200 OK", obey))
}

fn service_control(request: &Message, known: Known<'_>) -> Result<Obey, Fault> {
    let text = String::from_utf8_lossy(&request.body);
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.trim().split_once('='));
        lines
            .into_iter()
            .find_map(|(is, value)| (is == name).then_some(value))
    };
    let in_braces = |name: &str| value(name).map(|it| it.trim_matches(['{', '}']));
    match in_braces("RegisterCallId") {
        Some("") => {}
        Some(call) if call == known.call_id => {}
        other => {
            let ours = known.call_id;
            return Err(Fault::new(format!(
                "an order for call {other:?}, but ours is {ours}"
            )));
        }
    }
    let stamp = in_braces("ConfigVersionStamp");
    let is_same = stamp.is_some_and(|it| it == known.stamp.trim_matches(['{', '}']));
    match value("action") {
        Some("reset") => Ok(Obey::Boot(Boot::Hard)),
        Some("restart") => Ok(Obey::Boot(Boot::Soft)),
        Some("check-version" | "apply-config") if is_same => Ok(Obey::Nothing),
        Some("check-version" | "apply-config") => Ok(Obey::Boot(Boot::Soft)),
        action => Err(Fault::new(format!("there is no action {action:?}"))),
    }
}

fn answer(request: &Message, status: &str) -> Result<Vec<u8>, Fault> {
    let mut out = format!("SIP/2.0 {status}\r\n");
    for via in request.all("via") {
        out.push_str(&format!("Via: {via}\r\n"));
    }
    let to = request.expect("to")?;
    let tag = if to.contains(";tag=") {
        ""
    } else {
        ";tag=phone"
    };
    out.push_str(&format!(
        "From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        request.expect("from")?,
        request.expect("call-id")?,
        request.expect("cseq")?,
    ));
    Ok(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known<'_> = Known {
        call_id: "c@h",
        stamp: "{old}",
    };

    fn notify(event: &str, body: &str) -> Result<(Vec<u8>, Obey), Fault> {
        let text = format!(
            "NOTIFY sip:p SIP/2.0\r\nVia: SIP/2.0/TCP s;branch=z9hG4bKx\r\nFrom: <sip:s>;tag=1\r\n\
             To: <sip:p>\r\nCall-ID: n\r\nCSeq: 1 NOTIFY\r\nEvent: {event}\r\n\
             Subscription-State: active\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        read(&Message::datagram(text.as_bytes())?, KNOWN)
    }

    #[test]
    fn a_phone_does_what_it_is_told() {
        for (body, expected) in [
            (
                "action=reset\nRegisterCallId={c@h}\n",
                Obey::Boot(Boot::Hard),
            ),
            (
                "action=restart\r\nRegisterCallId={}\r\n",
                Obey::Boot(Boot::Soft),
            ),
            (
                "action=apply-config\nRegisterCallId={}\nConfigVersionStamp={new}\n",
                Obey::Boot(Boot::Soft),
            ),
            (
                "action=check-version\nRegisterCallId={}\nConfigVersionStamp={old}\n",
                Obey::Nothing,
            ),
        ] {
            let (answer, obey) = notify("service-control", body).expect("well formed");
            assert_eq!(obey, expected, "{body}");
            assert!(
                answer.starts_with(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP s;branch=z9hG4bKx\r\n")
            );
        }
    }

    #[test]
    fn an_order_for_another_registration_is_a_fault() {
        let body = "action=reset\nRegisterCallId={other}\n";
        assert!(notify("service-control", body).is_err());
    }

    #[test]
    fn events_no_phone_knows_are_said_to_be_bad() {
        let (answer, obey) = notify("dialog", "").expect("well formed");
        assert_eq!(obey, Obey::Nothing);
        assert!(answer.starts_with(b"SIP/2.0 489 "));
    }
}
