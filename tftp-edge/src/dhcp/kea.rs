//! Kea: a file for each family, in JSON with the comments that Kea allows.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};

use serde_json::Value;

use super::{CISCO, CISCO_TFTP_SERVERS, Scope, TFTP_SERVER_ADDRESSES, joined};

/// What the files of both families say of themselves.
const MERGE: &str = "\
// A server reads one file: move \"option-def\" and \"option-data\" into yours, to the subnets that are
// there already; ids must differ from those of all others. Or start from this file, and give each
// subnet its pool.
";

/// A subnet, and its options as pairs of name and data.
struct Subnet {
    site: String,
    network: String,
    prefix_len: u8,
    option_data: Vec<String>,
}

pub(super) fn write_v4(scopes: &[Scope], out: &mut String) -> fmt::Result {
    write!(
        out,
        "// Where IP phones find their TFTP server, for kea-dhcp4.\n\
         // From the inventory of tftp-edge: tftp-edge dhcp --format kea\n\
         {MERGE}\
         {{\n  \"Dhcp4\": {{\n    \"option-def\": [\n      \
         {{ \"name\": \"cisco-tftp-servers\", \"code\": {TFTP_SERVER_ADDRESSES}, \"space\": \"dhcp4\", \
         \"type\": \"ipv4-address\", \"array\": true }}\n    ],\n"
    )?;
    let mut subnets = Vec::new();
    for (scope, v4) in scopes
        .iter()
        .filter_map(|scope| Some((scope, scope.v4.as_ref()?)))
    {
        let named =
            |name, data: String| format!("{{ \"name\": \"{name}\", \"data\": \"{data}\" }}");
        let mut option_data = vec![
            named("cisco-tftp-servers", joined(&v4.servers, ", ")),
            named("tftp-server-name", v4.servers[0].to_string()),
        ];
        if !scope.ntp.is_empty() {
            option_data.push(named("ntp-servers", joined(&scope.ntp, ", ")));
        }
        subnets.extend(v4.networks.iter().map(|network| Subnet {
            site: scope.site.clone(),
            network: network.to_string(),
            prefix_len: network.prefix_len(),
            option_data: option_data.clone(),
        }));
    }
    write_subnets("subnet4", subnets, out)
}

pub(super) fn write_v6(scopes: &[Scope], out: &mut String) -> fmt::Result {
    write!(
        out,
        "// Where IP phones find their TFTP server over IPv6, for kea-dhcp6.\n\
         // From the inventory of tftp-edge: tftp-edge dhcp --format kea --ipv6\n\
         {MERGE}\
         {{\n  \"Dhcp6\": {{\n    \"option-def\": [\n      \
         {{ \"name\": \"tftp-servers\", \"code\": {CISCO_TFTP_SERVERS}, \"space\": \"vendor-{CISCO}\", \
         \"type\": \"ipv6-address\", \"array\": true }}\n    ],\n"
    )?;
    let mut subnets = Vec::new();
    for (scope, v6) in scopes
        .iter()
        .filter_map(|scope| Some((scope, scope.v6.as_ref()?)))
    {
        let servers = joined(&v6.servers, ", ");
        let option_data = vec![
            format!("{{ \"name\": \"vendor-opts\", \"data\": \"{CISCO}\" }}"),
            // Or Kea sends it to no phone that asks for option 17 without naming a vendor.
            format!(
                "{{ \"name\": \"tftp-servers\", \"space\": \"vendor-{CISCO}\", \
                 \"data\": \"{servers}\", \"always-send\": true }}"
            ),
        ];
        subnets.extend(v6.networks.iter().map(|network| Subnet {
            site: scope.site.clone(),
            network: network.to_string(),
            prefix_len: network.prefix_len(),
            option_data: option_data.clone(),
        }));
    }
    write_subnets("subnet6", subnets, out)
}

fn write_subnets(key: &str, mut subnets: Vec<Subnet>, out: &mut String) -> fmt::Result {
    // Kea takes the first that holds an address: a network within another comes before it.
    subnets.sort_by_key(|subnet| Reverse(subnet.prefix_len));
    writeln!(out, "    \"{key}\": [")?;
    let last = subnets.len();
    for (id, subnet) in (1..).zip(&subnets) {
        let Subnet { network, .. } = subnet;
        let site = Value::from(subnet.site.as_str());
        let options = subnet.option_data.join(",\n          ");
        let comma = if id == last { "" } else { "," };
        write!(
            out,
            "      {{\n        \
             \"id\": {id},\n        \
             \"subnet\": \"{network}\",\n        \
             \"user-context\": {{ \"site\": {site} }},\n        \
             //\"pools\": [ {{ \"pool\": \"FIRST - LAST\" }} ],\n        \
             \"option-data\": [\n          {options}\n        ]\n      }}{comma}\n"
        )?;
    }
    out.push_str("    ]\n  }\n}\n");
    Ok(())
}
