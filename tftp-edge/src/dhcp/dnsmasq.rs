//! dnsmasq: one file for both families. Options go with a tag that the operator's ranges set.

use std::fmt::{self, Write as _};

use super::{CISCO, CISCO_TFTP_SERVERS, Scope, TFTP_SERVER_ADDRESSES, joined};

/// dnsmasq hands out addresses in no wider network than this.
const SHORTEST_V6_RANGE: u8 = 64;

pub(super) fn write(scopes: &[Scope], out: &mut String) -> fmt::Result {
    out.push_str(
        "# Where IP phones find their TFTP server, for dnsmasq.\n\
         # From the inventory of tftp-edge: tftp-edge dhcp --format dnsmasq\n\
         # Save it as /etc/dnsmasq.d/tftp-edge.conf and restart dnsmasq.\n",
    );
    for scope in scopes {
        write_site(scope, out)?;
    }
    Ok(())
}

fn write_site(scope: &Scope, out: &mut String) -> fmt::Result {
    let Scope { site, tag, .. } = scope;
    writeln!(
        out,
        "\n# Site {site}. Ranges whose phones belong to it have to say set:{tag}: add it to yours, or\n\
         # fill in FIRST and LAST here if there are none yet."
    )?;
    for network in scope.v4.iter().flat_map(|v4| &v4.networks) {
        let mask = network.netmask();
        writeln!(
            out,
            "# {network}\n#dhcp-range=set:{tag},FIRST,LAST,{mask},12h"
        )?;
    }
    for network in scope.v6.iter().flat_map(|v6| &v6.networks) {
        let prefix = network.prefix_len().max(SHORTEST_V6_RANGE);
        writeln!(
            out,
            "# {network}\n#dhcp-range=set:{tag},FIRST,LAST,{prefix},12h"
        )?;
    }
    if let Some(v4) = &scope.v4 {
        let servers = joined(&v4.servers, ",");
        writeln!(
            out,
            "dhcp-option=tag:{tag},{TFTP_SERVER_ADDRESSES},{servers}"
        )?;
        // Without quotes, dnsmasq would send an address as four bytes.
        let first = v4.servers[0];
        writeln!(out, "dhcp-option=tag:{tag},option:tftp-server,\"{first}\"")?;
        if !scope.ntp.is_empty() {
            let ntp = joined(&scope.ntp, ",");
            writeln!(out, "dhcp-option=tag:{tag},option:ntp-server,{ntp}")?;
        }
    }
    if let Some(v6) = &scope.v6 {
        let servers: Vec<_> = v6
            .servers
            .iter()
            .map(|server| format!("[{server}]"))
            .collect();
        let servers = joined(&servers, ",");
        writeln!(
            out,
            "dhcp-option=tag:{tag},vi-encap:{CISCO},option6:{CISCO_TFTP_SERVERS},{servers}"
        )?;
    }
    Ok(())
}
