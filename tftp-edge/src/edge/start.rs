//! Starting the parts, in the order in which they need each other.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Runtime;
use tokio::time::MissedTickBehavior;

use super::probes::Probes;
use super::reload::{Refused, Reloader};
use super::{Parts, StartError};
use crate::alarms::Alarms;
use crate::audit::{self, Auditor};
use crate::config::{Config, LiveConfig};
use crate::content::{Library, Listener, upstream};
use crate::http::Scheme;
use crate::inventory::Inventory;
use crate::journal::diagnosis::{Examiner, FromCatalog, Reviewer, Surroundings};
use crate::journal::{self, Board, Journal, unix_ms};
use crate::kernel::{self, Kernel};
use crate::live::Take;
use crate::misses::Misses;
use crate::ops::control::{self, Claim};
use crate::ops::http as metrics;
use crate::ops::log::{self, Log};
use crate::ops::web;
use crate::register::bans::Bans;
use crate::register::export::Export;
use crate::register::front::{Front, Totals};
use crate::register::newcomers::Newcomers;
use crate::register::pacer::Orders;
use crate::register::storm::Storm;
use crate::register::{self, Behind, Desk, Directory, Keeper, Registrars, Table};
use crate::resources::Resources;
use crate::service::Service;
use crate::stats::Counters;
use crate::trace::Tracer;
use crate::{http, tftp};

/// Starts every part, each after what it needs: content before the sockets that serve it, and last
/// who tells about them. When one fails, those before it are stopped.
pub(super) fn start(
    config: &Config,
    log: &Log,
    runtime: &Runtime,
    attendant: &Service,
) -> Result<(Parts, Arc<Reloader>), StartError> {
    let mut parts = Parts::default();
    let live = LiveConfig::from(config);
    // First: a second daemon is refused before it touches an interface or a port.
    let claim = Claim::take(&config.control.socket)?;
    if let Some(server) = config.upstream.ourselves(&listeners(config)) {
        return Err(StartError::UpstreamIsSelf(server));
    }
    let pins = kernel::Claim::take(&config.kernel)?;
    let started = Instant::now();

    // Before whoever sees phones, and stopped after them: so the file has the last state.
    let alarms = Arc::new(Alarms::default());
    let reloader = Reloader::new(config, live.clone(), Arc::clone(&alarms));
    let reloader = Arc::new(reloader);
    let logging = log.clone();
    reloader.on(move |config| {
        let prepared = logging.prepare(&config.log);
        prepared.map_err(|error| Refused::new(error.key(), &error))
    });
    let directory = Arc::new(Directory::default());
    let journal = Arc::new(journal(&live, &directory));
    let store = journal::Store::start(
        config.journal.database_beside(&config.inventory.database),
        live.journal.clone(),
        Arc::clone(&journal),
        Arc::clone(&alarms),
    );
    let store = Arc::new(store.map_err(StartError::Journal)?);
    let saving = Arc::downgrade(&store);
    parts.push("journal", store);

    // The kernel program passes every packet until the content is complete.
    let kernel = Arc::new(Kernel::start_with(
        &config.kernel,
        &config.tftp,
        &config.access.allow,
        &config.register,
        Arc::clone(&journal),
        pins,
    ));
    let attached = Arc::clone(&kernel);
    parts.push_with("kernel", move || attached.shutdown());
    let kept = Arc::clone(&kernel);
    parts.on_keep(move |is_kept| kept.keep(is_kept));
    let followed = Arc::clone(&kernel);
    reloader.on(move |config| follow_kernel(&followed, config));
    if let Some(problem) = kernel.snapshot().problem {
        tracing::warn!(
            event = "kernel.off",
            problem,
            "no kernel path: sockets alone"
        );
    }

    if !config.upstream.servers.is_empty() {
        kernel.expect_other_names();
    }

    let auditor = Auditor::start(Arc::clone(&alarms), audit::elsewhere(live.upstream.clone()))
        .map(Arc::new)
        .map_err(StartError::Audit)?;
    let audited = Arc::clone(&auditor);
    parts.push_with("audit", move || audited.shutdown());
    let followed = Arc::downgrade(&auditor);
    reloader.on(move |_| {
        let auditor = followed.clone();
        Ok(Box::new(move || {
            if let Some(auditor) = auditor.upgrade() {
                auditor.follow_settings();
            }
            Vec::new()
        }))
    });

    let inventory = Inventory::serve(live.inventory.clone(), Arc::clone(&alarms));
    let guard = kernel.guard();
    let table = Table::new(
        config.register.max_registrations,
        Arc::clone(&guard),
        Arc::clone(&alarms),
    );
    let table = Arc::new(table.telling(Arc::clone(&journal)));
    let located = Arc::clone(&table);
    let locate = Box::new(move |device: &_| located.get(device).map(|it| it.source.ip()));
    let keeper =
        log::Keeper::start(log.clone(), Arc::clone(&alarms), locate).map_err(StartError::Log)?;
    parts.push("log", keeper);
    let orders = Orders::new(
        live.orders.clone(),
        Arc::clone(&table),
        Arc::clone(&directory),
    );
    let orders = Arc::new(orders.telling(Arc::clone(&journal)));
    // Orders last: a phone is told to come for what is everywhere already.
    let mut listeners: Vec<Arc<dyn Listener>> = vec![
        Arc::clone(&kernel) as _,
        Arc::clone(&auditor) as _,
        Arc::clone(&directory) as _,
    ];
    if config.register.mode == register::Mode::Registrar {
        listeners.push(Arc::clone(&orders) as _);
    }
    let library = Library::start(
        live.content.clone(),
        live.upstream.clone(),
        inventory,
        live.provisioning.clone(),
        Arc::clone(&alarms),
        listeners,
    )?;
    let watched = Arc::clone(&library);
    parts.push_with("content", move || watched.shutdown());
    let followed = Arc::downgrade(&library);
    reloader.on(move |_| {
        let library = followed.clone();
        Ok(Box::new(move || {
            if let Some(library) = library.upgrade() {
                library.follow_settings();
            }
            Vec::new()
        }))
    });

    let newcomers = match config.register.mode {
        register::Mode::Registrar => {
            let inventory = Inventory::follow(live.inventory.clone());
            let windows = live.provisioning.clone();
            Newcomers::start(Arc::clone(&directory), inventory, windows)
                .map_err(StartError::Newcomers)?
        }
        register::Mode::Off | register::Mode::Front => Newcomers::default(),
    };
    let desk = Arc::new(Desk {
        access: live.access.clone(),
        alarms: Arc::clone(&alarms),
        bans: Arc::new(bans(&live, &directory, &table)),
        directory: Arc::clone(&directory),
        guard,
        journal: Arc::clone(&journal),
        newcomers: Arc::new(newcomers),
        storm: Arc::new(Storm::new(live.storm.clone())),
        table: Arc::clone(&table),
    });
    let counters = Arc::new(Counters::default());
    let misses = Arc::new(Misses::new(live.budget.clone(), kernel.ledger()));
    let reviewed = runtime.spawn(review(Arc::clone(&misses), Arc::clone(&alarms)));
    let reviewing = reviewed.abort_handle();
    parts.push_with("misses", move || reviewed.abort());
    let server = Arc::new(tftp::Server::start(
        live.tftp.clone(),
        live.access.clone(),
        Arc::clone(&library) as Arc<_>,
        Arc::clone(&counters),
        Arc::new(tftp::sources::Sources::new(live.budget.clone())),
        Arc::clone(&misses),
        Arc::clone(&journal),
    )?);
    tracing::info!(event = "tftp.listening", addresses = ?server.local_addrs(), "TFTP");
    let listening = Arc::downgrade(&server);
    let proofs = server.sources();
    parts.push("tftp", server);

    let mut answering = Weak::new();
    if config.http.enabled {
        let shared = http::Parts {
            access: live.access.clone(),
            catalog: Arc::clone(&library) as Arc<_>,
            sources: proofs,
            misses,
            alarms: Arc::clone(&alarms),
            journal: Arc::clone(&journal),
            dscp: config.tftp.dscp,
        };
        let server = Arc::new(http::Server::start(live.http.clone(), shared)?);
        tracing::info!(
            event = "http.listening", addresses = ?server.local_addrs(Scheme::Http),
            tls_addresses = ?server.local_addrs(Scheme::Https),
            "HTTP"
        );
        answering = Arc::downgrade(&server);
        let followed = answering.clone();
        reloader.on(move |config| {
            let server = followed.upgrade();
            let prepared = server.map(|it| it.prepare(&config.http)).transpose();
            let prepared = prepared.map_err(|error| Refused::new(error.key(), &error));
            Ok(prepared?.unwrap_or_else(nothing))
        });
        parts.push("http", server);
    }

    let database = config.register.database_beside(&config.inventory.database);
    let keeper = Keeper::start(&config.register, Some(database), &desk)
        .map(Arc::new)
        .map_err(register::StartError::Threads)?;
    let keeping = Arc::downgrade(&keeper);
    parts.push("registrations", keeper);
    let behind = (config.register.mode == register::Mode::Front).then(|| {
        let front = Front::new(&config.register, Instant::now());
        let front = front.following(live.storm.clone());
        let front = Arc::new(front.telling(Arc::clone(&journal)));
        kernel.watch(Arc::clone(&front) as _);
        let counted = Arc::clone(&kernel);
        Behind {
            front,
            totals: Box::new(move || Totals::of(&counted.registrations())),
        }
    });
    let (storm, shut_out) = (Arc::clone(&desk.storm), Arc::clone(&desk.bans));
    let registrars = Arc::new(Registrars::start(
        &config.register,
        (live.sccp.clone(), live.sip.clone()),
        desk,
        behind,
    )?);
    let registering = Arc::downgrade(&registrars);
    parts.push("register", Arc::clone(&registrars));
    let followed = registering.clone();
    reloader.on(move |config| {
        let registrars = followed.upgrade();
        let prepared = registrars
            .map(|it| it.prepare(&config.register))
            .transpose();
        let prepared = prepared.map_err(|error| Refused::new(error.key(), &error));
        Ok(prepared?.unwrap_or_else(nothing))
    });
    let ordering = orders
        .start(registrars)
        .map(Arc::new)
        .map_err(register::StartError::Threads)?;
    let sending = Arc::downgrade(&ordering);
    parts.push("orders", ordering);
    let (registered, heard) = (Arc::clone(&table), Arc::clone(&journal));
    let addresses = move |device: &_| {
        let registered = registered.get(device).map(|it| it.source.ip());
        let heard = heard.with(device, |phone| phone.source.ip());
        registered.into_iter().chain(heard).collect()
    };
    let tracer = Arc::new(Tracer::new(Arc::clone(&kernel), Arc::new(addresses)));
    let tracing = Arc::clone(&tracer);
    parts.push_with("traces", move || tracing.stop());
    let inventoried = Arc::clone(&directory);
    let audited = Arc::clone(&auditor);
    let examiner = Examiner::new(Surroundings {
        served: Arc::new(FromCatalog {
            catalog: Arc::clone(&library) as Arc<_>,
            has_upstream: !config.upstream.servers.is_empty(),
        }),
        alarms: Arc::clone(&alarms),
        storm,
        mode: config.register.mode,
        provisioning: live.provisioning.clone(),
        journal: live.journal.clone(),
        started_ms: unix_ms(SystemTime::now()),
    });
    let board = Board::new(journal, Arc::clone(&directory), Arc::clone(&table));
    let board = Arc::new(board.examined_by(examiner));
    let reviewer = Reviewer::start(Arc::clone(&board))
        .map(Arc::new)
        .map_err(StartError::Diagnosis)?;
    let looking = Arc::downgrade(&reviewer);
    parts.push("diagnosis", reviewer);
    let export = Arc::new(Export::new(table, directory, live.export_allow.clone()));

    let sources = Arc::new(
        Probes {
            started,
            counters,
            kernel,
            tftp: listening,
            http: answering,
            library,
            auditor,
            misses: reviewing,
            keeper: keeping,
            ordering: sending,
            reviewer: looking,
            journal: saving,
            registrars: registering,
            export,
            orders,
            bans: shut_out,
            board,
            tracer,
            alarms,
            log: log.clone(),
            reloader: Arc::clone(&reloader),
        }
        .into_sources(),
    );

    if config.metrics.enabled {
        let server = runtime.block_on(metrics::Server::start(
            config.metrics.address,
            Arc::clone(&sources),
        ))?;
        tracing::info!(event = "metrics.listening", address = %server.address(), "metrics");
        parts.push("metrics", server);
    }
    if config.web.enabled {
        let shown = web::Parts {
            sources: Arc::clone(&sources),
            directory: inventoried,
            firmware: Arc::new(move || audited.report()),
        };
        let server = Arc::new(runtime.block_on(web::Server::start(live, shown))?);
        tracing::info!(event = "web.listening", address = %server.address(), "web page");
        let followed = Arc::downgrade(&server);
        reloader.on(move |config| {
            let server = followed.upgrade();
            let prepared = server.map(|it| it.prepare(&config.web)).transpose();
            let prepared = prepared.map_err(|error| Refused::new("web.password_file", &error));
            Ok(prepared?.unwrap_or_else(nothing))
        });
        parts.push("web", server);
    }
    let control = {
        let _context = runtime.enter();
        control::Server::start(claim, Arc::clone(&sources)).map_err(StartError::Control)?
    };
    parts.push("control", control);
    parts.push("service", attendant.watch(sources));
    // The first to stop: no part is given settings that is about to end.
    let closing = Arc::clone(&reloader);
    parts.push_with("reloads", move || closing.close());
    Ok((parts, reloader))
}

/// Of a part that has stopped.
fn nothing() -> Take {
    Box::new(Vec::new)
}

fn follow_kernel(kernel: &Arc<Kernel>, config: &Config) -> Result<Take, Refused> {
    kernel
        .has_room_for(&config.access.allow)
        .map_err(|problem| Refused::new("access.allow", &problem))?;
    let (access, tftp) = (config.access.allow.clone(), config.tftp.clone());
    let kernel = Arc::clone(kernel);
    Ok(Box::new(move || {
        kernel.follow(&tftp);
        kernel.climb_again();
        let Err(error) = kernel.allow(&access) else {
            return Vec::new();
        };
        tracing::error!(event = "kernel.clients_unwritten", %error, "the kernel's list of networks is as it was");
        vec![format!(
            "access.allow: {error}: the kernel path answers the networks it answered before; restart"
        )]
    }))
}

/// A device is known if the inventory has it.
fn journal(live: &LiveConfig, directory: &Arc<Directory>) -> Journal {
    let directory = Arc::clone(directory);
    let is_known = move |name: &_| directory.device(name).is_some();
    Journal::new(live.journal.clone(), Box::new(is_known))
}

/// A source of a site, or one that phones are registered from, is told of and not shut out.
fn bans(live: &LiveConfig, directory: &Arc<Directory>, table: &Arc<Table>) -> Bans {
    let (directory, table) = (Arc::clone(directory), Arc::clone(table));
    let trust = move |source| {
        let known = directory.snapshot();
        known.is_some_and(|it| it.subnets().hold(source)) || table.count_from(source) > 0
    };
    Bans::new(live.bans.clone(), Box::new(trust))
}

/// Where other edges could ask us.
fn listeners(config: &Config) -> Vec<(upstream::Protocol, SocketAddr)> {
    let tftp = config.tftp.listen.iter();
    let http = config.http.listen.iter().filter(|_| config.http.enabled);
    let tftp = tftp.map(|&address| (upstream::Protocol::Tftp, address));
    let http = http.map(|&address| (upstream::Protocol::Http, address));
    tftp.chain(http).collect()
}

/// Keeps the alarms for scans and for what the system grants as they are.
async fn review(misses: Arc<Misses>, alarms: Arc<Alarms>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut resources = Resources::default();
    loop {
        seconds.tick().await;
        misses.review(&alarms, Instant::now());
        resources.review(&alarms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_edges_can_ask_where_something_listens() {
        let mut config = Config::default();
        config.tftp.listen = vec![([0, 0, 0, 0], 6999).into()];
        config.http.listen = vec![([0, 0, 0, 0], 6998).into()];
        assert_eq!(listeners(&config).len(), 2);
        config.http.enabled = false;
        assert_eq!(listeners(&config).len(), 1);
    }
}
