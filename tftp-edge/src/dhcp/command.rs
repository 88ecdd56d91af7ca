//! `tftp-edge dhcp …` and `tftp-edge lldp …`.

use std::fmt;
use std::io::{self, Write};

use clap::{Args, ValueEnum};

use super::scope::site_names;
use super::{Gap, NoSuchSite, Scope, collect, dnsmasq, isc, kea, lldpd, one_line};
use crate::inventory::{Inventory, Settings, Snapshot, StoreError};

/// The longest name of an interface, IFNAMSIZ without its zero.
const MAX_INTERFACE: usize = 15;

#[derive(Debug, Args)]
pub struct DhcpArgs {
    /// The DHCP server that is to read it
    #[arg(long, value_enum)]
    pub format: Format,
    /// The configuration of the DHCPv6 server; dnsmasq has both in one
    #[arg(long)]
    pub ipv6: bool,
    /// This site alone
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Dnsmasq,
    Kea,
    /// ISC dhcpd
    Isc,
}

#[derive(Debug, Args)]
pub struct LldpArgs {
    /// The site whose phones are plugged in here; needed if several have a voice VLAN
    #[arg(long, value_name = "NAME")]
    pub site: Option<String>,
    /// The interfaces phones are plugged into; all of them if none is named
    #[arg(long, value_name = "IF", value_delimiter = ',', value_parser = interface)]
    pub ports: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoSuchSite(#[from] NoSuchSite),
    #[error("nothing is printed: no site has {0} networks and the addresses of TFTP servers")]
    Nothing(&'static str),
    #[error(
        "nothing is printed: no site has a voice VLAN; set it with `tftp-edge inventory site set \
         SITE voice_vlan=1…4094`"
    )]
    NoVlan,
    #[error("several sites have a voice VLAN; choose one with --site: {}", .0.join(", "))]
    ManyVlans(Vec<String>),
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// Neither lldpd's grammar nor the kernel allows more.
fn interface(name: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | ':');
    match (1..=MAX_INTERFACE).contains(&name.len()) && name.chars().all(known) {
        true => Ok(name.to_owned()),
        false => Err("expected the name of an interface, such as eth0".into()),
    }
}

/// What is missing, a line each.
fn tell(gaps: &[Gap], err: &mut dyn Write) -> io::Result<()> {
    gaps.iter()
        .try_for_each(|gap| writeln!(err, "tftp-edge: {gap}"))
}

impl DhcpArgs {
    /// Writes the configuration to `out`, and to `err`, line by line, what is missing in it.
    pub fn run(
        &self,
        settings: &Settings,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), DhcpError> {
        let snapshot = Inventory::open(settings)?.snapshot()?;
        let (text, gaps) = self.text(&snapshot)?;
        tell(&gaps, err)?;
        let text = text.ok_or(DhcpError::Nothing(match (self.format, self.ipv6) {
            (Format::Dnsmasq, _) => "IPv4 or IPv6",
            (_, false) => "IPv4",
            (_, true) => "IPv6",
        }))?;
        Ok(out.write_all(text.as_bytes())?)
    }

    /// Nothing if no site can be told.
    pub(super) fn text(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(Option<String>, Vec<Gap>), NoSuchSite> {
        let (mut scopes, mut gaps) = collect(snapshot, self.site.as_deref())?;
        let write: fn(&[Scope], &mut String) -> fmt::Result = match (self.format, self.ipv6) {
            (Format::Dnsmasq, _) => dnsmasq::write,
            (Format::Kea, false) => kea::write_v4,
            (Format::Kea, true) => kea::write_v6,
            (Format::Isc, false) => isc::write_v4,
            (Format::Isc, true) => isc::write_v6,
        };
        if self.format != Format::Dnsmasq {
            if !self.ipv6 {
                let with_v6 = scopes.iter().filter(|scope| scope.v6.is_some());
                gaps.extend(with_v6.map(|scope| Gap::AlsoIpv6 {
                    site: scope.site.clone(),
                }));
            }
            scopes.retain(|scope| match self.ipv6 {
                false => scope.v4.is_some(),
                true => scope.v6.is_some(),
            });
        }
        if scopes.is_empty() {
            return Ok((None, gaps));
        }
        let mut text = String::new();
        write(&scopes, &mut text).expect("writing to a string cannot fail");
        Ok((Some(text), gaps))
    }
}

impl LldpArgs {
    pub fn run(
        &self,
        settings: &Settings,
        out: &mut dyn Write,
        err: &mut dyn Write,
    ) -> Result<(), DhcpError> {
        let snapshot = Inventory::open(settings)?.snapshot()?;
        let (text, gaps) = self.text(&snapshot)?;
        tell(&gaps, err)?;
        Ok(out.write_all(text?.as_bytes())?)
    }

    /// One configuration speaks for one site: a port has one policy for each application.
    pub(super) fn text(
        &self,
        snapshot: &Snapshot,
    ) -> Result<(Result<String, DhcpError>, Vec<Gap>), NoSuchSite> {
        let names = site_names(snapshot, self.site.as_deref())?;
        let (mut tagged, mut gaps) = (Vec::new(), Vec::new());
        let wanted = |name: &&str| self.site.as_ref().is_none_or(|only| only == name);
        for name in names.into_iter().filter(wanted) {
            match snapshot.site(name) {
                Ok(site) => tagged.extend(site.voice_vlan.map(|vlan| (one_line(name), vlan))),
                Err(fault) => gaps.push(Gap::Fault {
                    site: one_line(name),
                    fault: fault.clone(),
                }),
            }
        }
        let text = match tagged.as_slice() {
            [] => Err(DhcpError::NoVlan),
            // Sites that inherit one VLAN agree on what their phones are told.
            [(first, vlan), others @ ..] if others.iter().all(|(_, other)| other == vlan) => {
                let mut text = String::new();
                let sites = match others {
                    [] => first.clone(),
                    _ => super::joined(
                        &tagged.iter().map(|(name, _)| name).collect::<Vec<_>>(),
                        ", ",
                    ),
                };
                lldpd::write(&sites, *vlan, &self.ports, &mut text)
                    .expect("writing to a string cannot fail");
                Ok(text)
            }
            _ => Err(DhcpError::ManyVlans(
                tagged
                    .iter()
                    .map(|(name, vlan)| format!("{name} ({vlan})"))
                    .collect(),
            )),
        };
        Ok((text, gaps))
    }
}
