//! Whether a target lies apart from what must not be written (shell: looks at the disk, links seen through).

use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::target::TargetError;

/// Makes sure that `target` neither is nor holds nor lies in one of the `others`, which come with what they are; links
/// and mounts of the same folder in another place are seen through. Gives the real path of the target.
///
/// # Errors
/// It does, or its path cannot be followed.
pub fn apart(target: &Path, others: &[(String, PathBuf)]) -> Result<PathBuf, TargetError> {
    let real = real(target)?;
    let ids = identities(&real);
    for (what, other) in others {
        // One that cannot be followed is compared by its name.
        let other = self::real(other).unwrap_or_else(|_| other.clone());
        let other_ids = identities(&other);
        let within = |ids: &[Option<(u64, u64)>], outer: &[Option<(u64, u64)>]| {
            outer.first().copied().flatten().is_some_and(|id| ids.contains(&Some(id)))
        };
        let inside = real.starts_with(&other) || within(&ids, &other_ids);
        let around = other.starts_with(&real) || within(&other_ids, &ids);
        let relation = match (inside, around) {
            (true, true) => "is",
            (true, false) => "lies in",
            (false, true) => "holds",
            (false, false) => continue,
        };
        return Err(TargetError::Overlaps {
            target: target.to_path_buf(),
            relation,
            what: what.clone(),
        });
    }
    Ok(real)
}

/// The path without links; of what is not there yet, the names are taken as they are.
fn real(path: &Path) -> Result<PathBuf, TargetError> {
    let io =
        |source| TargetError::Io { action: "follow the path", path: path.to_path_buf(), source };
    let whole = std::path::absolute(path).map_err(io)?;
    for ancestor in whole.ancestors() {
        match ancestor.canonicalize() {
            Ok(real) => {
                let rest = whole.strip_prefix(ancestor).unwrap_or(Path::new(""));
                // What is not there yet cannot be gone back from.
                if rest.components().any(|part| part == Component::ParentDir) {
                    return Err(io(std::io::ErrorKind::NotFound.into()));
                }
                return Ok(if rest.as_os_str().is_empty() { real } else { real.join(rest) });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
    }
    Ok(whole)
}

/// Device and inode of the folder and of all that it lies in, innermost first; `None` where nothing is there.
fn identities(path: &Path) -> Vec<Option<(u64, u64)>> {
    path.ancestors()
        .map(|place| std::fs::metadata(place).ok().map(|facts| (facts.dev(), facts.ino())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_apart_from_what_is_mirrored() {
        let tmp = tempfile::tempdir().unwrap();
        let path = |name: &str| tmp.path().join(name);
        std::fs::create_dir_all(path("root/sub")).unwrap();
        std::os::unix::fs::symlink(path("root"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
        let root = [("the folder of mirror docs".to_owned(), path("root"))];
        let relation = |target: &str| match apart(&path(target), &root) {
            Ok(_) => "apart",
            Err(TargetError::Overlaps { relation, .. }) => relation,
            Err(_) => "error",
        };
        for (target, expected) in [
            ("root", "is"),
            ("link", "is"),
            ("root/sub", "lies in"),
            ("link/new/deep", "lies in"),
            ("root/../root/new", "lies in"),
            ("", "holds"),
            ("new", "apart"),
            ("rootless", "apart"),
            ("root/../new", "apart"),
            ("new/../root", "error"),
        ] {
            assert_eq!(relation(target), expected, "{target}");
        }
        // A root that is not there now may be mounted tomorrow.
        let later = [("m".to_owned(), path("later/root"))];
        assert!(apart(&path("later/root/x"), &later).is_err());
        assert!(apart(&path("later"), &later).is_err());
        assert!(apart(&path("later/other"), &later).is_ok());
    }
}
