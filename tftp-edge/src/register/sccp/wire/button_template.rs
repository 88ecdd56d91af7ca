//! ButtonTemplate: what the buttons beside the display are.

use super::{Body, Dialect, Outgoing, Reply};

/// The most buttons of a phone and its modules (chan-sccp). Wireshark shows none of a template
/// with more than 42.
pub const MAX_BUTTONS: usize = 56;

/// What a button does, by its number in the template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    Line,
    SpeedDial,
    /// A speed dial with a lamp.
    BusyLamp,
    ServiceUrl,
    Redial,
    Hold,
    Transfer,
    ForwardAll,
    Voicemail,
    MaliciousCall,
    MeetMe,
    Conference,
    Park,
    Pickup,
    GroupPickup,
    DoNotDisturb,
    RemoveLast,
    QualityReport,
    CallBack,
    OtherPickup,
    NewCall,
    HuntLog,
    Messages,
    Directory,
    Application,
    Headset,
    Nothing,
}

impl Button {
    pub const fn definition(self) -> u8 {
        match self {
            Self::Redial => 0x01,
            Self::SpeedDial => 0x02,
            Self::Hold => 0x03,
            Self::Transfer => 0x04,
            Self::ForwardAll => 0x05,
            Self::Line => 0x09,
            Self::Voicemail => 0x0F,
            Self::ServiceUrl => 0x14,
            Self::BusyLamp => 0x15,
            Self::MaliciousCall => 0x1B,
            Self::MeetMe => 0x7B,
            Self::Conference => 0x7D,
            Self::Park => 0x7E,
            Self::Pickup => 0x7F,
            Self::GroupPickup => 0x80,
            Self::DoNotDisturb => 0x82,
            Self::RemoveLast => 0x84,
            Self::QualityReport => 0x85,
            Self::CallBack => 0x86,
            Self::OtherPickup => 0x87,
            Self::NewCall => 0x89,
            Self::HuntLog => 0x8B,
            Self::Messages => 0xC2,
            Self::Directory => 0xC3,
            Self::Application => 0xC5,
            Self::Headset => 0xC6,
            Self::Nothing => 0xFF,
        }
    }
}

/// ButtonTemplate 0x0097: all buttons of a phone in one message.
#[derive(Clone, Copy, Debug)]
pub struct ButtonTemplate<'p> {
    /// Which line, speed dial or service it is, from 1, and its kind; [`MAX_BUTTONS`] at most.
    pub buttons: &'p [(u8, Button)],
}

impl Reply for ButtonTemplate<'_> {
    fn message(&self, _dialect: Dialect) -> Outgoing {
        Outgoing::ButtonTemplate
    }

    fn emit(&self, body: &mut Body<'_>) {
        let buttons = &self.buttons[..self.buttons.len().min(MAX_BUTTONS)];
        let count = buttons.len() as u32;
        body.u32(0);
        body.u32(count);
        body.u32(count);
        for &(instance, button) in buttons {
            body.u8(instance);
            body.u8(button.definition());
        }
    }
}
