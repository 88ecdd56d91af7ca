//! `tftp-edge-manual`: the manual pages and the shell completions, from the definitions that the
//! program parses with and from the commented configuration that ships with it.
//!
//! A program of its own, so that the daemon does not carry what only a packager needs.

mod pages;
mod settings;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use clap_complete::Shell;

/// Writes the manual pages and the shell completions of tftp-edge.
#[derive(Parser)]
struct Cli {
    /// The commented configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Gets `man` and `completions`.
    folder: PathBuf,
}

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let man = cli.folder.join("man");
    let completions = cli.folder.join("completions");
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let command = tftp_edge::cli::command();
    for (name, page) in pages::all(&command)? {
        fs::write(man.join(name), page)?;
    }
    fs::write(
        man.join("tftp-edge.toml.5"),
        settings::page(&cli.config, &command)?,
    )?;
    for shell in SHELLS {
        let mut command = command.clone();
        clap_complete::generate_to(shell, &mut command, "tftp-edge", &completions)?;
    }
    Ok(())
}
