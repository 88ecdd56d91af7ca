//! What a registered phone asks for, and what it is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::life::Registered;
use super::profile::Profile;
use super::{Turn, clock, soft_keys};
use crate::register::sccp::wire::{
    ButtonTemplate, ConfigStat, Dialect, ForwardStat, Request, SERVERS, SelectSoftKeys, ServerRes,
    SoftKeySetRes, SoftKeyTemplateRes, StationServer, VersionRes,
};

impl Registered {
    pub(super) fn answer(&mut self, request: &Request<'_>, local: SocketAddr, turn: &mut Turn<'_>) {
        match request {
            Request::Capabilities(_) | Request::UpdateCapabilities => self.told_capabilities(),
            // Phones of the SPA series do not ask for the time.
            Request::AvailableLines(_) if self.is_spcp => self.complete(turn),
            Request::AvailableLines(_) => {}
            Request::SoftKeyTemplate => {
                let keys = soft_keys::template();
                turn.send(&SoftKeyTemplateRes { keys: &keys }, self.dialect);
            }
            Request::ForwardStat(line) => {
                turn.send(&ForwardStat { line: *line }, self.dialect);
            }
            request => {
                let profile = match self.profile.take() {
                    Some(profile) => Some(profile),
                    // It asks again after its registration.
                    None => self.look_up(turn),
                };
                // The inventory has lost it: the next keepalive ends it.
                let Some(profile) = profile else { return };
                self.show(request, &profile, local, turn);
                if !self.is_complete() {
                    self.profile = Some(profile);
                }
            }
        }
    }

    fn look_up(&self, turn: &Turn<'_>) -> Option<Box<Profile>> {
        let snapshot = turn.registrar.desk.directory.snapshot()?;
        let device = snapshot.devices.get(&self.device)?.clone();
        let settings = snapshot.settings(&device).ok()?;
        let profile = Profile::new(device, settings, &snapshot, self.dialect);
        Some(Box::new(profile))
    }

    fn show(
        &mut self,
        request: &Request<'_>,
        profile: &Profile,
        local: SocketAddr,
        turn: &mut Turn<'_>,
    ) {
        let dialect = self.dialect;
        match request {
            Request::ButtonTemplate => {
                let buttons = &profile.buttons;
                turn.send(&ButtonTemplate { buttons }, dialect);
            }
            Request::SoftKeySet => send_soft_keys(profile, dialect, turn),
            Request::ConfigStat => {
                let server = local.ip().to_string();
                let config = ConfigStat {
                    device: profile.device.name.as_str(),
                    user: &profile.device.owner,
                    server: &server,
                    lines: profile.line_count(),
                    speed_dials: profile.speed_dial_count(),
                };
                turn.send(&config, dialect);
            }
            Request::LineStat(line) => turn.send(&profile.line(*line), dialect),
            Request::SpeedDialStat(dial) => turn.send(&profile.speed_dial(*dial), dialect),
            Request::FeatureStat(feature) => turn.send(&profile.feature(feature.index), dialect),
            Request::ServiceUrlStat(index) => turn.send(&profile.service(*index), dialect),
            Request::Version => {
                // Without one in the inventory, what it runs is right.
                let load = profile.load.as_deref().or(self.load.as_deref());
                let load = load.unwrap_or_default();
                turn.send(&VersionRes { load }, dialect);
            }
            Request::Server => send_servers(profile, local, dialect, turn),
            Request::TimeDate => {
                let zone = &profile.settings.phone.time_zone;
                turn.send(&clock::local(zone, turn.now.wall), dialect);
                self.complete(turn);
            }
            // Every other request was answered before.
            _ => {}
        }
    }
}

/// The sets, and which of them holds now: the phone would show none.
fn send_soft_keys(profile: &Profile, dialect: Dialect, turn: &mut Turn<'_>) {
    let sets = soft_keys::sets(&profile.soft_keys());
    turn.send(&SoftKeySetRes { sets: &sets }, dialect);
    let select = SelectSoftKeys {
        line: 0,
        call_reference: 0,
        set: soft_keys::ON_HOOK,
        valid: soft_keys::valid(&sets[soft_keys::ON_HOOK as usize]),
    };
    turn.send(&select, dialect);
}

/// The servers of its settings; this one if they name none.
fn send_servers(profile: &Profile, local: SocketAddr, dialect: Dialect, turn: &mut Turn<'_>) {
    let own = local.ip().to_string();
    let named = profile.settings.phone.servers.iter().take(SERVERS);
    let mut servers: Vec<_> = named
        .map(|server| StationServer {
            name: &server.host,
            port: server.sccp_port,
            // Names are the phone's to look up.
            address: server
                .host
                .parse()
                .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        })
        .collect();
    if servers.is_empty() {
        servers.push(StationServer {
            name: &own,
            port: local.port(),
            address: local.ip(),
        });
    }
    turn.send(&ServerRes { servers: &servers }, dialect);
}
