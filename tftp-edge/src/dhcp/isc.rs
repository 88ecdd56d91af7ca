//! ISC dhcpd: a file for each family, since dhcpd runs once for each.

use std::fmt::{self, Write as _};

use super::{CISCO, CISCO_TFTP_SERVERS, Scope, TFTP_SERVER_ADDRESSES, joined};

/// Beside each subnet that is declared here.
const RANGES: &str = "\
# A subnet that you have declared already is not declared again: copy its option lines to yours.
# In the others, fill in FIRST and LAST.
";

pub(super) fn write_v4(scopes: &[Scope], out: &mut String) -> fmt::Result {
    write!(
        out,
        "# Where IP phones find their TFTP server, for ISC dhcpd.\n\
         # From the inventory of tftp-edge: tftp-edge dhcp --format isc\n\
         # Save it as /etc/dhcp/tftp-edge.conf and include it at the end of dhcpd.conf:\n\
         #   include \"/etc/dhcp/tftp-edge.conf\";\n\
         {RANGES}\n\
         option cisco-tftp-servers code {TFTP_SERVER_ADDRESSES} = array of ip-address;\n",
    )?;
    for (scope, v4) in scopes
        .iter()
        .filter_map(|scope| Some((scope, scope.v4.as_ref()?)))
    {
        writeln!(out, "\n# Site {}", scope.site)?;
        for network in &v4.networks {
            writeln!(
                out,
                "subnet {} netmask {} {{",
                network.network(),
                network.netmask()
            )?;
            writeln!(out, "  #range FIRST LAST;")?;
            let servers = joined(&v4.servers, ", ");
            writeln!(out, "  option cisco-tftp-servers {servers};")?;
            writeln!(out, "  option tftp-server-name \"{}\";", v4.servers[0])?;
            if !scope.ntp.is_empty() {
                writeln!(out, "  option ntp-servers {};", joined(&scope.ntp, ", "))?;
            }
            writeln!(out, "}}")?;
        }
    }
    Ok(())
}

pub(super) fn write_v6(scopes: &[Scope], out: &mut String) -> fmt::Result {
    write!(
        out,
        "# Where IP phones find their TFTP server over IPv6, for ISC dhcpd.\n\
         # From the inventory of tftp-edge: tftp-edge dhcp --format isc --ipv6\n\
         # Save it as /etc/dhcp/tftp-edge6.conf and include it at the end of dhcpd6.conf:\n\
         #   include \"/etc/dhcp/tftp-edge6.conf\";\n\
         {RANGES}\n\
         option space cisco code width 2 length width 2;\n\
         option cisco.tftp-servers code {CISCO_TFTP_SERVERS} = array of ip6-address;\n\
         option vsio.cisco code {CISCO} = encapsulate cisco;\n",
    )?;
    for (scope, v6) in scopes
        .iter()
        .filter_map(|scope| Some((scope, scope.v6.as_ref()?)))
    {
        writeln!(out, "\n# Site {}", scope.site)?;
        for network in &v6.networks {
            let servers = joined(&v6.servers, ", ");
            write!(
                out,
                "subnet6 {network} {{\n  #range6 FIRST LAST;\n  option cisco.tftp-servers {servers};\n}}\n"
            )?;
        }
    }
    Ok(())
}
