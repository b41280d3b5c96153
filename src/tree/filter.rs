//! Which entries are left out by a rule (pure). The dialect is gitignore's; the last matching rule wins.
//!
//! Weakest first: the names of temporary files, then `.smh-mirrorignore` files from the root inwards,
//! then `exclude` of the configuration. So a rule of a person always beats a built-in one.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::entry::Skip;
use crate::relpath::RelPath;

/// Rules for the directory it lies in and everything below.
pub const IGNORE_FILE: &str = ".smh-mirrorignore";

/// Names that programs use while they write or lock, and that nobody wants back. Deliberately short:
/// leaving out too much loses a file, leaving out too little costs an upload.
const TEMPORARY: &[&str] = &[
    // vim
    ".*.sw[opx]",
    // Emacs
    ".#*",
    // LibreOffice, Microsoft Office
    ".~lock.*#",
    "~$*",
    // GLib's atomic save
    ".goutputstream-??????",
    // A file that is open somewhere and was deleted, on NFS and FUSE
    ".nfs0000*",
    ".fuse_hidden*",
    // Browser downloads
    "*.crdownload",
];

/// Rules of the configuration and the built-in ones; the same for a whole mirror.
#[derive(Debug, Clone)]
pub(super) struct BaseRules {
    temporary: Gitignore,
    exclude: Gitignore,
}

/// Rules of one ignore file.
#[derive(Debug, Clone)]
pub(super) struct FileRules {
    dir: RelPath,
    rules: Gitignore,
}

impl BaseRules {
    /// Lines that are not valid were refused with the configuration; here they match nothing.
    pub(super) fn new(exclude: &[String]) -> BaseRules {
        BaseRules {
            temporary: build(TEMPORARY.iter().copied()),
            exclude: build(exclude.iter().map(String::as_str)),
        }
    }
}

impl FileRules {
    /// Rules from the text of the ignore file in `dir`.
    pub(super) fn new(dir: RelPath, text: &str) -> FileRules {
        FileRules { dir, rules: build(text.lines()) }
    }
}

fn build<'a>(lines: impl Iterator<Item = &'a str>) -> Gitignore {
    // An empty root: paths are given relative to the directory of the rules.
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        // A line that does not compile matches nothing, as in git.
        let _ = builder.add_line(None, line);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Why the entry `name` in `dir` is left out by a rule; `None`: it is not.
pub(super) fn left_out(
    base: &BaseRules,
    files: &[FileRules],
    dir: &RelPath,
    name: &[u8],
    is_dir: bool,
) -> Option<Skip> {
    let path = dir.join(name);
    // The strongest says it first; a match that allows ends the search.
    let by_config = base.exclude.matched(path.as_path(), is_dir);
    if !by_config.is_none() {
        return by_config.is_ignore().then_some(Skip::Excluded);
    }
    for file in files.iter().rev() {
        let Some(below) = strip(&path, &file.dir) else { continue };
        let found = file.rules.matched(Path::new(OsStr::from_bytes(below)), is_dir);
        if !found.is_none() {
            return found.is_ignore().then_some(Skip::Excluded);
        }
    }
    // Directories are never temporary.
    let temporary =
        !is_dir && base.temporary.matched(Path::new(OsStr::from_bytes(name)), false).is_ignore();
    temporary.then_some(Skip::Temporary)
}

/// `path` relative to `dir`, which lies above it.
fn strip<'a>(path: &'a RelPath, dir: &RelPath) -> Option<&'a [u8]> {
    if dir.is_root() {
        return Some(path.as_bytes());
    }
    path.as_bytes().strip_prefix(dir.as_bytes())?.strip_prefix(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    fn check(base: &BaseRules, files: &[FileRules], path: &str, is_dir: bool) -> Option<Skip> {
        let path = rel(path);
        let (dir, name) = path.split().expect("not the root");
        left_out(base, files, &dir, name, is_dir)
    }

    #[test]
    fn rules_of_the_configuration() {
        let base = BaseRules::new(&["*.tmp".into(), "/cache/".into(), "!keep.tmp".into()]);
        assert_eq!(check(&base, &[], "a/b.tmp", false), Some(Skip::Excluded));
        assert_eq!(check(&base, &[], "a/keep.tmp", false), None);
        assert_eq!(check(&base, &[], "cache", true), Some(Skip::Excluded));
        assert_eq!(check(&base, &[], "cache", false), None);
        assert_eq!(check(&base, &[], "a/cache", true), None);
    }

    #[test]
    fn an_inner_file_beats_an_outer_one_and_the_configuration_beats_both() {
        let base = BaseRules::new(&["never".into()]);
        let files = [
            FileRules::new(RelPath::root(), "*.log\n/top\n"),
            FileRules::new(rel("a"), "!*.log\n!never\n/top\n"),
        ];
        assert_eq!(check(&base, &files, "x.log", false), Some(Skip::Excluded));
        assert_eq!(check(&base, &files, "a/x.log", false), None);
        assert_eq!(check(&base, &files, "a/never", false), Some(Skip::Excluded));
        assert_eq!(check(&base, &files, "a/top", false), Some(Skip::Excluded));
        assert_eq!(check(&base, &files, "a/b/top", false), None);
    }

    #[test]
    fn temporary_names_give_way_to_a_rule() {
        let none = BaseRules::new(&[]);
        for name in [".a.txt.swp", ".#a", "~$letter.docx", ".~lock.a.odt#", "x.crdownload"] {
            assert_eq!(check(&none, &[], name, false), Some(Skip::Temporary), "{name}");
        }
        for name in ["a.swp", "file~", "a.tmp", ".bashrc.backup"] {
            assert_eq!(check(&none, &[], name, false), None, "{name}");
        }
        let wanted = BaseRules::new(&["!*.crdownload".into()]);
        assert_eq!(check(&wanted, &[], "x.crdownload", false), None);
    }
}
