//! Which mirror a path of this machine belongs to (shell: links above the root are seen through).

use std::path::{Component, Path, PathBuf};

use super::{Exit, Failure};
use crate::config::{Config, Mirror};
use crate::relpath::RelPath;

/// A path as messages name it: what was typed means something else elsewhere.
pub(super) fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The mirror that a path belongs to, and its name there. The name of a mirror stands for its folder. Links above the root are seen through, the
/// path below it is taken as it is.
pub(super) fn locate<'c>(config: &'c Config, path: &Path) -> Option<(&'c Mirror, RelPath)> {
    let whole = std::path::absolute(path).ok()?;
    let mut plain = PathBuf::new();
    for part in whole.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    // The directory as the system sees it, the last name as it is: it may be a link itself.
    let resolved = plain
        .parent()
        .and_then(|parent| parent.canonicalize().ok())
        .zip(plain.file_name())
        .map(|(parent, name)| parent.join(name));
    for mirror in &config.mirrors {
        let mut roots = vec![mirror.local.clone()];
        roots.extend(mirror.local.canonicalize());
        for root in roots {
            for candidate in [Some(&plain), resolved.as_ref()].into_iter().flatten() {
                if let Ok(below) = candidate.strip_prefix(&root) {
                    return Some((mirror, RelPath::from_path(below)?));
                }
            }
        }
    }
    // What is called like a mirror and is nothing here is that mirror; a folder of that name may be another one.
    let named = config.mirrors.iter().find(|mirror| path.as_os_str() == mirror.name.as_str());
    named.filter(|_| whole.symlink_metadata().is_err()).map(|mirror| (mirror, RelPath::root()))
}

/// The mirrors of these names, or without one all of them.
///
/// # Errors
/// A name that is not configured.
pub(super) fn named<'c>(config: &'c Config, names: &[String]) -> Result<Vec<&'c Mirror>, Failure> {
    if names.is_empty() {
        return Ok(config.mirrors.iter().collect());
    }
    names
        .iter()
        .map(|name| {
            config.mirrors.iter().find(|mirror| mirror.name == *name).ok_or_else(|| {
                let known: Vec<&str> = config.mirrors.iter().map(|m| m.name.as_str()).collect();
                let said = anyhow::anyhow!(
                    "{name:?} is no mirror of {}; name one of {}",
                    config.file.display(),
                    known.join(", ")
                );
                Failure::new(Exit::Usage, said)
            })
        })
        .collect()
}

/// As [`locate`], for commands that can say nothing about other paths.
///
/// # Errors
/// The path lies in no mirror.
pub(super) fn need<'c>(config: &'c Config, path: &Path) -> Result<(&'c Mirror, RelPath), Failure> {
    locate(config, path).ok_or_else(|| {
        let roots: Vec<String> =
            config.mirrors.iter().map(|mirror| mirror.local.display().to_string()).collect();
        let said = anyhow::anyhow!(
            "{} belongs to no mirror; name something in {}",
            whole(path).display(),
            roots.join(" or ")
        );
        Failure::new(Exit::Usage, said)
    })
}
