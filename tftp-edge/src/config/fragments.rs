//! Finding and reading the files: the one that is named, and `conf.d/*.toml` beside it.
//!
//! Fragments count in the order of the bytes of their names, so `10-site.toml` goes before
//! `20-secrets.toml`. What does not end in `.toml` is left alone, as are hidden files: editors and
//! package managers leave `x.toml~`, `.x.toml.swp`, `.#x.toml` and `x.toml.dpkg-old` behind. Links
//! are followed; one to `/dev/null` switches a fragment off.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::ConfigError;

/// The folder of fragments, beside the file.
pub const FOLDER: &str = "conf.d";

/// More are no configuration that anyone could follow.
const MAX_FILES: usize = 500;
/// A larger file is something else.
const MAX_BYTES: u64 = 4 << 20;

/// The files, in the order in which they count, with their texts.
pub(super) fn read(file: &Path) -> Result<Vec<(PathBuf, String)>, ConfigError> {
    let text = read_text(file)?;
    let mut files = vec![(file.to_owned(), text)];
    let folder = folder(file);
    let names = match list(&folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(ConfigError::Folder { folder, source }),
    };
    let fragments: Vec<_> = names.into_iter().filter(|name| is_fragment(name)).collect();
    if fragments.len() > MAX_FILES {
        let count = fragments.len();
        return Err(ConfigError::TooMany { folder, count });
    }
    for name in fragments {
        let path = folder.join(name);
        let text = read_fragment(&path)?;
        files.push((path, text));
    }
    Ok(files)
}

/// What lies beside the fragments and is none.
pub fn ignored(file: &Path) -> Vec<PathBuf> {
    let folder = folder(file);
    let names = list(&folder).unwrap_or_default();
    let others = names.into_iter().filter(|name| !is_fragment(name));
    others.map(|name| folder.join(name)).collect()
}

fn folder(file: &Path) -> PathBuf {
    file.with_file_name(FOLDER)
}

fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(PathBuf::from(entry?.file_name())));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort_by(|one, other| one.as_os_str().as_bytes().cmp(other.as_os_str().as_bytes()));
    Ok(names)
}

fn is_fragment(name: &Path) -> bool {
    let name = name.as_os_str().as_bytes();
    name.ends_with(b".toml") && !name.starts_with(b".")
}

/// As [`read_text`]. Opening a pipe would wait for who writes into it.
fn read_fragment(path: &Path) -> Result<String, ConfigError> {
    let kind = fs::metadata(path).map(|metadata| metadata.file_type());
    match kind {
        Ok(kind) if kind.is_file() || kind.is_char_device() => read_text(path),
        Ok(_) => Err(ConfigError::NoFile(path.to_owned())),
        Err(source) => Err(ConfigError::Read {
            file: path.to_owned(),
            source,
        }),
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let read = || {
        let mut text = String::new();
        let file = File::open(path)?;
        file.take(MAX_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_BYTES {
            let problem = format!("it has more than {} MiB", MAX_BYTES >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        Ok(text)
    };
    read().map_err(|source| ConfigError::Read {
        file: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Result<Vec<String>, String> {
        let files = read(&folder.join("edge.toml")).map_err(|error| {
            let folder = folder.display().to_string();
            error.to_string().replace(&folder, "DIR")
        })?;
        let name = |(path, _): &(PathBuf, String)| {
            let name = path.strip_prefix(folder).unwrap();
            name.display().to_string()
        };
        Ok(files.iter().map(name).collect())
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("edge.toml"), "").unwrap();
        folder
    }

    #[test]
    fn fragments_are_read_in_the_order_of_their_names_and_other_names_are_left_alone() {
        let folder = folder();
        assert_eq!(names(folder.path()).unwrap(), ["edge.toml"]);
        let fragments = folder.path().join(FOLDER);
        fs::create_dir(&fragments).unwrap();
        let others = [".hidden.toml", "20.toml~", "20.toml.dpkg-old", "readme"];
        for name in ["20.toml", "100.toml", "Z.toml", "a.toml"]
            .iter()
            .chain(&others)
        {
            fs::write(fragments.join(name), "").unwrap();
        }
        symlink("/dev/null", fragments.join("30-masked.toml")).unwrap();
        symlink("readme", fragments.join("40-linked.toml")).unwrap();
        assert_eq!(
            names(folder.path()).unwrap(),
            [
                "edge.toml",
                "conf.d/100.toml",
                "conf.d/20.toml",
                "conf.d/30-masked.toml",
                "conf.d/40-linked.toml",
                "conf.d/Z.toml",
                "conf.d/a.toml"
            ]
        );
        assert_eq!(
            ignored(&folder.path().join("edge.toml")).len(),
            others.len()
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_to_do() {
        let folder = folder();
        let fragments = folder.path().join(FOLDER);
        fs::write(&fragments, "").unwrap();
        let error = names(folder.path()).unwrap_err();
        assert!(
            error.starts_with("DIR/conf.d: cannot read the folder of fragments: Not a directory"),
            "{error}"
        );
        fs::remove_file(&fragments).unwrap();
        fs::create_dir(&fragments).unwrap();

        fs::create_dir(fragments.join("x.toml")).unwrap();
        assert_eq!(
            names(folder.path()).unwrap_err(),
            "DIR/conf.d/x.toml: this is no file; move it away, or rename it so that it does not \
             end in .toml"
        );
        fs::remove_dir(fragments.join("x.toml")).unwrap();
        nix::unistd::mkfifo(&fragments.join("x.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(
            names(folder.path())
                .unwrap_err()
                .contains("this is no file")
        );
        fs::remove_file(fragments.join("x.toml")).unwrap();

        symlink("nowhere", fragments.join("x.toml")).unwrap();
        assert_eq!(
            names(folder.path()).unwrap_err(),
            "DIR/conf.d/x.toml: cannot read the configuration: No such file or directory (os \
             error 2); the link leads nowhere: put its file there, or remove the link"
        );
        fs::remove_file(fragments.join("x.toml")).unwrap();

        fs::write(fragments.join("x.toml"), [0xff]).unwrap();
        let error = names(folder.path()).unwrap_err();
        assert!(error.ends_with("save it as UTF-8"), "{error}");
        fs::write(fragments.join("x.toml"), vec![b'#'; 5 << 20]).unwrap();
        let error = names(folder.path()).unwrap_err();
        assert!(error.contains("it has more than 4 MiB"), "{error}");
    }
}
