//! From a packet to its class.

use super::{Body, Class};
use crate::abi::registration::{Encounter, Sample, service};
use crate::frame::Frame;
use crate::packet::Packet;
use crate::wire::ip;
use crate::wire::sccp::{Header, message};
use crate::wire::sip::{HEAD_MAX, Method, Start, StartLine, find_cseq, names_register};
use crate::wire::tcp::Tcp;
use crate::wire::udp::Udp;

/// The class of a packet, and where its payload is. A response of SIP that may be to a REGISTER has
/// its head in the sample afterwards.
#[inline(always)]
pub(super) fn of<F: Frame>(
    frame: &F,
    packet: &Packet,
    encounter: Encounter,
    sample: &mut Sample,
) -> (Class, Body) {
    let nothing = Body::default();
    // The host drops what the network has damaged; TCP's and UDP's own sums are left to it.
    if !packet.is_sum_valid() || packet.transport() + packet.room > packet.frame_len {
        return (Class::Malformed, nothing);
    }
    let is_udp = packet.protocol == ip::UDP;
    let header_len = if is_udp {
        Udp::LEN
    } else {
        let mut tcp = Tcp::EMPTY;
        if !frame.load(packet.transport(), &mut tcp) {
            return (Class::Malformed, nothing);
        }
        if tcp.is_syn() {
            return (Class::Syn, nothing);
        }
        if tcp.header_len() < Tcp::LEN {
            return (Class::Malformed, nothing);
        }
        tcp.header_len()
    };
    let segment = if is_udp {
        packet.udp().len()
    } else {
        packet.room
    };
    if segment < header_len || segment > packet.room {
        return (Class::Malformed, nothing);
    }
    let body = Body {
        at: packet.transport() + header_len,
        len: segment - header_len,
    };
    if !is_udp && body.len == 0 {
        return (Class::TcpControl, body);
    }
    let class = match encounter.service {
        service::SIP => of_sip(frame, body, is_udp, encounter, sample),
        // Neither has anything over UDP: what comes there is nobody's.
        _ if is_udp => Class::Malformed,
        service::SCCP => of_sccp(frame, body, encounter),
        _ => Class::Encrypted,
    };
    (class, body)
}

#[inline(always)]
fn of_sccp<F: Frame>(frame: &F, body: Body, encounter: Encounter) -> Class {
    let mut header = Header::EMPTY;
    if body.len < Header::LEN || !frame.load(body.at, &mut header) || !header.is_plausible() {
        return Class::SccpContinuation;
    }
    if encounter.is_answer == 0 {
        match header.id() {
            message::REGISTER => Class::SccpRegister,
            message::REGISTER_TOKEN | message::SPCP_TOKEN => Class::SccpToken,
            message::KEEPALIVE => Class::SccpKeepalive,
            message::UNREGISTER => Class::SccpUnregister,
            message::ALARM | message::XML_ALARM => Class::SccpAlarm,
            _ => Class::SccpOther,
        }
    } else {
        match header.id() {
            message::REGISTER_ACK => Class::SccpRegisterAck,
            message::REGISTER_REJECT => Class::SccpRegisterReject,
            message::TOKEN_ACK | message::SPCP_TOKEN_ACK => Class::SccpTokenAck,
            message::TOKEN_REJECT | message::SPCP_TOKEN_REJECT => Class::SccpTokenReject,
            message::KEEPALIVE_ACK => Class::SccpKeepaliveAck,
            message::RESET => Class::SccpReset,
            _ => Class::SccpOther,
        }
    }
}

#[inline(always)]
fn of_sip<F: Frame>(
    frame: &F,
    body: Body,
    is_udp: bool,
    encounter: Encounter,
    sample: &mut Sample,
) -> Class {
    let nothing = if is_udp {
        Class::SipGarbage
    } else {
        Class::SipContinuation
    };
    let mut start = Start::EMPTY;
    if body.len < Start::LEN {
        return if is_blank(frame, body) {
            Class::SipKeepalive
        } else {
            nothing
        };
    }
    if !frame.load(body.at, &mut start) {
        return Class::Malformed;
    }
    let mut message = body;
    let mut line = start.line();
    if let StartLine::Blank(bytes) = line {
        message = Body {
            at: body.at + bytes,
            len: body.len - bytes,
        };
        if message.len < Start::LEN || !frame.load(message.at, &mut start) {
            return nothing;
        }
        line = start.line();
    }
    match line {
        StartLine::Request(Method::Register) => Class::SipRegister,
        StartLine::Request(Method::Refer) => Class::SipRefer,
        StartLine::Request(Method::Options) => Class::SipOptions,
        StartLine::Request(Method::Notify) => Class::SipNotify,
        StartLine::Request(Method::Subscribe) => Class::SipSubscribe,
        StartLine::Request(Method::Invite) => Class::SipInvite,
        StartLine::Request(Method::Other) => Class::SipRequest,
        StartLine::Response(..200) => Class::SipProvisional,
        // Phones answer too, but register nobody.
        StartLine::Response(200..300) if encounter.is_answer != 0 => {
            load_head(frame, message, sample);
            let len = sample.head_len as usize;
            find_cseq(&sample.head, len, &mut sample.cseq_at);
            if names_register(&sample.head, len, &sample.cseq_at) {
                Class::SipRegistered
            } else {
                Class::SipSuccess
            }
        }
        StartLine::Response(200..300) => Class::SipSuccess,
        StartLine::Response(401 | 407) => Class::SipChallenge,
        StartLine::Response(403 | 404) => Class::SipForbidden,
        StartLine::Response(423) => Class::SipTooBrief,
        StartLine::Response(503) => Class::SipUnavailable,
        StartLine::Response(_) => Class::SipResponse,
        StartLine::Blank(_) | StartLine::Nothing => nothing,
    }
}

/// Whether a short payload is nothing but one or two empty lines.
#[inline(always)]
fn is_blank<F: Frame>(frame: &F, body: Body) -> bool {
    match body.len {
        0 => true,
        2 => {
            let mut line = [0; 2];
            frame.load(body.at, &mut line) && line == *b"\r\n"
        }
        4 => {
            let mut lines = [0; 4];
            frame.load(body.at, &mut lines) && lines == *b"\r\n\r\n"
        }
        _ => false,
    }
}

/// Copies the beginning of a message into the sample. Leaves no head if it cannot be read.
#[inline(always)]
pub(super) fn load_head<F: Frame>(frame: &F, message: Body, sample: &mut Sample) {
    let len = if message.len < HEAD_MAX {
        message.len
    } else {
        HEAD_MAX
    };
    sample.head_len = if len > 0 && frame.load_head(message.at, len, &mut sample.head) {
        len as u16
    } else {
        0
    };
}
