//! Asks the daemon once a second.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use crate::inventory::DeviceName;
use crate::journal::{Filter, Overview, PhoneRow, PhoneView, Stage};
use crate::ops::control::{self, ClientError};
use crate::ops::status::Status;

const EVERY: Duration = Duration::from_secs(1);
/// Phones of one stage, and of a search: more than anybody reads.
const ROWS: usize = 200;

/// What is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Question {
    /// Phones that fit it; none is all that are busy or stuck.
    pub(super) search: Option<String>,
    /// Whose timeline.
    pub(super) device: Option<DeviceName>,
}

#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// When it was asked for, since some moment.
    pub(super) at: Instant,
    pub(super) status: Status,
    pub(super) overview: Overview,
    /// In the order of names.
    pub(super) phones: Vec<PhoneRow>,
    /// How many there are that were left out.
    pub(super) more: u64,
    pub(super) phone: Option<PhoneView>,
}

pub(super) type Answer = Result<Box<Sample>, ClientError>;

/// A thread. It ends with the program: what it waits for is the daemon.
pub(super) struct Poller {
    questions: Sender<Question>,
    answers: Receiver<Answer>,
}

impl Poller {
    pub(super) fn start(socket: PathBuf) -> io::Result<Self> {
        let (questions, asked) = mpsc::channel();
        // One that is not taken yet is enough.
        let (answer, answers) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("poll".into())
            .spawn(move || poll(&socket, &asked, &answer))?;
        Ok(Self { questions, answers })
    }

    /// Asks at once, and that from then on.
    pub(super) fn ask(&self, question: Question) {
        // The thread ends only with this.
        let _ = self.questions.send(question);
    }

    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

fn poll(socket: &Path, asked: &Receiver<Question>, answers: &SyncSender<Answer>) {
    let mut question = Question::default();
    loop {
        let answer = sample(socket, &question).map(Box::new);
        if answers.send(answer).is_err() {
            return;
        }
        match asked.recv_timeout(EVERY) {
            // The last is the one that counts.
            Ok(new) => question = asked.try_iter().last().unwrap_or(new),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn sample(socket: &Path, question: &Question) -> Result<Sample, ClientError> {
    let at = Instant::now();
    let status = control::status(socket)?;
    let overview = control::overview(socket)?;
    let mut phones = BTreeMap::new();
    let mut more = 0;
    for filter in filters(question, &overview) {
        let page = control::phones(socket, filter)?;
        more += page.total.saturating_sub(page.rows.len() as u64);
        phones.extend(page.rows.into_iter().map(|row| (row.device, row)));
    }
    let phone = match question.device {
        Some(device) => control::phone(socket, device)?,
        None => None,
    };
    Ok(Sample {
        at,
        status,
        overview,
        phones: phones.into_values().collect(),
        more,
        phone,
    })
}

/// Those that do not get on, and those at each stage of a boot where there are some.
fn filters(question: &Question, overview: &Overview) -> Vec<Filter> {
    let some = Filter {
        search: question.search.clone(),
        limit: Some(ROWS),
        ..Filter::default()
    };
    if question.search.is_some() {
        return vec![some];
    }
    let stuck = Filter {
        stuck: true,
        ..some.clone()
    };
    let is_busy = |stage: &Stage| !matches!(stage, Stage::Dhcp | Stage::Registered);
    let there = overview.stages.iter().filter(|(_, count)| **count > 0);
    let stages = there.map(|(stage, _)| *stage).filter(is_busy);
    let of_stage = stages.map(|stage| Filter {
        stage: Some(stage),
        ..some.clone()
    });
    let stuck = (!overview.stuck.is_empty()).then_some(stuck);
    stuck.into_iter().chain(of_stage).collect()
}
