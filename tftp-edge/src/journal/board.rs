//! What is shown of all phones: the journal beside the inventory and who is registered.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::diagnosis::{Examiner, Patient};
use super::recorder::unix_ms;
use super::search::Search;
use super::view::SiteRow;
use super::view::{BootView, FailureView, Filter, Finding, Overview, Page, PhoneRow, PhoneView};
use super::{Cause, Journal, Phone, Stage};
use crate::clock::Reading;
use crate::inventory::{DEFAULT_SITE, Device, DeviceName, Snapshot};
use crate::register::{Directory, Table};

/// An overview is not made anew more often: all who look share it.
const FRESH: Duration = Duration::from_millis(900);

/// Most rows of one answer.
const LIMIT: usize = 100_000;

/// Phones that do not get on, and why.
pub type Stuck = HashMap<DeviceName, Arc<Finding>>;

pub struct Board {
    journal: Arc<Journal>,
    directory: Arc<Directory>,
    table: Arc<Table>,
    examiner: Examiner,
    stuck: ArcSwap<Stuck>,
    overview: Mutex<Option<(Instant, Arc<Overview>)>>,
}

impl std::fmt::Debug for Board {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Board").field(&self.journal).finish()
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new(Arc::default(), Arc::default(), Arc::default())
    }
}

impl Board {
    pub fn new(journal: Arc<Journal>, directory: Arc<Directory>, table: Arc<Table>) -> Self {
        Self {
            journal,
            directory,
            table,
            examiner: Examiner::default(),
            stuck: ArcSwap::default(),
            overview: Mutex::default(),
        }
    }

    /// Who is asked what is the matter with a phone.
    pub fn examined_by(self, examiner: Examiner) -> Self {
        Self { examiner, ..self }
    }

    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn examiner(&self) -> &Examiner {
        &self.examiner
    }

    pub(super) fn has_registration(&self, device: &DeviceName) -> bool {
        self.table.get(device).is_some()
    }

    /// From now on these are shown as stuck.
    pub fn set_stuck(&self, stuck: Stuck) {
        self.stuck.store(Arc::new(stuck));
    }

    /// How many do not get on, by cause; strangers are counted too.
    pub fn stuck_by_cause(&self) -> BTreeMap<Cause, u64> {
        let mut causes = BTreeMap::new();
        for finding in self.stuck.load().values() {
            *causes.entry(finding.cause).or_default() += 1;
        }
        causes
    }

    /// All phones together, not older than a second.
    pub fn overview(&self) -> Arc<Overview> {
        let mut kept = self.overview.lock();
        if let Some((made, overview)) = &*kept
            && made.elapsed() < FRESH
        {
            return Arc::clone(overview);
        }
        let overview = Arc::new(self.look_over());
        *kept = Some((Instant::now(), Arc::clone(&overview)));
        overview
    }

    fn look_over(&self) -> Overview {
        let stuck = self.stuck.load();
        let mut stages: BTreeMap<_, u64> = Stage::ALL.into_iter().map(|it| (it, 0)).collect();
        let mut sites: HashMap<&str, SiteRow> = HashMap::new();
        let causes = self.stuck_by_cause().into_iter();
        let inventory = self.directory.snapshot();
        let devices = inventory.iter().flat_map(|it| it.devices.values());
        let mut expected = 0;
        for device in devices {
            let stage = self.stage(&device.name);
            expected += 1;
            *stages.entry(stage).or_default() += 1;
            let site = sites.entry(&device.site).or_default();
            site.expected += 1;
            match stage {
                Stage::Dhcp => {}
                Stage::Registered => site.registered += 1,
                _ => site.booting += 1,
            }
            site.stuck += u64::from(stuck.contains_key(&device.name));
        }
        let mut sites: Vec<_> = sites
            .into_iter()
            .map(|(site, row)| SiteRow {
                site: site.to_owned(),
                ..row
            })
            .collect();
        sites.sort_unstable_by(|one, other| one.site.cmp(&other.site));
        Overview {
            at_ms: unix_ms(SystemTime::now()),
            expected,
            stages,
            stuck: causes
                .map(|(cause, count)| (cause.to_string(), count))
                .collect(),
            sites,
            journal: self.journal.counts(),
        }
    }

    fn stage(&self, device: &DeviceName) -> Stage {
        match self.journal.with(device, |phone| phone.stage) {
            Some(stage) => stage,
            None if self.table.get(device).is_some() => Stage::Registered,
            None => Stage::Dhcp,
        }
    }

    /// The phones that fit, in the order of their names: those of the inventory, and after them
    /// those that nobody knows.
    pub fn phones(&self, filter: &Filter) -> Page {
        let inventory = self.directory.snapshot();
        let inventory = inventory.as_deref();
        let stuck = self.stuck.load();
        let known = inventory.into_iter().flat_map(|it| it.devices.keys());
        let is_known =
            |name: &DeviceName| inventory.is_some_and(|it| it.devices.contains_key(name));
        let strangers = self.journal.strangers();
        let strangers = strangers.iter().filter(|name| !is_known(name));
        let limit = filter.limit.unwrap_or(LIMIT).min(LIMIT);
        let mut page = Page::default();
        let search = Search::new(filter);
        for name in known.chain(strangers) {
            if filter.stuck && !stuck.contains_key(name) || !self.may_fit(&search, name, inventory)
            {
                continue;
            }
            let row = self.row(name, inventory, &stuck);
            if !filter.takes(&row) {
                continue;
            }
            page.total += 1;
            let at = page.total as usize;
            if at > filter.skip && page.rows.len() < limit {
                page.rows.push(row);
            }
        }
        page
    }

    /// Whether it is worth to build a row: what costs least is asked first.
    fn may_fit(
        &self,
        search: &Search<'_>,
        name: &DeviceName,
        inventory: Option<&Snapshot>,
    ) -> bool {
        let device = inventory.and_then(|it| it.devices.get(name));
        let device = device.map(AsRef::as_ref);
        let is_seen = || {
            let registration = self.table.get(name);
            registration.is_some_and(|it| search.finds_registration(&it))
                || self.journal.with(name, |it| search.finds_phone(it)) == Some(true)
        };
        search.is_of(device)
            && (search.finds(name, device) || is_seen())
            && search.is_at(|| self.stage(name))
    }

    /// A phone with its boots; none if neither the inventory nor the journal has it.
    pub fn phone(&self, name: &DeviceName) -> Option<PhoneView> {
        let inventory = self.directory.snapshot();
        let phone = self.journal.phone(name);
        let is_known = inventory
            .as_ref()
            .is_some_and(|it| it.devices.contains_key(name));
        if phone.is_none() && !is_known {
            return None;
        }
        let row = self.row(name, inventory.as_deref(), &self.stuck.load());
        let boots: Vec<_> = phone
            .iter()
            .flat_map(|it| &it.boots)
            .map(BootView::new)
            .collect();
        let gaps = self.journal.gaps();
        let patient = Patient {
            name: *name,
            phone: phone.as_ref(),
            inventory: inventory.as_deref(),
            has_registration: self.has_registration(name),
            gaps: &gaps,
            turn: self.examiner.turn(name),
        };
        let now_ms = unix_ms(SystemTime::now());
        let examined = self.examiner.examine(&patient, now_ms);
        let began_ms = boots.first().map_or(u64::MAX, |boot| boot.began_ms);
        let gaps = gaps.into_iter();
        Some(PhoneView {
            findings: examined.findings,
            phone: row,
            gaps: gaps.filter(|gap| gap.until_ms >= began_ms).collect(),
            boots,
        })
    }

    fn row(&self, name: &DeviceName, inventory: Option<&Snapshot>, stuck: &Stuck) -> PhoneRow {
        let device = inventory.and_then(|it| it.devices.get(name));
        let device = device.map(AsRef::as_ref);
        let registration = self.table.get(name);
        let seen = self.journal.with(name, Seen::of);
        let address = registration
            .as_ref()
            .map(|it| it.source.ip().to_canonical());
        let address = address.or_else(|| Some(seen.as_ref()?.address));
        let load = registration.as_ref().and_then(|it| it.load.as_deref());
        let load = load.or_else(|| seen.as_ref()?.load.as_deref());
        let load = load.map(str::to_owned);
        let site = match (device, inventory, address) {
            (Some(device), ..) => &device.site,
            (None, Some(inventory), Some(address)) => inventory.site_at(address),
            _ => DEFAULT_SITE,
        };
        let inventory_load = match (device, inventory) {
            (Some(device), Some(inventory)) => inventory.load(device),
            _ => None,
        };
        let stage = match (&seen, &registration) {
            (Some(seen), _) => seen.stage,
            (None, Some(_)) => Stage::Registered,
            (None, None) => Stage::Dhcp,
        };
        let clocks = Reading::now();
        let since = registration.as_ref();
        let since = since.map(|it| unix_ms(clocks.to_wall(it.since)));
        PhoneRow {
            device: *name,
            known: device.is_some(),
            description: device.map(description).unwrap_or_default(),
            model: device.map(|it| it.model.clone()),
            protocol: device.map(|it| it.protocol),
            site: site.to_owned(),
            lines: device.map(numbers).unwrap_or_default(),
            stage,
            since_ms: seen.as_ref().map(|it| it.since_ms).or(since),
            heard_ms: seen.as_ref().map(|it| it.heard_ms),
            address,
            registered_ms: since.or_else(|| seen.as_ref()?.registered_ms),
            load,
            inventory_load: inventory_load.map(str::to_owned),
            boots: seen.as_ref().map_or(0, |it| it.boots),
            stuck: stuck.get(name).map(|it| Finding::clone(it)),
            last_failure: seen.and_then(|it| it.failure),
        }
    }
}

fn description(device: &Device) -> String {
    device.description.clone()
}

fn numbers(device: &Device) -> Vec<String> {
    device
        .lines
        .iter()
        .map(|line| line.number.clone())
        .collect()
}

/// What a row takes from the journal.
struct Seen {
    stage: Stage,
    since_ms: u64,
    heard_ms: u64,
    address: std::net::IpAddr,
    registered_ms: Option<u64>,
    load: Option<Box<str>>,
    boots: u32,
    failure: Option<FailureView>,
}

impl Seen {
    fn of(phone: &Phone) -> Self {
        let failure = phone.failure.as_ref();
        Self {
            stage: phone.stage,
            since_ms: phone.stage_since_ms,
            heard_ms: phone.heard_ms,
            address: phone.source.ip().to_canonical(),
            registered_ms: phone.registered_ms,
            load: phone.load.clone(),
            boots: phone.boots_total,
            failure: failure.map(|(at_ms, failure)| FailureView::new(*at_ms, failure)),
        }
    }
}

impl Filter {
    /// Whether a phone fits.
    pub fn takes(&self, row: &PhoneRow) -> bool {
        let same = |wanted: &Option<String>, has: Option<&str>| {
            wanted
                .as_deref()
                .is_none_or(|it| has.is_some_and(|has| has.eq_ignore_ascii_case(it)))
        };
        self.stage.is_none_or(|stage| row.stage == stage)
            && same(&self.site, Some(&row.site))
            && same(&self.model, row.model.as_deref())
            && (!self.stuck || row.stuck.is_some())
            && self.search.as_deref().is_none_or(|it| finds(it, row))
    }
}

fn finds(text: &str, row: &PhoneRow) -> bool {
    let text = text.trim().to_lowercase();
    let has = |field: &str| field.to_lowercase().contains(&text);
    has(row.device.as_str())
        || has(&row.description)
        || has(&row.site)
        || row.model.as_deref().is_some_and(has)
        || row.load.as_deref().is_some_and(has)
        || row.lines.iter().any(|line| line.contains(&text))
        || row.address.is_some_and(|it| has(&it.to_string()))
}

#[cfg(test)]
mod tests;
