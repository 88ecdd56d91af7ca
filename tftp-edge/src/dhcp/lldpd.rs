//! lldpd: the voice VLAN, as a switch tells it to phones in LLDP-MED network policies
//! (ANSI/TIA-1057 10.2.3).

use std::fmt::{self, Write as _};

/// Expedited forwarding, for speech (RFC 3246), and its 802.1p priority.
const VOICE: (&str, &str, u8) = ("voice", "voice", 46);
/// Class selector 3, for call signalling, and its 802.1p priority.
const SIGNALING: (&str, &str, u8) = ("voice-signaling", "critical-applications", 24);

/// `ports` is empty for all of them.
pub(super) fn write(site: &str, vlan: u16, ports: &[String], out: &mut String) -> fmt::Result {
    write!(
        out,
        "# The voice VLAN of IP phones, for lldpd on the Linux box whose ports they are plugged into.\n\
         # From the inventory of tftp-edge: tftp-edge lldp --site SITE\n\
         # Save it as /etc/lldpd.d/tftp-edge.conf, and have lldpd speak LLDP-MED as a switch does, in\n\
         # /etc/default/lldpd:\n\
         #   DAEMON_ARGS=\"-M 4 -c\"\n\
         # -c also answers CDP. lldpd names no voice VLAN there: phones that know CDP alone get theirs\n\
         # from a Cisco switch, or from their own settings menu.\n\
         \n\
         # Site {site}\n\
         configure med fast-start enable\n"
    )?;
    let ports = match ports {
        [] => String::new(),
        ports => format!("ports {} ", ports.join(",")),
    };
    for (application, priority, dscp) in [VOICE, SIGNALING] {
        writeln!(
            out,
            "configure {ports}med policy application {application} tagged vlan {vlan} priority {priority} dscp {dscp}"
        )?;
    }
    Ok(())
}
