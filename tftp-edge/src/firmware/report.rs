//! Every load that is named or here, and what is wrong with it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check::{Checker, Complete, Fault, Listed};
use super::needs::{Need, Needs};
use super::upgrade;
use crate::content::Survey;

/// An alarm tells up to this many images one by one and counts the rest.
const MAX_TOLD: usize = 5;

/// Lists the files of a language for the soft phone CIPC, in the language's folder.
const LOCALE_LIST: &str = "/cipc_locale";

/// Beneath the name of a load.
const INDENT: &str = "            ";

/// How a load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The load that phones are told to run is not here.
    Missing,
    /// Its list or some of its images are not here, or not what they should be.
    Incomplete,
    /// Phones fetch it from the host that `load_server` names, or we from an upstream server.
    Elsewhere,
    Ok,
    /// It is here, and nobody is told to run it.
    Unused,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "MISSING",
            Self::Incomplete => "INCOMPLETE",
            Self::Elsewhere => "elsewhere",
            Self::Ok => "ok",
            Self::Unused => "unused",
        }
    }

    /// Phones that are told to run it reboot again and again.
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Missing | Self::Incomplete)
    }
}

/// One load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Without `.loads`.
    pub load: String,
    pub state: State,
    pub images: Vec<Listed>,
    pub bytes: u64,
    pub problems: Vec<String>,
    /// What to know beside it.
    pub warnings: Vec<String>,
    /// Devices that are told to run it and fetch it from here.
    pub devices: usize,
    /// One of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// Devices that fetch it from another host.
    pub sent_elsewhere: usize,
    /// Models whose load it is, such as `7941 sccp`.
    pub models: Vec<String>,
    #[serde(skip)]
    is_module: bool,
}

/// All of them: faults first, then by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub root: PathBuf,
    /// A folder could not be read: what is missing may still be there.
    pub unread_folders: bool,
    pub loads: Vec<LoadReport>,
}

impl Report {
    /// Of what the inventory names.
    pub fn of_needs(checker: &mut Checker, needs: &Needs, survey: &Survey) -> Self {
        let names = names(needs, survey);
        let mut loads: Vec<_> = needs
            .iter()
            .map(|need| {
                let mut report = LoadReport::of_need(need, checker, survey);
                let others = names.values().map(String::as_str);
                report.warnings.extend(upgrade::advice(&need.load, others));
                report
            })
            .collect();
        loads.sort_by(|a, b| (a.state, &a.load).cmp(&(b.state, &b.load)));
        Self {
            root: survey.root().to_owned(),
            unread_folders: survey.is_incomplete(),
            loads,
        }
    }

    /// Of what the inventory names, and of what is here besides.
    pub fn of_all(checker: &mut Checker, needs: &Needs, survey: &Survey) -> Self {
        let mut report = Self::of_needs(checker, needs, survey);
        for load in names(needs, survey).into_values() {
            if needs.get(&load).is_none() {
                report
                    .loads
                    .push(LoadReport::unused(&load, checker, survey));
            }
        }
        report
    }

    pub fn has_faults(&self) -> bool {
        self.loads.iter().any(|load| load.state.is_fault())
    }
}

/// The loads that are named or here, by their name in lower case.
fn names(needs: &Needs, survey: &Survey) -> BTreeMap<String, String> {
    let here = survey.files().filter_map(|(name, file)| {
        let load = name.strip_suffix(".loads")?;
        if load.ends_with(LOCALE_LIST) {
            return None;
        }
        let spelled = file.path.with_extension("");
        Some((load.to_owned(), spelled.to_str()?.to_owned()))
    });
    let mut names: BTreeMap<_, _> = here.collect();
    for need in needs.iter() {
        names.insert(need.load.to_ascii_lowercase(), need.load.clone());
    }
    names
}

impl LoadReport {
    fn of_need(need: &Need, checker: &mut Checker, survey: &Survey) -> Self {
        let mut report = Self::new(&need.load, checker.check(&need.load, survey));
        report.images = checker.list(&need.load, survey);
        if report.state.is_fault() && need.is_elsewhere() {
            report.state = State::Elsewhere;
            report.problems.clear();
        }
        report.devices = need.devices;
        report.example = need.example.map(|name| name.to_string());
        report.sent_elsewhere = need.sent_elsewhere;
        report.is_module = need.is_module;
        let model = |(model, protocol): &(String, _)| format!("{model} {protocol}");
        report.models = need.models.iter().map(model).collect();
        report
    }

    fn unused(load: &str, checker: &mut Checker, survey: &Survey) -> Self {
        if load.contains('/') {
            let mut report = Self::new(load, Ok(Complete::default()));
            report.state = State::Unused;
            let told = "phones do not look into folders: move it up with its images";
            report.warnings.push(told.to_owned());
            return report;
        }
        let mut report = Self::new(load, checker.check(load, survey));
        report.images = checker.list(load, survey);
        report.state = State::Unused;
        let lower = load.to_ascii_lowercase();
        if lower.starts_with("term") && lower.ends_with(".default") {
            let told = "phones ask for it after a factory reset".to_owned();
            report.warnings.push(told);
        }
        report
    }

    fn new(load: &str, checked: Result<Complete, Vec<Fault>>) -> Self {
        let state = match &checked {
            Ok(complete) if complete.elsewhere > 0 => State::Elsewhere,
            Ok(_) => State::Ok,
            Err(faults) if faults.iter().any(|fault| fault.is_of_load(load)) => State::Missing,
            Err(_) => State::Incomplete,
        };
        let (complete, faults) = match checked {
            Ok(complete) => (complete, Vec::new()),
            Err(faults) => (Complete::default(), faults),
        };
        Self {
            load: load.to_owned(),
            state,
            images: Vec::new(),
            bytes: complete.len_bytes,
            problems: faults.iter().map(Fault::to_string).collect(),
            warnings: elsewhere(complete.elsewhere).into_iter().collect(),
            devices: 0,
            example: None,
            sent_elsewhere: 0,
            models: Vec::new(),
            is_module: false,
        }
    }

    /// What an alarm says of it: what is wrong, for whom, and what to do.
    pub fn alarm(&self, root: &Path) -> String {
        let mut text = self.problems[..self.problems.len().min(MAX_TOLD)].join("; ");
        if self.problems.len() > MAX_TOLD {
            let _ = write!(text, "; and {} more", self.problems.len() - MAX_TOLD);
        }
        format!("{text}. {}. {}", self.affected(), self.advice(root))
    }

    fn affected(&self) -> String {
        let many = self.devices;
        match &self.example {
            Some(name) => format!(
                "Told to run it, and rebooting until they can: {}",
                match many {
                    1 => name.clone(),
                    many => format!("{many} devices, such as {name}"),
                }
            ),
            None => format!(
                "No device runs it yet; unknown phones are told to (model {})",
                self.models.join(", ")
            ),
        }
    }

    fn advice(&self, root: &Path) -> String {
        let mut advice = match self.is_module {
            true => format!("Put the module's image into {}", root.display()),
            false => format!(
                "Unpack all of the load's zip or cop file into {}, not into a folder of it",
                root.display()
            ),
        };
        if let Some((model, protocol)) = self.models.first().and_then(|it| it.split_once(' ')) {
            let _ = write!(
                advice,
                "; or let phones keep what they run: `tftp-edge inventory model set {model} \
                 {protocol}=`"
            );
        } else {
            advice += "; or leave `load` of these devices empty: they keep what they run";
        }
        advice
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unread_folders {
            writeln!(
                formatter,
                "Some of {} cannot be read: what is missing below may be there.",
                self.root.display()
            )?;
        }
        for load in &self.loads {
            load.write(formatter, &self.root)?;
        }
        let faults = self.loads.iter().filter(|load| load.state.is_fault());
        let devices: usize = faults.clone().map(|load| load.devices).sum();
        match (self.loads.len(), faults.count()) {
            (0, _) => writeln!(
                formatter,
                "No firmware is named and none is in {}: phones keep what they run.",
                self.root.display()
            ),
            (_, 0) => writeln!(formatter, "Every load that phones are told to run is here."),
            (_, faults) => writeln!(
                formatter,
                "{faults} of the loads that phones are told to run cannot be run; devices: {devices}."
            ),
        }
    }
}

fn elsewhere(files: usize) -> Option<String> {
    let told = "not here: phones get it only if an upstream server has it";
    (files > 0).then(|| format!("{} {told}", counted(files, "file")))
}

/// `1 image`, `2 images`.
pub(crate) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

impl LoadReport {
    /// The load, and each of its images with its length.
    pub fn write_images(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{}", self.line())?;
        for image in &self.images {
            match image.bytes {
                Some(bytes) => writeln!(out, "{INDENT}{bytes:>10}  {}", image.name)?,
                None => writeln!(out, "{INDENT}{:>10}  {}", "missing", image.name)?,
            }
        }
        Ok(())
    }

    fn line(&self) -> String {
        let mut facts = Vec::new();
        if !self.images.is_empty() {
            let images = counted(self.images.len(), "image");
            facts.push(match self.problems.is_empty() {
                true => format!("{images}, {} kB", self.bytes.div_ceil(1000)),
                false => images,
            });
        }
        if self.devices > 0 {
            facts.push(counted(self.devices, "device"));
        }
        if self.sent_elsewhere > 0 {
            let devices = counted(self.sent_elsewhere, "device");
            facts.push(format!("{devices} by load_server"));
        }
        if !self.models.is_empty() {
            facts.push(format!("model {}", self.models.join(", ")));
        }
        let line = format!(
            "{:<11} {:<32} {}",
            self.state.as_str(),
            self.load,
            facts.join("; ")
        );
        line.trim_end().to_owned()
    }

    fn write(&self, formatter: &mut fmt::Formatter<'_>, root: &Path) -> fmt::Result {
        writeln!(formatter, "{}", self.line())?;
        for problem in &self.problems {
            writeln!(formatter, "{INDENT}{problem}")?;
        }
        for warning in &self.warnings {
            writeln!(formatter, "{INDENT}warning: {warning}")?;
        }
        if self.state.is_fault() {
            writeln!(formatter, "{INDENT}{}.", self.affected())?;
            writeln!(formatter, "{INDENT}{}.", self.advice(root))?;
        }
        Ok(())
    }
}
