//! The settings as those see them who run: each section by itself.

use super::{Config, Shown};
use crate::access::Access;
use crate::content::upstream;
use crate::live::Live;
use crate::ops::web;
use crate::register::{bans, pacer, sccp, sip, storm};
use crate::{content, http, inventory, journal, provisioning, tftp};

/// The settings in force. Keys that need a restart have the values of the start in them.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    pub access: Live<Access>,
    pub tftp: Live<tftp::Settings>,
    pub budget: Live<tftp::BudgetSettings>,
    pub http: Live<http::Settings>,
    pub content: Live<content::Settings>,
    pub upstream: Live<upstream::Settings>,
    pub inventory: Live<inventory::Settings>,
    pub provisioning: Live<provisioning::Settings>,
    pub journal: Live<journal::Settings>,
    pub export_allow: Live<Access>,
    pub orders: Live<pacer::Settings>,
    pub sccp: Live<sccp::Settings>,
    pub sip: Live<sip::Settings>,
    pub storm: Live<storm::Settings>,
    pub bans: Live<bans::Settings>,
    pub web: Live<web::Settings>,
    pub shown: Live<Shown>,
}

impl From<&Config> for LiveConfig {
    fn from(config: &Config) -> Self {
        let register = &config.register;
        Self {
            access: Live::from(&config.access.allow),
            tftp: Live::from(&config.tftp),
            budget: Live::from(&config.tftp.budget),
            http: Live::from(&config.http),
            content: Live::from(&config.content),
            upstream: Live::from(&config.upstream),
            inventory: Live::from(&config.inventory),
            provisioning: Live::from(&config.provisioning),
            journal: Live::from(&config.journal),
            export_allow: Live::from(&register.export_allow),
            orders: Live::from(&register.orders),
            sccp: Live::from(&register.sccp),
            sip: Live::from(&register.sip),
            storm: Live::from(&register.storm),
            bans: Live::from(&register.bans),
            web: Live::from(&config.web),
            shown: Live::from(&*config.shown),
        }
    }
}

impl LiveConfig {
    /// From now on these hold.
    pub fn set(&self, config: Config) {
        let register = config.register;
        self.access.set(config.access.allow);
        self.budget.set(config.tftp.budget.clone());
        self.tftp.set(config.tftp);
        self.http.set(config.http);
        self.content.set(config.content);
        self.upstream.set(config.upstream);
        self.inventory.set(config.inventory);
        self.provisioning.set(config.provisioning);
        self.journal.set(config.journal);
        self.export_allow.set(register.export_allow);
        self.orders.set(register.orders);
        self.sccp.set(register.sccp);
        self.sip.set(register.sip);
        self.storm.set(register.storm);
        self.bans.set(register.bans);
        self.web.set(config.web);
        self.shown.set(Shown::clone(&config.shown));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_section_is_set() {
        let text = "access.allow = [\"10.9.0.0/16\"]\n\
                    tftp = { windowsize = 2, budget.first_burst = 3 }\n\
                    http.max_connections = 4\n\
                    content.memory_limit = 5\n\
                    upstream.lifetime_s = 6\n\
                    inventory.defaults.ssh_user = \"seven\"\n\
                    provisioning.window_minutes = 8\n\
                    journal.boots = 9\n\
                    web.names = [\"ten\"]\n\
                    [register]\n\
                    export_allow = [\"10.11.0.0/16\"]\n\
                    orders.per_second = 12\n\
                    sccp.hold_s = 13\n\
                    sip.trying = true\n\
                    storm.grace_s = 15\n\
                    bans.guesses = 16\n";
        let config = Config::parse(Path::new("edge.toml"), text).unwrap();
        let shown = Shown {
            file: "seventeen".into(),
            ..Shown::default()
        };
        let config = Config {
            shown: Arc::new(shown),
            ..config
        };
        let live = LiveConfig::from(&Config::default());
        let before = format!("{live:?}");
        live.set(config.clone());
        let wanted = format!("{:?}", LiveConfig::from(&config));
        assert_eq!(format!("{live:?}"), wanted);
        let fields = |text: &str| text.matches(": ").count();
        assert!(fields(&before) > 17 && before != wanted);
    }
}
