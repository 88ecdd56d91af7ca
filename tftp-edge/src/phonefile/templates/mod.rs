//! Templates of the operator's, laid over the files we generate.
//!
//! A folder holds them, and the most specific that fits a file is taken:
//!
//! | template | file |
//! |---|---|
//! | `device/<file>` | that file of one device: `device/SEP001122334455.cnf.xml` |
//! | `site/<site>/model/<model>/SEP.cnf.xml` | of one model in one site |
//! | `site/<site>/SEP.cnf.xml` | of all devices of a site |
//! | `model/<model>/SEP.cnf.xml` | of all devices of a model |
//! | `SEP.cnf.xml` | of all devices |
//! | `site/<site>/XMLDefault.cnf.xml` | a shared file, where it differs from site to site |
//! | `XMLDefault.cnf.xml`, `dialplan.xml`, … | a shared file |
//!
//! `SEP.cnf.xml` stands for whatever a device of that kind reads: `ATA.cnf.xml` for adapters, and
//! `SIP.cnf` for 7940s and 7960s with SIP firmware. The case of names does not matter. Other files
//! can be included and extended.
//!
//! They are [minijinja](https://docs.rs/minijinja) templates. Values are escaped for XML, a name
//! that is not defined is an error, and a template that does not end is stopped. See [`context`]
//! for what they are given and [`filters`] for what changes single elements.

mod check;
mod context;
mod filters;
mod folder;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};

use super::legacy_sip::quotable;
use super::xml::{escaped, restamp};
use super::{RenderError, Renderer, SharedFile};
use crate::inventory::{DEFAULT_SITE, Device, NameKind, Snapshot};
pub use check::MAX_FILE_BYTES;

/// Steps a template may take: some hundred times what all lines of a phone need.
const FUEL: u64 = 1_000_000;

/// What values are escaped for.
const XML: &str = "xml";
const TEXT: &str = "text";

/// Why a template gives no file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("template {name}{}: {problem}", line_of(.line))]
    Render {
        name: String,
        line: Option<usize>,
        problem: String,
    },
    #[error("template {name}: what it gives is no XML: {problem}")]
    Output { name: String, problem: String },
    #[error("template {name}: it gives {len} bytes, and phones take {MAX_FILE_BYTES} at most")]
    TooLarge { name: String, len: usize },
}

fn line_of(line: &Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

/// All templates of a folder; none if there is no folder.
pub struct Templates {
    environment: Environment<'static>,
    /// By their path in lower case; the path as it is on disk.
    names: BTreeMap<String, String>,
    /// Those that cannot be read or are no templates, and why.
    broken: BTreeMap<String, TemplateError>,
}

impl Default for Templates {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Templates {
    /// Reads a folder. What cannot be read or is no template stays as an error of the files that
    /// would use it.
    pub fn load(folder: &Path) -> Self {
        Self::new(folder::read(folder))
    }

    /// By path within the folder: the source, or why there is none.
    fn new(sources: BTreeMap<String, Result<String, String>>) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_auto_escape_callback(|name| match is_xml(name) {
            true => AutoEscape::Custom(Cow::Borrowed(XML)),
            false => AutoEscape::Custom(Cow::Borrowed(TEXT)),
        });
        environment.set_formatter(|out, state, value| {
            if value.is_undefined() {
                return minijinja::escape_formatter(out, state, value);
            }
            let text = match value.as_str() {
                Some(text) => Cow::Borrowed(text),
                None => Cow::Owned(value.to_string()),
            };
            let written = match state.auto_escape() {
                _ if value.is_safe() => text,
                AutoEscape::Custom(format) if format == XML => Cow::Owned(escaped(&text)),
                AutoEscape::Custom(format) if format == TEXT => {
                    Cow::Owned(quotable(&text).into_owned())
                }
                _ => text,
            };
            out.write_str(&written).map_err(minijinja::Error::from)
        });
        filters::add(&mut environment);
        let mut templates = Self {
            environment,
            names: BTreeMap::new(),
            broken: BTreeMap::new(),
        };
        for (name, source) in sources {
            templates
                .names
                .insert(name.to_ascii_lowercase(), name.clone());
            let added = match source {
                Ok(source) => templates
                    .environment
                    .add_template_owned(name.clone(), source)
                    .map_err(|error| template_error(&name, &error)),
                Err(problem) => Err(TemplateError::Render {
                    name: name.clone(),
                    line: None,
                    problem,
                }),
            };
            if let Err(error) = added {
                templates.broken.insert(name, error);
            }
        }
        templates
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The template of a device's configuration, if it has one.
    pub fn of_device(&self, device: &Device) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let (site, model) = (&device.site, &device.model);
        let file = file_of_kind(device.name.kind());
        [
            format!("device/{}", device.name.config_file()),
            format!("site/{site}/model/{model}/{file}"),
            format!("site/{site}/{file}"),
            format!("model/{model}/{file}"),
            file.to_owned(),
        ]
        .iter()
        .find_map(|name| self.find(name))
    }

    /// The template of a shared file, if it has one.
    pub fn of_shared(&self, file: &SharedFile) -> Option<&str> {
        self.of_file(&file.to_string(), DEFAULT_SITE)
    }

    /// The template of `XMLDefault.cnf.xml` in a site, if it has one.
    pub fn of_xml_default(&self, site: &str) -> Option<&str> {
        self.of_file(super::XML_DEFAULT, site)
    }

    fn of_file(&self, file: &str, site: &str) -> Option<&str> {
        self.find(&format!("site/{site}/{file}"))
            .or_else(|| self.find(file))
    }

    fn find(&self, name: &str) -> Option<&str> {
        let name = self.names.get(&name.to_ascii_lowercase())?;
        Some(name)
    }

    /// The configuration of a device as phones get it: from its template, else our own.
    pub fn device<'r>(
        &self,
        renderer: &'r mut Renderer,
        device: &Device,
        snapshot: &Snapshot,
    ) -> Result<Cow<'r, [u8]>, RenderError> {
        let Some(template) = self.of_device(device) else {
            return renderer.device(device, snapshot).map(Cow::Borrowed);
        };
        let generated = renderer.device(device, snapshot)?;
        let context = context::of_device(device, snapshot, text(generated))?;
        Ok(Cow::Owned(self.render(template, &context)?))
    }

    /// A shared file as phones get it.
    pub fn shared<'r>(
        &self,
        renderer: &'r mut Renderer,
        file: &SharedFile,
        snapshot: &Snapshot,
    ) -> Result<Cow<'r, [u8]>, RenderError> {
        let generated = renderer.shared(file, snapshot)?;
        let Some(template) = self.of_shared(file) else {
            return Ok(Cow::Borrowed(generated));
        };
        let context = context::of_site(DEFAULT_SITE, snapshot, text(generated))?;
        Ok(Cow::Owned(self.render(template, &context)?))
    }

    /// `XMLDefault.cnf.xml` as the unknown phones of a site get it.
    pub fn xml_default<'r>(
        &self,
        renderer: &'r mut Renderer,
        site: &str,
        snapshot: &Snapshot,
    ) -> Result<Cow<'r, [u8]>, RenderError> {
        let generated = renderer.xml_default(site, snapshot)?;
        let Some(template) = self.of_xml_default(site) else {
            return Ok(Cow::Borrowed(generated));
        };
        let context = context::of_site(site, snapshot, text(generated))?;
        Ok(Cow::Owned(self.render(template, &context)?))
    }

    fn render(&self, name: &str, context: &Value) -> Result<Vec<u8>, TemplateError> {
        if let Some(error) = self.broken.get(name) {
            return Err(error.clone());
        }
        let told = |error: minijinja::Error| template_error(name, &error);
        let template = self.environment.get_template(name).map_err(told)?;
        let mut output = check::Bounded::default();
        let rendered = template.render_captured_to(context.clone(), &mut output);
        if output.len() > MAX_FILE_BYTES {
            return Err(TemplateError::TooLarge {
                name: name.to_owned(),
                len: output.len(),
            });
        }
        rendered.map_err(told)?;
        let mut bytes = output.into_bytes();
        if is_xml(name) {
            check::well_formed(&bytes).map_err(|problem| TemplateError::Output {
                name: name.to_owned(),
                problem,
            })?;
            restamp(&mut bytes);
        } else if !bytes.ends_with(b"\n") {
            // The template's own last line end is not part of what it gives.
            bytes.push(b'\n');
        }
        Ok(bytes)
    }
}

/// What a device of a kind reads, without its address.
fn file_of_kind(kind: NameKind) -> &'static str {
    match kind {
        NameKind::Sep | NameKind::Named => "SEP.cnf.xml",
        NameKind::Sip => "SIP.cnf",
        NameKind::Ata => "ATA.cnf.xml",
    }
}

fn is_xml(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".xml")
}

/// Our files are UTF-8: they are written from strings.
fn text(generated: &[u8]) -> String {
    String::from_utf8_lossy(generated).into_owned()
}

/// The place is the one in the file that is wrong, which may be one that is included.
fn template_error(name: &str, error: &minijinja::Error) -> TemplateError {
    let mut deepest = error;
    let mut source = std::error::Error::source(error);
    while let Some(next) = source {
        if let Some(next) = next.downcast_ref::<minijinja::Error>() {
            deepest = next;
        }
        source = next.source();
    }
    let place = if deepest.name().is_some() {
        deepest
    } else {
        error
    };
    let problem = match deepest.detail() {
        Some(detail) => format!("{}: {detail}", deepest.kind()),
        None => deepest.kind().to_string(),
    };
    TemplateError::Render {
        name: place.name().unwrap_or(name).to_owned(),
        line: place.line(),
        problem,
    }
}

#[cfg(test)]
mod tests;
