//! What is shown, and what keys do to it.

use std::cmp::Reverse;
use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::poll::{Answer, Question, Sample};
use super::rates::Rates;
use crate::inventory::DeviceName;
use crate::journal::PhoneRow;
use crate::ops::status::Status;

/// Longest search.
const SEARCH_MAX: usize = 64;
/// Lines of a timeline that a page key moves.
const PAGE: usize = 10;

/// What phones are in the order of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// Those that are stuck first, and of them those that are so the longest.
    #[default]
    Trouble,
    Name,
    Site,
    Stage,
}

impl Sort {
    const fn next(self) -> Self {
        match self {
            Self::Trouble => Self::Name,
            Self::Name => Self::Site,
            Self::Site => Self::Stage,
            Self::Stage => Self::Trouble,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Name => "name",
            Self::Site => "site",
            Self::Stage => "stage",
        }
    }
}

/// What comes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Stay,
    /// Something else is to be asked.
    Ask,
    Quit,
}

/// Which of them is in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    /// Letters are added to the search.
    Searching,
    Help,
    Timeline {
        device: DeviceName,
        /// Lines left out at the top.
        scroll: usize,
    },
}

pub(super) struct Board {
    pub(super) has_colour: bool,
    pub(super) view: View,
    pub(super) sort: Sort,
    pub(super) search: String,
    pub(super) sample: Option<Box<Sample>>,
    pub(super) rates: Rates,
    /// Why there is no newer answer.
    pub(super) problem: Option<String>,
    before: Option<(Instant, Status)>,
    chosen: Option<DeviceName>,
}

impl Board {
    pub(super) fn new(has_colour: bool) -> Self {
        Self {
            has_colour,
            view: View::Overview,
            sort: Sort::default(),
            search: String::new(),
            sample: None,
            rates: Rates::default(),
            problem: None,
            before: None,
            chosen: None,
        }
    }

    /// What to ask for what is shown.
    pub(super) fn question(&self) -> Question {
        let search = self.search.trim();
        Question {
            search: (!search.is_empty()).then(|| search.to_owned()),
            device: match self.view {
                View::Timeline { device, .. } => Some(device),
                _ => None,
            },
        }
    }

    pub(super) fn take(&mut self, answer: Answer) {
        match answer {
            Ok(mut sample) => {
                let after = (sample.at, &sample.status);
                if let Some((at, before)) = &self.before {
                    self.rates = Rates::between((*at, before), after).unwrap_or_default();
                }
                self.before = Some((sample.at, sample.status.clone()));
                sort(&mut sample.phones, self.sort);
                self.sample = Some(sample);
                self.problem = None;
            }
            Err(error) => self.problem = Some(error.to_string()),
        }
    }

    pub(super) fn phones(&self) -> &[PhoneRow] {
        self.sample.as_ref().map_or(&[], |sample| &sample.phones)
    }

    /// The row that is chosen. It follows its phone; one that is gone gives way to the first.
    pub(super) fn chosen(&self) -> Option<usize> {
        let phones = self.phones();
        let place = phones.iter().position(|it| Some(it.device) == self.chosen);
        place.or((!phones.is_empty()).then_some(0))
    }

    pub(super) fn key(&mut self, key: KeyEvent) -> Flow {
        // In raw mode the terminal makes no signal of it.
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Flow::Quit;
        }
        match self.view {
            View::Searching => self.key_of_search(key.code),
            View::Help => {
                self.view = View::Overview;
                match key.code {
                    KeyCode::Char('q') => Flow::Quit,
                    _ => Flow::Stay,
                }
            }
            View::Timeline { device, scroll } => self.key_of_timeline(key.code, device, scroll),
            View::Overview => self.key_of_overview(key.code),
        }
    }

    fn key_of_overview(&mut self, key: KeyCode) -> Flow {
        match key {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Char('?') => self.view = View::Help,
            KeyCode::Char('/') => self.view = View::Searching,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                let by = self.sort;
                if let Some(sample) = &mut self.sample {
                    sort(&mut sample.phones, by);
                }
            }
            KeyCode::Esc if !self.search.is_empty() => {
                self.search.clear();
                return Flow::Ask;
            }
            KeyCode::Up | KeyCode::Char('k') => self.choose(|at, _| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(|at, last| last.min(at + 1)),
            KeyCode::PageUp => self.choose(|at, _| at.saturating_sub(PAGE)),
            KeyCode::PageDown => self.choose(|at, last| last.min(at + PAGE)),
            KeyCode::Home => self.choose(|_, _| 0),
            KeyCode::End => self.choose(|_, last| last),
            KeyCode::Enter => {
                if let Some(at) = self.chosen() {
                    let device = self.phones()[at].device;
                    self.view = View::Timeline { device, scroll: 0 };
                    return Flow::Ask;
                }
            }
            _ => {}
        }
        Flow::Stay
    }

    /// `to` is given the row chosen now, and the last there is.
    fn choose(&mut self, to: impl FnOnce(usize, usize) -> usize) {
        if let Some(at) = self.chosen() {
            let phones = self.phones();
            self.chosen = Some(phones[to(at, phones.len() - 1)].device);
        }
    }

    fn key_of_search(&mut self, key: KeyCode) -> Flow {
        match key {
            KeyCode::Char(letter) if self.search.len() + letter.len_utf8() <= SEARCH_MAX => {
                self.search.push(letter);
            }
            KeyCode::Backspace => {
                self.search.pop();
            }
            KeyCode::Enter => self.view = View::Overview,
            KeyCode::Esc => {
                self.search.clear();
                self.view = View::Overview;
            }
            _ => return Flow::Stay,
        }
        Flow::Ask
    }

    fn key_of_timeline(&mut self, key: KeyCode, device: DeviceName, scroll: usize) -> Flow {
        let scroll = match key {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Esc | KeyCode::Enter | KeyCode::Backspace => {
                self.view = View::Overview;
                return Flow::Ask;
            }
            KeyCode::Up | KeyCode::Char('k') => scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => scroll.saturating_add(1),
            KeyCode::PageUp => scroll.saturating_sub(PAGE),
            KeyCode::PageDown => scroll.saturating_add(PAGE),
            KeyCode::Home => 0,
            // Drawing stops at the last page.
            KeyCode::End => usize::MAX,
            _ => return Flow::Stay,
        };
        self.view = View::Timeline { device, scroll };
        Flow::Stay
    }
}

fn sort(phones: &mut [PhoneRow], by: Sort) {
    let since = |row: &PhoneRow| match &row.stuck {
        Some(finding) => finding.since_ms,
        None => row.since_ms.unwrap_or(u64::MAX),
    };
    match by {
        Sort::Trouble => phones.sort_by_key(|it| (it.stuck.is_none(), since(it), it.device)),
        Sort::Name => phones.sort_by_key(|it| it.device),
        Sort::Site => phones.sort_by(|a, b| (&a.site, a.device).cmp(&(&b.site, b.device))),
        Sort::Stage => phones.sort_by_key(|it| (Reverse(it.stage), it.device)),
    }
}
