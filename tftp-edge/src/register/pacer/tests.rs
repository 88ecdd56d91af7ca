mod queue;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tftp_ebpf::stage::Stage;

use super::orders::Orders;
use super::queue::Next;
use super::*;
use crate::content::{Change, Listener as _, State, Version};
use crate::inventory::{
    Contents, DeviceName, DialPlan, Protocol, Site, Snapshot as Inventory, parse_csv,
};
use crate::register::{
    ConnectionId, Departure, Directory, Dispatch, Edit, NotSent, Order, Registration, Table,
    Transport,
};

fn device(number: usize) -> DeviceName {
    format!("SEP{number:012X}").parse().unwrap()
}

/// Servers that write down what they were to send.
#[derive(Default)]
struct Servers {
    sent: Mutex<Vec<(DeviceName, Order)>>,
    refuse: Mutex<Option<NotSent>>,
}

impl Dispatch for Servers {
    fn order(&self, to: &Registration, order: Order) -> Result<(), NotSent> {
        if let Some(refused) = *self.refuse.lock() {
            return Err(refused);
        }
        self.sent.lock().push((to.device, order));
        Ok(())
    }
}

fn inventory(rows: &str, dial_plan: Option<&str>) -> Arc<Inventory> {
    let file = format!("name,model,protocol,lines,site\n{rows}");
    let mut contents = Contents {
        devices: parse_csv(file.as_bytes()).unwrap(),
        ..Contents::default()
    };
    if let Some(name) = dial_plan {
        let setting = [("dial_template".to_owned(), name.to_owned())].into();
        contents.sites.insert("berlin".to_owned(), setting);
        let plans = &mut contents.objects.dial_plans;
        plans.insert(name.to_owned(), DialPlan::default());
    }
    Arc::new(Inventory::new(contents, &Site::default()))
}

const ROWS: &str = "SEP000000000001,8851,sip,1001,berlin\n\
                    SEP000000000002,7961,sccp,1002,berlin\n\
                    SEP000000000003,7960,sccp,1003,munich\n\
                    SEP000000000004,8851,sip,1004,munich\n";

struct Edge {
    orders: Orders,
    servers: Servers,
    now: Instant,
}

impl Edge {
    /// Devices 1 to 3 are registered, since long ago.
    fn new() -> Self {
        let edge = Self {
            orders: Orders::new(Settings::default(), Arc::default(), Arc::default()),
            servers: Servers::default(),
            now: Instant::now(),
        };
        edge.update(ROWS);
        edge.orders.settled();
        let since = SystemTime::now() - Duration::from_secs(3_600);
        for (number, protocol, version) in [
            (1, Protocol::Sip, 0),
            (2, Protocol::Sccp, 17),
            (3, Protocol::Sccp, 11),
        ] {
            edge.register(number, protocol, version, since);
        }
        edge
    }

    fn table(&self) -> &Table {
        &self.orders.table
    }

    fn register(&self, number: usize, protocol: Protocol, version: u8, since: SystemTime) {
        let registration = Registration {
            device: device(number),
            protocol,
            transport: Transport::Tcp,
            source: ([10, 0, 0, 1], 50_000).into(),
            connection: Some(ConnectionId(1)),
            type_id: None,
            load: None,
            version,
            since,
            expires: since + Duration::from_secs(86_400),
            bindings: Vec::new(),
        };
        self.table()
            .edit(&device(number), |_| ((), Edit::Put(registration)));
    }

    fn update(&self, rows: &str) {
        let inventory = inventory(rows, Some("office"));
        self.orders.directory.update(Arc::clone(&inventory));
        self.orders.inventory_changed(&inventory);
    }

    fn publish(&self, names: &[&str]) {
        let change = |name: &&str| Change {
            name: (*name).into(),
            stage: Stage::of_name(name.as_bytes()),
            state: State::Published(Arc::new(Version {
                name: (*name).into(),
                stage: Stage::of_name(name.as_bytes()),
                generation: 1,
                published: SystemTime::now(),
                bytes: "content".into(),
            })),
        };
        let changes: Vec<_> = names.iter().map(change).collect();
        self.orders.changed(&changes);
        self.orders.settled();
    }

    /// All that goes out in the next minutes, by name.
    fn sent(&mut self) -> Vec<(DeviceName, Order)> {
        self.orders.follow(SystemTime::now());
        for _ in 0..1_000 {
            match self.orders.turn(&self.servers, self.now) {
                Next::At(at) => self.now = at,
                Next::Due(..) | Next::Nothing => break,
            }
        }
        let mut sent = std::mem::take(&mut *self.servers.sent.lock());
        sent.sort_unstable_by_key(|(device, _)| *device);
        sent
    }

    fn command(&self, phones: Which) -> Ordered {
        let command = Command {
            order: Order::Reset,
            phones,
            rate: None,
            ticket: None,
            dry_run: false,
        };
        self.orders.command(&command, SystemTime::now())
    }
}

const ALL: [&str; 4] = [
    "sep000000000001.cnf.xml",
    "sep000000000002.cnf.xml",
    "sep000000000003.cnf.xml",
    "sep000000000004.cnf.xml",
];

#[test]
fn a_changed_configuration_is_told_to_its_phone_in_the_way_it_knows() {
    let mut edge = Edge::new();
    edge.publish(&ALL);
    assert_eq!(
        edge.sent(),
        [
            (device(1), Order::ApplyConfig),
            (device(2), Order::ApplyConfig),
            (device(3), Order::Restart)
        ],
        "the fourth is not registered"
    );
    assert!(edge.sent().is_empty());
}

#[test]
fn the_first_publication_is_no_change() {
    let mut edge = Edge::new();
    edge.orders = Orders::new(
        Settings::default(),
        Arc::clone(&edge.orders.table),
        Arc::clone(&edge.orders.directory),
    );
    edge.publish(&ALL);
    assert!(edge.sent().is_empty());
    edge.publish(&ALL[..1]);
    assert_eq!(edge.sent(), [(device(1), Order::ApplyConfig)]);
}

#[test]
fn nothing_is_told_before_every_listener_has_the_change() {
    let mut edge = Edge::new();
    edge.publish(&[]);
    assert!(edge.sent().is_empty());
    let version = Change {
        name: ALL[0].into(),
        stage: Stage::Config,
        state: State::Published(Arc::new(Version {
            name: ALL[0].into(),
            stage: Stage::Config,
            generation: 2,
            published: SystemTime::now(),
            bytes: "new".into(),
        })),
    };
    edge.orders.changed(&[version]);
    assert!(edge.sent().is_empty(), "the kernel may have a batch to go");
    edge.orders.settled();
    assert_eq!(edge.sent().len(), 1);
}

#[test]
fn phones_can_be_left_alone_by_the_settings() {
    let mut edge = Edge::new();
    edge.orders.settings.set(Settings {
        on_change: false,
        ..Settings::default()
    });
    edge.publish(&ALL);
    assert!(edge.sent().is_empty());
}

#[test]
fn a_changed_dial_plan_is_told_to_those_who_use_it() {
    let mut edge = Edge::new();
    edge.publish(&["drother.xml"]);
    assert!(edge.sent().is_empty());
    edge.publish(&["droffice.xml"]);
    let told: Vec<_> = edge.sent().into_iter().map(|(device, _)| device).collect();
    assert_eq!(told, [device(1), device(2)], "those of the site");
}

#[test]
fn a_phone_that_leaves_the_inventory_is_reset_and_registered_no_more() {
    let mut edge = Edge::new();
    edge.update("SEP000000000001,8851,sip,1001,berlin\n");
    edge.publish(&[]);
    *edge.servers.refuse.lock() = None;
    assert_eq!(
        edge.sent(),
        [(device(2), Order::Reset), (device(3), Order::Reset)]
    );
    assert_eq!(edge.table().len(), 1);
    let counts = edge.table().counts();
    let why = Departure::ConfigurationMismatch;
    assert_eq!(counts.departures(Protocol::Sccp, why), 2);
}

#[test]
fn a_phone_that_cannot_be_told_leaves_with_the_inventory_all_the_same() {
    let mut edge = Edge::new();
    *edge.servers.refuse.lock() = Some(NotSent::NotConnected);
    edge.update("SEP000000000001,8851,sip,1001,berlin\n");
    edge.publish(&[]);
    assert!(edge.sent().is_empty());
    assert_eq!(edge.table().len(), 1);
    assert_eq!(edge.orders.snapshot().failed, 2);
}

#[test]
fn a_phone_that_comes_back_into_the_inventory_in_time_stays() {
    let mut edge = Edge::new();
    edge.update("SEP000000000001,8851,sip,1001,berlin\n");
    edge.publish(&[]);
    edge.orders.follow(SystemTime::now());
    edge.update(ROWS);
    assert!(edge.sent().is_empty());
    assert_eq!(edge.table().len(), 3);
}

#[test]
fn phones_are_ordered_by_name_by_site_and_all_of_them() {
    let mut edge = Edge::new();
    let ordered = edge.command(Which::Names(vec![device(1), device(4), device(9)]));
    assert_eq!((ordered.queued, ordered.not_registered), (1, 1));
    assert_eq!(ordered.unknown, [device(9)]);
    let ticket = ordered.ticket;
    assert_eq!(edge.orders.progress(ticket).left, 1);
    assert_eq!(edge.sent(), [(device(1), Order::Reset)]);
    assert_eq!(edge.orders.progress(ticket).left, 0);

    let ordered = edge.command(Which::Site("berlin".to_owned()));
    assert_eq!((ordered.queued, ordered.joined), (2, 0));
    assert_eq!(ordered.empty_site, None);
    let mistyped = edge.command(Which::Site("berln".to_owned()));
    assert_eq!(mistyped.queued, 0);
    assert_eq!(mistyped.empty_site.as_deref(), Some("berln"));
    let ordered = edge.command(Which::All);
    assert_eq!(
        (ordered.queued, ordered.joined, ordered.not_registered),
        (1, 2, 1)
    );
    assert_eq!(edge.sent().len(), 3);
    assert_eq!(edge.orders.snapshot().sent[Order::Reset as usize], 4);
}

#[test]
fn a_dry_run_tells_nobody() {
    let mut edge = Edge::new();
    let command = Command {
        order: Order::Reset,
        phones: Which::All,
        rate: Some(1),
        ticket: None,
        dry_run: true,
    };
    let ordered = edge.orders.command(&command, SystemTime::now());
    assert_eq!((ordered.queued, ordered.ticket), (3, None));
    assert!(edge.sent().is_empty());
}

#[test]
fn a_second_request_can_go_on_with_the_pace_of_the_first() {
    let edge = Edge::new();
    let command = |number, ticket| Command {
        order: Order::Restart,
        phones: Which::Names(vec![device(number)]),
        rate: Some(1),
        ticket,
        dry_run: false,
    };
    let now = SystemTime::now();
    let first = edge.orders.command(&command(1, None), now).ticket;
    let second = edge.orders.command(&command(2, first), now).ticket;
    assert_eq!(first, second);
    assert_eq!(edge.orders.progress(first).left, 2);
}

#[test]
fn who_has_booted_since_needs_no_order() {
    let mut edge = Edge::new();
    edge.command(Which::All);
    edge.publish(&ALL[..2]);
    edge.orders.follow(SystemTime::now());
    let later = |seconds| SystemTime::now() + Duration::from_secs(seconds);
    // Told by hand: any registration later than that is another boot.
    edge.register(3, Protocol::Sccp, 11, later(5));
    edge.table()
        .edit(&device(2), |_| ((), Edit::Remove(Departure::Connectivity)));
    assert_eq!(edge.sent(), [(device(1), Order::Reset)]);
    assert_eq!(edge.orders.snapshot().superseded, 2);

    // After a change it may have read the old configuration just before.
    edge.publish(&ALL[..1]);
    edge.orders.follow(SystemTime::now());
    edge.register(1, Protocol::Sip, 0, later(30));
    assert_eq!(edge.sent(), [(device(1), Order::ApplyConfig)]);
    edge.publish(&ALL[..1]);
    edge.orders.follow(SystemTime::now());
    edge.register(1, Protocol::Sip, 0, later(90));
    assert!(edge.sent().is_empty());
}

#[test]
fn a_phone_that_is_busy_or_away_is_tried_again_and_given_up_in_the_end() {
    for refused in [NotSent::Busy, NotSent::NotConnected] {
        let mut edge = Edge::new();
        *edge.servers.refuse.lock() = Some(refused);
        edge.command(Which::Names(vec![device(1)]));
        let Next::At(_) = edge.orders.turn(&edge.servers, edge.now) else {
            panic!("it is tried again");
        };
        *edge.servers.refuse.lock() = None;
        assert_eq!(edge.sent(), [(device(1), Order::Reset)]);

        *edge.servers.refuse.lock() = Some(refused);
        edge.command(Which::Names(vec![device(1)]));
        assert!(edge.sent().is_empty());
        let seen = edge.orders.snapshot();
        assert_eq!((seen.waiting, seen.failed), (0, 1));
    }
    let mut edge = Edge::new();
    *edge.servers.refuse.lock() = Some(NotSent::NoServer);
    edge.command(Which::All);
    assert!(edge.sent().is_empty());
    assert_eq!(edge.orders.snapshot().failed, 3, "there never will be one");
}

#[test]
fn the_thread_sends_what_is_ordered_while_it_runs() {
    let edge = Edge::new();
    let (sender, sent) = std::sync::mpsc::channel();
    struct Channel(Mutex<std::sync::mpsc::Sender<DeviceName>>);
    impl Dispatch for Channel {
        fn order(&self, to: &Registration, _order: Order) -> Result<(), NotSent> {
            let _ = self.0.lock().send(to.device);
            Ok(())
        }
    }
    let orders = Arc::new(edge.orders);
    let running = orders.start(Arc::new(Channel(Mutex::new(sender)))).unwrap();
    let command = Command {
        order: Order::Reset,
        phones: Which::All,
        rate: None,
        ticket: None,
        dry_run: false,
    };
    orders.command(&command, SystemTime::now());
    let mut told: Vec<_> = sent.iter().take(3).collect();
    told.sort_unstable();
    assert_eq!(told, [device(1), device(2), device(3)]);
    assert!(!running.has_ended());
}

#[test]
fn a_pace_of_nothing_is_refused() {
    assert!(Settings::default().validate().is_ok());
    for key in ["orders.per_second", "orders.site_per_second"] {
        let mut settings = Settings::default();
        match key {
            "orders.per_second" => settings.per_second = 0,
            _ => settings.site_per_second = 0,
        }
        assert_eq!(settings.validate().unwrap_err().0, key);
    }
}

#[test]
fn the_directory_a_phone_is_looked_up_in_is_the_one_it_was_told_of() {
    let orders = Orders::new(
        Settings::default(),
        Arc::default(),
        Arc::<Directory>::default(),
    );
    assert!(orders.directory.snapshot().is_none());
    orders.settled();
    orders.follow(SystemTime::now());
    assert_eq!(
        orders.snapshot().waiting,
        0,
        "without an inventory nobody is told"
    );
}

#[test]
fn the_pace_may_change_while_orders_wait() {
    let edge = Edge::new();
    let told_at_once = |per_second, site_per_second| {
        edge.orders.settings.set(Settings {
            per_second,
            site_per_second,
            ..Settings::default()
        });
        edge.publish(&ALL);
        edge.orders.follow(SystemTime::now());
        let next = edge.orders.turn(&edge.servers, edge.now);
        let told = std::mem::take(&mut *edge.servers.sent.lock()).len();
        let Next::At(at) = next else {
            panic!("all were told at once: {next:?}");
        };
        (told, at - edge.now)
    };
    assert_eq!(told_at_once(1, 100), (1, Duration::from_secs(1)));
    // One of each site, and the third phone a second after its neighbour.
    let edge = Edge::new();
    edge.orders.settings.set(Settings {
        per_second: 1_000,
        site_per_second: 1,
        ..Settings::default()
    });
    edge.publish(&ALL);
    edge.orders.follow(SystemTime::now());
    let mut now = edge.now;
    while let Next::At(at) = edge.orders.turn(&edge.servers, now)
        && at - edge.now < Duration::from_millis(500)
    {
        now = at;
    }
    assert_eq!(edge.servers.sent.lock().len(), 2);
}
