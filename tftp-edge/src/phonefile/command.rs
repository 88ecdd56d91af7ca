//! `tftp-edge render …`: a generated file as phones get it.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use similar::TextDiff;

use super::{RenderError, Renderer, SharedFile, Templates, XML_DEFAULT};
use crate::inventory::{
    DEFAULT_SITE, Device, DeviceName, Inventory, Settings, Snapshot, StoreError,
};
use crate::nearest::nearest;

#[derive(Debug, Args)]
pub struct RenderArgs {
    /// A device, such as SEP001122334455, or a file: XMLDefault.cnf.xml, dialplan.xml, AppDialRules.xml …
    pub name: String,
    /// Show what a template changes in our own file
    #[arg(long)]
    pub diff: bool,
    /// The site whose unknown phones ask, for XMLDefault.cnf.xml
    #[arg(long, value_name = "SITE", default_value = DEFAULT_SITE)]
    pub site: String,
}

#[derive(Debug, thiserror::Error)]
pub enum RenderCommandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{name} is not in the inventory{}", meant(.near))]
    NoDevice {
        name: DeviceName,
        near: Option<String>,
    },
    #[error(
        "no file {name:?} is generated{}; there are those of devices, and: {}",
        meant(.near), .files.join(", ")
    )]
    NoFile {
        name: String,
        near: Option<String>,
        files: Vec<String>,
    },
    #[error("there is no site {0:?}")]
    NoSite(String),
    #[error("{name} cannot be generated: {source}")]
    Render { name: String, source: RenderError },
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

fn meant(near: &Option<String>) -> String {
    let near = near.as_ref();
    near.map_or_else(String::new, |near| format!("; is {near} meant?"))
}

/// What a name stands for.
enum Target<'s> {
    Device(&'s Device),
    XmlDefault,
    Shared(SharedFile),
}

impl RenderArgs {
    /// Writes the file, or what a template changes in it. A file of the same name beneath `root` is
    /// served instead; that is told on standard error.
    pub fn run(
        &self,
        settings: &Settings,
        root: &Path,
        templates: &Path,
        out: &mut dyn Write,
    ) -> Result<(), RenderCommandError> {
        let snapshot = Inventory::open(settings)?.snapshot()?;
        let target = self.target(&snapshot)?;
        let is_site = self.site == DEFAULT_SITE || snapshot.site_names().any(|s| s == self.site);
        if !is_site {
            return Err(RenderCommandError::NoSite(self.site.clone()));
        }
        let file_name = target.file_name();
        if is_beneath(root, &file_name) {
            tracing::warn!(
                event = "render.shadowed", file = %root.join(&file_name).display(),
                "this file is served instead of the generated one"
            );
        }
        let templates = Templates::load(templates);
        let laid_out = self.render(&target, &templates, &snapshot)?;
        if !self.diff {
            return Ok(out.write_all(&laid_out)?);
        }
        if target.template(&templates, &self.site).is_none() {
            tracing::warn!(event = "render.no_template", file = %file_name, "no template fits it");
        }
        let ours = self.render(&target, &Templates::default(), &snapshot)?;
        let [ours, laid_out] =
            [ours, laid_out].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let diff = TextDiff::from_lines(&ours, &laid_out);
        let template = target
            .template(&templates, &self.site)
            .unwrap_or("generated");
        let mut unified = diff.unified_diff();
        unified.header("generated", template);
        Ok(write!(out, "{unified}")?)
    }

    fn target<'s>(&self, snapshot: &'s Snapshot) -> Result<Target<'s>, RenderCommandError> {
        let name = self.name.trim_start_matches('/');
        if name.eq_ignore_ascii_case(XML_DEFAULT) {
            return Ok(Target::XmlDefault);
        }
        let files = SharedFile::all(snapshot);
        let file = files
            .iter()
            .find(|file| file.to_string().eq_ignore_ascii_case(name));
        if let Some(file) = file {
            return Ok(Target::Shared(file.clone()));
        }
        if let Ok(device) = without_suffix(name).parse::<DeviceName>() {
            if let Some(device) = snapshot.devices.get(&device) {
                return Ok(Target::Device(device));
            }
            if device.mac().is_some() {
                let devices = snapshot.devices.keys().map(DeviceName::as_str);
                return Err(RenderCommandError::NoDevice {
                    name: device,
                    near: nearest(device.as_str(), devices).map(str::to_owned),
                });
            }
        }
        let shared = files.iter().map(SharedFile::to_string);
        let files: Vec<String> = shared.chain([XML_DEFAULT.to_owned()]).collect();
        Err(RenderCommandError::NoFile {
            name: self.name.clone(),
            near: nearest(name, files.iter().map(String::as_str)).map(str::to_owned),
            files,
        })
    }

    fn render(
        &self,
        target: &Target<'_>,
        templates: &Templates,
        snapshot: &Snapshot,
    ) -> Result<Vec<u8>, RenderCommandError> {
        let mut renderer = Renderer::default();
        let bytes = match target {
            Target::Device(device) => templates.device(&mut renderer, device, snapshot),
            Target::XmlDefault => templates.xml_default(&mut renderer, &self.site, snapshot),
            Target::Shared(file) => templates.shared(&mut renderer, file, snapshot),
        };
        let bytes = bytes.map_err(|source| RenderCommandError::Render {
            name: target.file_name(),
            source,
        })?;
        Ok(bytes.into_owned())
    }
}

impl Target<'_> {
    /// As phones ask for it.
    fn file_name(&self) -> String {
        match self {
            Self::Device(device) => {
                let file = device.name.config_file();
                let suffix = &file[device.name.as_str().len()..];
                format!("{}{suffix}", device.name)
            }
            Self::XmlDefault => XML_DEFAULT.to_owned(),
            Self::Shared(file) => file.to_string(),
        }
    }

    fn template<'t>(&self, templates: &'t Templates, site: &str) -> Option<&'t str> {
        match self {
            Self::Device(device) => templates.of_device(device),
            Self::XmlDefault => templates.of_xml_default(site),
            Self::Shared(file) => templates.of_shared(file),
        }
    }
}

/// Whether a file of that name lies in the root, in whatever case.
fn is_beneath(root: &Path, name: &str) -> bool {
    let entries = root.read_dir().into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|known| known.to_string_lossy().eq_ignore_ascii_case(name))
}

fn without_suffix(name: &str) -> &str {
    let folded = name.to_ascii_lowercase();
    let suffix = [".cnf.xml", ".cnf"]
        .into_iter()
        .find(|suffix| folded.ends_with(suffix));
    // The suffix is ASCII, so folding has not moved it.
    suffix.map_or(name, |suffix| &name[..name.len() - suffix.len()])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::inventory::{ImportMode, SqliteStore, Unchecked, parse_csv};

    const PHONES: &str = "name,model,protocol,lines,site\n\
                          SEP00AABBCCDDEE,8845,sip,1001,hq\n\
                          SIP00AABBCCDDEF,7960,sip,1002,hq\n\
                          csfjsmith,CSF,sip,1003,hq\n";

    struct Shell {
        folder: TempDir,
        settings: Settings,
    }

    impl Shell {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let settings = Settings {
                database: folder.path().join("inventory.db"),
                ..Settings::default()
            };
            let mut store = SqliteStore::open(&settings.database).unwrap();
            let devices = parse_csv(PHONES.as_bytes()).unwrap();
            store.import(&devices, ImportMode::Upsert, false).unwrap();
            let voicemail = ("voicemail".to_owned(), Some("8500".to_owned()));
            store.set_site("hq", &[voicemail]).unwrap();
            Self { folder, settings }
        }

        fn render(&self, name: &str, diff: bool, site: &str) -> Result<String, String> {
            let arguments = RenderArgs {
                name: name.into(),
                diff,
                site: site.into(),
            };
            let mut out = Vec::new();
            let templates = self.folder.path().join("templates");
            arguments
                .run(&self.settings, self.folder.path(), &templates, &mut out)
                .map_err(|error| error.to_string())?;
            Ok(String::from_utf8(out).unwrap())
        }

        fn template(&self, name: &str, source: &str) {
            let path = self.folder.path().join("templates").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, source).unwrap();
        }
    }

    #[test]
    fn a_file_is_rendered_by_its_name_in_any_case_or_by_the_device() {
        let shell = Shell::new();
        for (name, part) in [
            ("SEP00AABBCCDDEE", "<messagesNumber>8500<"),
            ("sep00aabbccddee.cnf.xml", "<messagesNumber>8500<"),
            ("/SEP00AABBCCDDEE.CNF.XML", "<messagesNumber>8500<"),
            ("SIP00AABBCCDDEF.cnf", "messages_uri: \"8500\""),
            ("CSFJSMITH.cnf.xml", "<contact>1003<"),
            ("xmldefault.cnf.xml", "<Default>"),
            ("ATADefault.cnf.xml", "<Default>"),
            ("SIPDEFAULT.CNF", "proxy1_address"),
        ] {
            let file = shell.render(name, false, DEFAULT_SITE).unwrap();
            assert!(file.contains(part), "{name}: {file}");
        }
    }

    #[test]
    fn a_name_that_stands_for_nothing_is_told_with_what_is_meant() {
        let shell = Shell::new();
        for (name, part) in [
            ("SEP00AABBCCDDFF", "is SEP00AABBCCDDEE meant?"),
            ("XMLDefalt.cnf.xml", "is XMLDefault.cnf.xml meant?"),
            (
                "dialplan.xml",
                "there are those of devices, and: ATADefault",
            ),
        ] {
            let error = shell.render(name, false, DEFAULT_SITE).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let error = shell
            .render("XMLDefault.cnf.xml", false, "moon")
            .unwrap_err();
        assert!(error.contains("no site \"moon\""), "{error}");
    }

    #[test]
    fn a_diff_shows_what_a_template_changes() {
        let shell = Shell::new();
        let source = "{{ generated | set_element('vendorConfig/webAccess', 0) }}";
        shell.template("model/8845/SEP.cnf.xml", source);
        let diff = shell.render("SEP00AABBCCDDEE", true, DEFAULT_SITE).unwrap();
        for line in [
            "--- generated\n+++ model/8845/SEP.cnf.xml\n@@ ",
            "\n-<webAccess>1</webAccess>\n+<webAccess>0</webAccess>\n",
        ] {
            assert!(diff.contains(line), "{diff}");
        }
        // The stamp differs too, and nothing else.
        assert_eq!(diff.matches("\n-").count(), 2, "{diff}");
        assert_eq!(shell.render("csfjsmith", true, DEFAULT_SITE).unwrap(), "");
        let file = shell
            .render("SEP00AABBCCDDEE", false, DEFAULT_SITE)
            .unwrap();
        assert!(file.contains("<webAccess>0</webAccess>"));
    }

    #[test]
    fn the_default_of_a_site_has_its_own_template() {
        let shell = Shell::new();
        shell.template(
            "site/hq/XMLDefault.cnf.xml",
            "<x>{{ settings.voicemail }}</x>",
        );
        let render = |site| shell.render("XMLDefault.cnf.xml", false, site).unwrap();
        assert_eq!(render("hq"), "<x>8500</x>");
        assert!(render(DEFAULT_SITE).contains("<Default>"));
    }

    #[test]
    fn a_template_that_fails_is_told_with_its_place() {
        let shell = Shell::new();
        shell.template("SEP.cnf.xml", "<x>\n{{ colour }}</x>");
        let error = shell
            .render("SEP00AABBCCDDEE", false, DEFAULT_SITE)
            .unwrap_err();
        assert!(
            error.starts_with(
                "SEP00AABBCCDDEE.cnf.xml cannot be generated: template SEP.cnf.xml, line 2: "
            ),
            "{error}"
        );
    }
}
