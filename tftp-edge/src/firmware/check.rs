//! Whether a load is here with every image it names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::{Digest, Md5};

use super::loads::{self, Image, Loads, LoadsError};
use crate::content::{OnDisk, Survey};

/// Suffixes of a load that is one image and has no list: add-on modules, and phones of the first
/// generation (7902 to 7912, 7920, 7940, 7960).
const SINGLE: [&str; 3] = ["sbn", "bin", "sbin"];

/// Enough to tell a web page from firmware.
const BEGIN: usize = 64;

/// Whether a file that is not on disk can be had from elsewhere when a phone asks for it, such as
/// from an upstream server.
pub type Elsewhere = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// What is here of a load that phones can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Complete {
    pub images: usize,
    pub len_bytes: u64,
    /// Files that are not here and are had from elsewhere.
    pub elsewhere: usize,
}

/// An image that a load names.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    pub name: String,
    /// None if it is not here.
    pub bytes: Option<u64>,
}

/// Why a phone cannot run a load.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("{file} is missing{}", where_else(.astray.as_deref()))]
    Missing {
        file: String,
        astray: Option<PathBuf>,
    },
    #[error("{file} cannot be read: {why}")]
    Unreadable { file: String, why: String },
    #[error("{file} is no list of images: {source}")]
    NotLoads { file: String, source: LoadsError },
    #[error("{file} is empty")]
    EmptyImage { file: String },
    #[error("{file} is a web page, no firmware")]
    WebPage { file: String },
    #[error("{file} has {found} bytes, {by} says {stated}")]
    Size {
        file: String,
        found: u64,
        stated: u64,
        by: String,
    },
    #[error("{file} is damaged: its MD5 is not the one that {by} says")]
    Md5 { file: String, by: String },
}

fn where_else(found: Option<&Path>) -> String {
    match found {
        Some(path) => format!(
            " where phones look for it; it lies in {}, move it up",
            path.parent().unwrap_or(Path::new("")).display()
        ),
        None => String::new(),
    }
}

impl Fault {
    /// The load itself is not here, as opposed to some of its images.
    pub fn is_of_load(&self, load: &str) -> bool {
        let Self::Missing { file, .. } = self else {
            return false;
        };
        file == load || file.strip_suffix(".loads") == Some(load)
    }
}

/// Checks loads; reads a file once, until somebody writes to it.
pub struct Checker {
    elsewhere: Elsewhere,
    loads: Remembered<Loads>,
    /// Files that do not begin like a web page.
    images: Remembered<()>,
    sums: Remembered<[u8; 16]>,
}

/// By name, with the file it was read from. What could not be read is tried again.
type Remembered<T> = HashMap<String, (OnDisk, T)>;

fn remember<T: Clone>(
    known: &mut Remembered<T>,
    name: &str,
    file: &OnDisk,
    read: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    if let Some((known, value)) = known.get(name)
        && known == file
    {
        return Ok(value.clone());
    }
    let value = read()?;
    known.insert(name.to_owned(), (file.clone(), value.clone()));
    Ok(value)
}

impl Checker {
    pub fn new(elsewhere: Elsewhere) -> Self {
        Self {
            elsewhere,
            loads: HashMap::new(),
            images: HashMap::new(),
            sums: HashMap::new(),
        }
    }

    /// Whether phones that are told to run the load can.
    pub fn check(&mut self, load: &str, survey: &Survey) -> Result<Complete, Vec<Fault>> {
        let list = format!("{load}.loads");
        if let Some(file) = survey.get(&list) {
            return self.check_list(&list, file, survey);
        }
        if let Some((name, file)) = single(load, survey) {
            return match self.check_image(&name, file, survey) {
                Ok(()) => Ok(Complete {
                    images: 1,
                    len_bytes: file.len_bytes(),
                    elsewhere: 0,
                }),
                Err(fault) => Err(vec![fault]),
            };
        }
        let asked_for = match loads::is_image(load) {
            true => load.to_owned(),
            false => list,
        };
        match (self.elsewhere)(&asked_for) {
            true => Ok(Complete {
                elsewhere: 1,
                ..Complete::default()
            }),
            false => Err(vec![missing(asked_for, survey)]),
        }
    }

    /// The images of a load, if what names them can be read.
    pub fn list(&mut self, load: &str, survey: &Survey) -> Vec<Listed> {
        let list = format!("{load}.loads");
        let listed = |name: &str| Listed {
            name: name.to_owned(),
            bytes: survey.get(name).map(OnDisk::len_bytes),
        };
        if let Some(file) = survey.get(&list) {
            let loads = self.loads(&list, file, survey);
            let images = loads.map_or_else(|_| Vec::new(), |loads| loads.images);
            return images.iter().map(|image| listed(&image.name)).collect();
        }
        let single = single(load, survey).into_iter();
        single.map(|(name, _)| listed(&name)).collect()
    }

    fn loads(&mut self, name: &str, file: &OnDisk, survey: &Survey) -> Result<Loads, Fault> {
        let no_list = |source| Fault::NotLoads {
            file: name.to_owned(),
            source,
        };
        let read = || {
            if file.len_bytes() > loads::MAX_LEN {
                return Err(no_list(LoadsError::TooLong(file.len_bytes())));
            }
            let bytes = survey.read(file).map_err(|why| unreadable(name, why))?;
            Loads::parse(&bytes).map_err(no_list)
        };
        remember(&mut self.loads, name, file, read)
    }

    /// Whether every image is here that a `.loads` file names.
    fn check_list(
        &mut self,
        name: &str,
        file: &OnDisk,
        survey: &Survey,
    ) -> Result<Complete, Vec<Fault>> {
        let loads = self
            .loads(name, file, survey)
            .map_err(|fault| vec![fault])?;
        let mut complete = Complete::default();
        let mut faults = Vec::new();
        for image in &loads.images {
            match self.check_listed(image, name, survey) {
                Ok(len_bytes) => {
                    complete.images += 1;
                    complete.len_bytes += len_bytes;
                }
                Err(Fault::Missing { file, .. }) if (self.elsewhere)(&file) => {
                    complete.elsewhere += 1;
                }
                Err(fault) => faults.push(fault),
            }
        }
        match faults.is_empty() {
            true => Ok(complete),
            false => Err(faults),
        }
    }

    /// Its length, if it is what the list says.
    fn check_listed(&mut self, image: &Image, by: &str, survey: &Survey) -> Result<u64, Fault> {
        let Some(file) = survey.get(&image.name) else {
            return Err(missing(image.name.clone(), survey));
        };
        self.check_image(&image.name, file, survey)?;
        if let Some(stated) = image
            .size_bytes
            .filter(|stated| *stated != file.len_bytes())
        {
            return Err(Fault::Size {
                file: image.name.clone(),
                found: file.len_bytes(),
                stated,
                by: by.to_owned(),
            });
        }
        if let Some(stated) = image.md5 {
            let sum = || sum(survey, file).map_err(|why| unreadable(&image.name, why));
            if remember(&mut self.sums, &image.name, file, sum)? != stated {
                return Err(Fault::Md5 {
                    file: image.name.clone(),
                    by: by.to_owned(),
                });
            }
        }
        Ok(file.len_bytes())
    }

    fn check_image(&mut self, name: &str, file: &OnDisk, survey: &Survey) -> Result<(), Fault> {
        let look = || {
            let begin = survey
                .head(file, BEGIN)
                .map_err(|why| unreadable(name, why))?;
            if begin.is_empty() {
                return Err(Fault::EmptyImage { file: name.into() });
            }
            match loads::is_web_page(&begin) {
                true => Err(Fault::WebPage { file: name.into() }),
                false => Ok(()),
            }
        };
        remember(&mut self.images, name, file, look)
    }

    /// Forgets what is not there any more.
    pub fn retain(&mut self, survey: &Survey) {
        self.loads.retain(|name, _| survey.get(name).is_some());
        self.images.retain(|name, _| survey.get(name).is_some());
        self.sums.retain(|name, _| survey.get(name).is_some());
    }
}

/// The image of a load that has no list.
fn single<'s>(load: &str, survey: &'s Survey) -> Option<(String, &'s OnDisk)> {
    // Some are named with their suffix.
    let own_name = loads::is_image(load).then(|| load.to_owned());
    let with_suffix = SINGLE.iter().map(|suffix| format!("{load}.{suffix}"));
    own_name
        .into_iter()
        .chain(with_suffix)
        .find_map(|name| survey.get(&name).map(|file| (name, file)))
}

fn unreadable(file: &str, why: String) -> Fault {
    Fault::Unreadable {
        file: file.to_owned(),
        why,
    }
}

fn sum(survey: &Survey, file: &OnDisk) -> Result<[u8; 16], String> {
    let mut sum = Md5::new();
    survey.pieces(file, |piece| sum.update(piece))?;
    Ok(sum.finalize().into())
}

fn missing(file: String, survey: &Survey) -> Fault {
    let astray = survey.astray(&file).map(|file| file.path.clone());
    Fault::Missing { file, astray }
}
