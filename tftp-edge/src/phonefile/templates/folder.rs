//! Reads the folder of templates, and nothing outside of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The most templates, and the largest.
const MAX_FILES: usize = 1000;
const MAX_BYTES: u64 = 1 << 20;

/// How deep folders may lie in one another.
const MAX_DEPTH: usize = 8;

/// By path within the folder, with `/`: the source, or why there is none. What an editor leaves
/// behind is passed over.
pub(super) fn read(folder: &Path) -> BTreeMap<String, Result<String, String>> {
    let mut sources = BTreeMap::new();
    let Ok(root) = folder.canonicalize() else {
        // It may be made later; there is nothing to read meanwhile.
        return sources;
    };
    let mut folders = vec![(root.clone(), 0)];
    while let Some((path, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&path) else {
            tracing::warn!(event = "templates.unreadable", folder = %path.display(), "a folder of templates cannot be read");
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if is_left_behind(&path) {
                continue;
            }
            if path.is_dir() && depth < MAX_DEPTH {
                folders.push((path, depth + 1));
            } else if let Some(name) = name_of(&root, &path)
                && sources.len() < MAX_FILES
            {
                sources.insert(name, source(&root, &path));
            }
        }
    }
    sources
}

fn is_left_behind(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    name.is_none_or(|name| name.starts_with('.') || name.ends_with('~') || name.ends_with(".tmp"))
}

fn name_of(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.iter();
    let parts: Vec<_> = parts.map(|part| part.to_str()).collect::<Option<_>>()?;
    Some(parts.join("/"))
}

fn source(root: &Path, path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("it cannot be read: {error}");
    let target: PathBuf = path.canonicalize().map_err(told)?;
    if !target.starts_with(root) {
        return Err("it is a link out of the folder of templates".into());
    }
    let metadata = fs::metadata(&target).map_err(told)?;
    if !metadata.is_file() {
        return Err("it is no regular file".into());
    }
    if metadata.len() > MAX_BYTES {
        return Err(format!(
            "{} bytes are more than {MAX_BYTES}",
            metadata.len()
        ));
    }
    fs::read_to_string(&target).map_err(told)
}
