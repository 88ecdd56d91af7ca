//! Which command can end with which code.

use std::fmt::Write as _;

use super::Exit;

/// Commands that end alike.
struct Group {
    /// Each with all that is below it: `inventory` is every command of the inventory.
    commands: &'static [&'static str],
    /// Beside [`EVERY`].
    also: &'static [Exit],
}

impl Group {
    fn may_end_with(&self, exit: Exit) -> bool {
        EVERY.contains(&exit) || self.also.contains(&exit)
    }
}

/// Codes that every command can end with: it prints, and reads the configuration.
const EVERY: [Exit; 4] = [Exit::Ok, Exit::Usage, Exit::Io, Exit::Config];

/// `tests/exit_codes` provokes each of these, and finds no other.
const GROUPS: [Group; 11] = [
    Group {
        commands: &["run"],
        also: &[
            Exit::Data,
            Exit::NoInput,
            Exit::Unavailable,
            Exit::Os,
            Exit::Temporary,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["status"],
        also: &[
            Exit::Degraded,
            Exit::Unavailable,
            Exit::Software,
            Exit::Temporary,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["registrations", "reload", "trace"],
        also: &[
            Exit::Unavailable,
            Exit::Software,
            Exit::Temporary,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["log", "report", "top"],
        also: &[Exit::Unavailable, Exit::Software, Exit::NoPermission],
    },
    Group {
        commands: &["bans"],
        also: &[
            Exit::Data,
            Exit::Unavailable,
            Exit::Software,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["why"],
        also: &[
            Exit::Degraded,
            Exit::Data,
            Exit::Unavailable,
            Exit::Software,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["phones"],
        also: &[
            Exit::Data,
            Exit::NoInput,
            Exit::Unavailable,
            Exit::Software,
            Exit::Os,
            Exit::Temporary,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["firmware", "files"],
        also: &[
            Exit::Degraded,
            Exit::Data,
            Exit::NoInput,
            Exit::Os,
            Exit::Temporary,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["dhcp", "inventory", "lldp", "render"],
        also: &[
            Exit::Data,
            Exit::NoInput,
            Exit::Os,
            Exit::Temporary,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["detach"],
        also: &[
            Exit::NoInput,
            Exit::Unavailable,
            Exit::Os,
            Exit::NoPermission,
        ],
    },
    Group {
        commands: &["check", "config"],
        also: &[],
    },
];

/// The codes that a command can end with; `path` is its words, as `inventory import`. None: there is
/// no such command.
pub fn codes(path: &str) -> Option<Vec<Exit>> {
    let first = path.split(' ').next().unwrap_or(path);
    let group = GROUPS.iter().find(|it| it.commands.contains(&first))?;
    let codes = Exit::ALL.into_iter();
    Some(codes.filter(|it| group.may_end_with(*it)).collect())
}

/// The table of `contrib/service.md`.
pub fn markdown() -> String {
    let mut text = "| code | name | commands | restart |\n|---|---|---|---|\n".to_owned();
    for exit in Exit::ALL {
        let ending = GROUPS.iter().filter(|it| it.may_end_with(exit));
        let mut commands: Vec<_> = ending.flat_map(|it| it.commands).collect();
        commands.sort_unstable();
        let all: usize = GROUPS.iter().map(|it| it.commands.len()).sum();
        let commands = match commands.len() {
            many if many == all => "all".to_owned(),
            _ => {
                let names: Vec<_> = commands.iter().map(|it| format!("`{it}`")).collect();
                names.join(" ")
            }
        };
        let restart = match (commands.contains("`run`") || commands == "all", exit) {
            (false, _) | (_, Exit::Ok) => "",
            (true, exit) if exit.is_final() => "would not help",
            (true, _) => "may help",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | `{}` | {commands} | {restart} |",
            exit as u8,
            exit.sysexit()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top_level() -> Vec<String> {
        let command = crate::cli::command();
        let names = command.get_subcommands().filter(|it| !it.is_hide_set());
        names.map(|it| it.get_name().to_owned()).collect()
    }

    #[test]
    fn every_command_has_its_codes_and_no_other() {
        let mut listed: Vec<_> = GROUPS.iter().flat_map(|it| it.commands).collect();
        listed.sort_unstable();
        let mut there = top_level();
        there.sort_unstable();
        assert_eq!(listed, there.iter().collect::<Vec<_>>());
        assert_eq!(codes("inventory import").unwrap()[0], Exit::Ok);
        assert!(codes("fly").is_none());
    }

    #[test]
    fn every_code_is_some_commands() {
        for exit in Exit::ALL {
            let is_used = GROUPS.iter().any(|it| it.may_end_with(exit));
            assert!(is_used, "{exit:?}");
        }
    }

    #[test]
    fn the_document_has_this_table() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/service.md");
        let document = std::fs::read_to_string(file).unwrap();
        let table = markdown();
        assert!(
            document.contains(&table),
            "contrib/service.md must have:\n{table}"
        );
        let finals = Exit::ALL.into_iter().filter(|it| it.is_final());
        let finals: Vec<_> = finals.map(|it| (it as u8).to_string()).collect();
        let line = format!("RestartPreventExitStatus={}", finals.join(" "));
        assert!(document.contains(&line), "contrib/service.md lacks {line}");
    }
}
