//! tftp-edge.toml(5): the commented configuration as a manual page.

use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use roff::{Roff, bold, italic, roman};
use tftp_edge::config::{Config, Section};

/// The page for the settings of `file`, which sets none: each has its default.
pub fn page(file: &Path, command: &Command) -> anyhow::Result<String> {
    let config = Config::load(file).with_context(|| file.display().to_string())?;
    let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
    let mut page = Roff::new();
    let source = format!("tftp-edge {version}");
    page.control("TH", ["tftp-edge.toml", "5", "", &source, "tftp-edge"]);
    page.control("SH", ["NAME"]);
    page.text([roman("tftp-edge.toml - the configuration of tftp-edge(8)")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([
        roman("The configuration is "),
        bold("/etc/tftp-edge/tftp-edge.toml"),
        roman(
            " unless a command is given another one. It is written in TOML. Every key is optional, \
             and is shown here with its default. A relative path is taken from the directory of the \
             file. A key that does not exist is refused with its line and the nearest one that \
             does.",
        ),
    ]);
    page.control("PP", []);
    page.text([
        roman("Check a change with "),
        bold("tftp-edge check"),
        roman("."),
    ]);
    for section in &config.shown.sections {
        table(&mut page, section);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([roman("tftp-edge(8), tftp-edge-check(8)")]);
    Ok(page.to_roff())
}

fn table(page: &mut Roff, section: &Section) {
    page.control("SH", [format!("[{}]", section.name).as_str()]);
    paragraph(page, &section.about);
    for key in &section.keys {
        page.control("TP", []);
        page.text([
            bold(key.key.as_str()),
            roman(" = "),
            italic(key.default.as_str()),
        ]);
        // Keys that are explained together have their text at the first.
        paragraph(page, &key.about);
    }
}

fn paragraph(page: &mut Roff, text: &str) {
    if text.is_empty() {
        page.control("br", []);
    } else {
        page.text([roman(text)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_setting_with_its_default() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tftp-edge/tftp-edge.toml");
        let page = page(&file, &tftp_edge::cli::command()).unwrap();
        assert!(page.contains(".SH [tftp.resend]\n"), "{page}");
        assert!(page.contains("\\fBfirst_ms\\fR = \\fI1000\\fR\n"), "{page}");
        let file = std::fs::read_to_string(file).unwrap();
        let keys = file.lines().filter_map(|line| line.strip_prefix('#'));
        let keys = keys.filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()));
        for line in keys {
            let (key, _) = line.split_once(" = ").unwrap();
            assert!(page.contains(&format!("\\fB{key}\\fR = ")), "{key}");
        }
    }
}
