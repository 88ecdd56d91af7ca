use std::path::Path;
use std::time::Duration;

use super::*;
use crate::inventory::{Settings, Unchecked, Watch};

/// Berlin, 10.1.0.0/16, takes in unknown phones and has three numbers for them; Munich,
/// 10.2.0.0/16, takes in nobody.
pub(in crate::register) struct Site {
    pub(in crate::register) directory: Arc<Directory>,
    pub(in crate::register) newcomers: Arc<Newcomers>,
    _watch: Watch,
    _folder: tempfile::TempDir,
}

fn open(folder: &Path) -> Inventory {
    let settings = Settings {
        database: folder.join("inventory.db"),
        ..Settings::default()
    };
    Inventory::open(&settings).unwrap()
}

impl Site {
    pub(in crate::register) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut inventory = open(folder.path());
        for (site, key, value) in [
            ("berlin", "subnets", "10.1.0.0/16"),
            ("berlin", "auto_registration", "true"),
            ("berlin", "auto_registration_numbers", "5000-5002"),
            ("munich", "subnets", "10.2.0.0/16"),
        ] {
            let setting = (key.to_owned(), Some(value.to_owned()));
            inventory.store().set_site(site, &[setting]).unwrap();
        }
        let directory = Arc::new(Directory::default());
        directory.update(Arc::new(inventory.snapshot().unwrap()));
        let follower = Arc::clone(&directory);
        let every = Duration::from_millis(10);
        let watch = Watch::start(open(folder.path()), every, move |snapshot| {
            follower.update(Arc::new(snapshot));
        });
        let newcomers = Newcomers::start(
            Arc::clone(&directory),
            inventory,
            provisioning::Settings::default(),
        );
        Self {
            directory,
            newcomers: Arc::new(newcomers.unwrap()),
            _watch: watch.unwrap(),
            _folder: folder,
        }
    }

    /// Waits until the directory has a device; its first number.
    pub(in crate::register) fn knows(&self, name: &DeviceName) -> String {
        for _ in 0..2000 {
            if let Some(device) = self.directory.device(name) {
                return device.lines[0].number.clone();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{name} is not taken in");
    }

    /// Until the answer is another one than that it is being taken in, or the directory knows it.
    fn settle(&self, newcomer: &Newcomer) -> Result<String, Refusal> {
        for _ in 0..1000 {
            if let Some(device) = self.directory.device(&newcomer.device) {
                return Ok(device.lines[0].number.clone());
            }
            if let Offer::Refused(refusal) = self.newcomers.offer(newcomer) {
                return Err(refusal);
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("{} was not taken in", newcomer.device)
    }
}

/// A 7841, which speaks SIP alone.
fn newcomer(number: u32) -> Newcomer {
    Newcomer {
        device: format!("SEP{number:012X}").parse().unwrap(),
        type_id: Some(622),
        protocol: Protocol::Sip,
        source: [10, 1, 0, 9].into(),
    }
}

#[test]
fn a_newcomer_gets_a_number_and_the_directory_knows_it() {
    let site = Site::new();
    let first = newcomer(1);
    assert_eq!(site.newcomers.offer(&first), Offer::Pending);
    assert_eq!(site.settle(&first), Ok("5000".to_owned()));
    let device = site.directory.device(&first.device).unwrap();
    assert_eq!((&*device.model, &*device.site), ("7841", "berlin"));
    assert_eq!(site.newcomers.counts().taken_in, 1);
}

#[test]
fn many_at_once_get_different_numbers_until_there_are_none() {
    let site = Site::new();
    let newcomers: Vec<_> = (1..=5).map(newcomer).collect();
    for newcomer in &newcomers {
        assert_eq!(site.newcomers.offer(newcomer), Offer::Pending);
    }
    let mut settled: Vec<_> = newcomers.iter().map(|it| site.settle(it)).collect();
    settled.sort_by_key(|it| it.clone().map_err(Refusal::as_str));
    let numbers = ["5000", "5001", "5002"].map(|it| Ok(it.to_owned()));
    assert_eq!(settled[..3], numbers);
    assert_eq!(settled[3..], [const { Err(Refusal::AutoRegistration) }; 2]);
    let counts = site.newcomers.counts();
    assert_eq!((counts.taken_in, counts.no_number), (3, 2));
}

#[test]
fn only_where_the_site_takes_in_unknown_phones() {
    let site = Site::new();
    for source in [[10, 2, 0, 9], [192, 168, 0, 1]] {
        let stranger = Newcomer {
            source: source.into(),
            ..newcomer(1)
        };
        let refused = Offer::Refused(Refusal::UnknownDevice);
        assert_eq!(site.newcomers.offer(&stranger), refused);
        assert!(!site.newcomers.takes_in_at(source.into()));
    }
    assert!(site.newcomers.takes_in_at([10, 1, 0, 9].into()));
    assert!(!Newcomers::default().takes_in_at([10, 1, 0, 9].into()));
    assert_eq!(site.newcomers.counts(), Counts::default());
    let refused = Offer::Refused(Refusal::UnknownDevice);
    assert_eq!(Newcomers::default().offer(&newcomer(1)), refused);
}

#[test]
fn a_model_that_is_not_known_or_does_not_fit_is_refused_at_once() {
    let site = Site::new();
    let refused = Offer::Refused(Refusal::AutoRegistration);
    let changes: [fn(&mut Newcomer); 4] = [
        |it| it.type_id = Some(4_000_000),
        |it| it.type_id = None,
        |it| it.protocol = Protocol::Sccp,
        |it| it.device = "ATA000000000001".parse().unwrap(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut unfit = newcomer(100 + at as u32);
        change(&mut unfit);
        assert_eq!(site.newcomers.offer(&unfit), refused, "{unfit:?}");
        // And told the same without being counted again.
        assert_eq!(site.newcomers.offer(&unfit), refused);
    }
    assert_eq!(site.newcomers.counts().unfit, 4);
}
