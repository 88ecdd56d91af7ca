//! What must not lie beneath the served root. Whoever can send a datagram can ask for any file
//! there: the inventory with every line's password, or the configuration.

use std::path::{Component, Path, PathBuf};

use super::Config;

/// As many links as the system itself follows.
const MAX_LINKS: usize = 40;

/// The first of the daemon's own files that would be served: the key that names it, and the
/// problem.
pub(super) fn find(
    config: &Config,
    files: &[&Path],
) -> Option<((&'static str, &'static str), String)> {
    let root = settle(&config.content.root);
    let journal = config.journal.database_beside(&config.inventory.database);
    let own = [
        (
            ("inventory", "database"),
            config.inventory.database.as_path(),
            "the inventory",
        ),
        (
            ("control", "socket"),
            config.control.socket.as_path(),
            "the control socket",
        ),
        (
            ("http", "tls.key"),
            config.http.tls.key.as_path(),
            "the private key of HTTPS",
        ),
        (
            ("register", "sip.tls.key"),
            config.register.sip.tls.key.as_path(),
            "the private key of SIP over TLS",
        ),
        (("journal", "database"), journal.as_path(), "the journal"),
        (
            ("web", "password_file"),
            config.web.password_file.as_path(),
            "the password of the web page",
        ),
    ];
    // The files have no key of their own.
    let files = files.iter().copied();
    let files = files.map(|file| (("content", "root"), file, "this configuration"));
    let named = |(_, path, _): &(_, &Path, _)| !path.as_os_str().is_empty();
    own.into_iter()
        .chain(files)
        .filter(named)
        .find_map(|(key, path, what)| {
            let at = settle(path);
            at.starts_with(&root).then(|| {
            let problem = format!(
                "{what}, {}, is beneath content.root, {}, and would be served to anyone; move one \
                 of them",
                at.display(),
                root.display()
            );
            (key, problem)
        })
        })
}

/// Where a path leads, its links followed. What does not exist yet is taken as it is written.
fn settle(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        // A link to what does not exist yet: it will be made where the link leads.
        let Ok(target) = path.read_link() else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    let Some(name) = path.components().next_back() else {
        return path;
    };
    let Some(parent) = path.parent() else {
        return path;
    };
    let mut settled = settle(parent);
    match name {
        Component::ParentDir => {
            settled.pop();
        }
        name => settled.push(name),
    }
    settled
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn config(folder: &Path) -> Config {
        let mut config = Config::default();
        config.content.root = folder.join("root");
        config.inventory.database = folder.join("inventory.db");
        config.control.socket = folder.join("control.sock");
        config.http.tls.key = folder.join("key.pem");
        fs::create_dir_all(&config.content.root).unwrap();
        config
    }

    #[test]
    fn nothing_of_the_daemons_own_may_be_beneath_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.toml");
        let found = |config: &Config, file: &Path| find(config, &[file]).map(|(key, _)| key);
        let good = config(folder.path());
        assert_eq!(found(&good, &file), None);

        let mut bad = good.clone();
        bad.inventory.database = folder.path().join("root/not/there/inventory.db");
        let (key, problem) = find(&bad, &[&file]).unwrap();
        assert_eq!(key, ("inventory", "database"));
        assert!(problem.contains("content.root"), "{problem}");

        let mut bad = good.clone();
        bad.control.socket = folder.path().join("none/../root/control.sock");
        assert_eq!(found(&bad, &file), Some(("control", "socket")));

        let mut bad = good.clone();
        bad.http.tls.key = folder.path().join("root/key.pem");
        assert_eq!(found(&bad, &file), Some(("http", "tls.key")));

        let mut bad = good.clone();
        bad.journal.database = folder.path().join("root/journal.db");
        assert_eq!(found(&bad, &file), Some(("journal", "database")));

        let within = folder.path().join("root/edge.toml");
        assert_eq!(found(&good, &within), Some(("content", "root")));
        let fragment = folder.path().join("root/conf.d/x.toml");
        let (key, problem) = find(&good, &[&file, &fragment]).unwrap();
        assert_eq!(key, ("content", "root"));
        assert!(problem.contains("root/conf.d/x.toml"), "{problem}");
    }

    #[test]
    fn links_are_followed_even_to_what_does_not_exist_yet() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        symlink("root/real.db", folder.path().join("link.db")).unwrap();
        config.inventory.database = folder.path().join("link.db");
        let file = folder.path().join("edge.toml");
        let (key, _) = find(&config, &[&file]).unwrap();
        assert_eq!(key, ("inventory", "database"));

        // A root that is a link itself.
        let mut config = self::config(folder.path());
        symlink(".", folder.path().join("all")).unwrap();
        config.content.root = folder.path().join("all");
        assert!(find(&config, &[&file]).is_some());
    }

    #[test]
    fn a_folder_whose_name_begins_like_the_root_is_not_beneath_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        config.inventory.database = folder.path().join("root-data/inventory.db");
        assert_eq!(find(&config, &[&folder.path().join("edge.toml")]), None);
    }
}
