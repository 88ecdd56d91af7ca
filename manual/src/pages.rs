//! tftp-edge(8), and a page for each of its commands.

use std::io;

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

/// For administrators: all of it needs the configuration.
pub const SECTION: &str = "8";
const MANUAL: &str = "tftp-edge";

/// Where things are, on tftp-edge(8).
const FILES: [(&str, &str); 6] = [
    (
        "/etc/tftp-edge/tftp-edge.toml",
        "The configuration; see tftp-edge.toml(5).",
    ),
    (
        "/var/lib/tftp-edge",
        "The inventory, the journal and the registrations.",
    ),
    (
        "/run/tftp-edge/control.sock",
        "Where the daemon answers; members of the group tftp-edge may ask.",
    ),
    ("/srv/tftp", "The files that are served as they are."),
    (
        "/sys/fs/bpf/tftp-edge",
        "The kernel program's links and maps, while the daemon is away.",
    ),
    (
        "/usr/share/doc/tftp-edge/contrib",
        "Alerts, a dashboard, configurations of DHCP servers; what is measured and logged.",
    ),
];

/// File names and pages. Commands of commands have theirs, too: `tftp-edge-inventory-site.8`.
pub fn all(command: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = command.clone().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, None, &mut pages)?;
    Ok(pages)
}

fn add(
    command: &Command,
    parent: Option<&str>,
    pages: &mut Vec<(String, Vec<u8>)>,
) -> io::Result<()> {
    let title = title(command);
    pages.push((format!("{title}.{SECTION}"), page(command, parent)?));
    let commands = command.get_subcommands();
    for inner in commands.filter(|command| !command.is_hide_set()) {
        add(inner, Some(title), pages)?;
    }
    Ok(())
}

/// Such as `tftp-edge-inventory-site`.
fn title(command: &Command) -> &str {
    command
        .get_display_name()
        .unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, parent: Option<&str>) -> io::Result<Vec<u8>> {
    let version = command.get_version().unwrap_or(env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone())
        .section(SECTION)
        .manual(MANUAL)
        .source(format!("tftp-edge {version}"));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut rest = Roff::new();
    if let Some(help) = command.get_after_help() {
        as_it_stands(&mut rest, &help.to_string());
    }
    if parent.is_none() {
        rest.control("SH", ["FILES"]);
        for (path, what) in FILES {
            rest.control("TP", []);
            rest.text([bold(path)]);
            rest.text([roman(what)]);
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    let above = parent.map(|parent| format!("{parent}({SECTION}), "));
    let above = above.unwrap_or_default();
    rest.text([roman(format!("{above}tftp-edge.toml(5)"))]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// A table stays one. Its first line, `Exit status:`, is its heading.
fn as_it_stands(page: &mut Roff, help: &str) {
    let (heading, table) = help.split_once(":\n").unwrap_or(("Notes", help));
    page.control("SH", [heading.to_uppercase().as_str()]);
    page.control("nf", []);
    for line in table.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<(String, String)> {
        let pages = all(&tftp_edge::cli::command()).unwrap().into_iter();
        pages
            .map(|(name, page)| (name, String::from_utf8(page).unwrap()))
            .collect()
    }

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let pages = pages();
        let has = |name: &str| pages.iter().any(|(it, _)| it == name);
        assert!(has("tftp-edge.8"));
        for command in tftp_edge::cli::command().get_subcommands() {
            let name = format!("tftp-edge-{}.8", command.get_name());
            assert_eq!(has(&name), !command.is_hide_set(), "{name}");
        }
        assert!(has("tftp-edge-inventory-site-set.8"));
        assert!(!has("tftp-edge-help.8"));
    }

    #[test]
    fn a_page_leads_to_its_parents_and_the_exit_codes_keep_their_lines() {
        for (name, page) in pages() {
            assert!(page.contains("tftp\\-edge.toml(5)"), "{name}");
        }
        let (_, main) = pages().swap_remove(0);
        assert!(main.contains(".SH \"EXIT STATUS\"\n.nf\n"), "{main}");
        assert!(main.contains("\n  78  wrong configuration\n.fi"), "{main}");
    }
}
