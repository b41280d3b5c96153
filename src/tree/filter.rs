//! Which entries are left out by a rule (pure). The dialect is gitignore's; the last matching rule wins.
//!
//! Weakest first: the names of temporary files, then `.smh-mirrorignore` files from the root inwards,
//! then `exclude` of the configuration. So a rule of a person always beats a built-in one.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::entry::Skip;
use crate::config::TEMPORARY_NAMES;
use crate::relpath::RelPath;

/// Rules for the directory it lies in and everything below.
pub const IGNORE_FILE: &str = ".smh-mirrorignore";

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
    /// Lines that are not valid were refused with the configuration; here they match nothing. `temporary`: the names of
    /// temporary files are left out too.
    pub(super) fn new(exclude: &[String], temporary: bool) -> BaseRules {
        let names: &[&str] = if temporary { TEMPORARY_NAMES } else { &[] };
        BaseRules {
            temporary: build(names.iter().copied()),
            exclude: build(exclude.iter().map(String::as_str)),
        }
    }
}

impl FileRules {
    /// Rules from the text of the ignore file in `dir`.
    pub(super) fn new(dir: RelPath, text: &str) -> FileRules {
        // Editors that put a mark at the beginning of a text do not mean it to be a part of the first rule.
        FileRules { dir, rules: build(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) }
    }
}

fn build<'a>(lines: impl Iterator<Item = &'a str>) -> Gitignore {
    // An empty root: paths are given relative to the directory of the rules.
    let mut builder = GitignoreBuilder::new("");
    for line in lines {
        // A line that does not compile matches nothing, as in git.
        let _ = builder.add_line(None, &with_ranges(line));
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// Classes of characters in brackets, which the library does not know, as ranges. None begins with what means something
/// at the beginning of brackets, and none holds a `/`, which no name has: it would tie the rule to one directory.
const CLASSES: &[(&str, &str)] = &[
    ("[:digit:]", "0-9"),
    ("[:lower:]", "a-z"),
    ("[:upper:]", "A-Z"),
    ("[:alpha:]", "a-zA-Z"),
    ("[:alnum:]", "0-9a-zA-Z"),
    ("[:xdigit:]", "0-9a-fA-F"),
    ("[:blank:]", "\t "),
    ("[:space:]", "\t-\r "),
    ("[:cntrl:]", "\u{1}-\u{1f}\u{7f}"),
    ("[:punct:]", ":-@[-`{-~!-."),
    ("[:graph:]", "\"-~!"),
    ("[:print:]", " -~"),
];

/// A rule whose classes of characters are written as ranges.
fn with_ranges(line: &str) -> Cow<'_, str> {
    if !line.contains("[:") {
        return Cow::Borrowed(line);
    }
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    let mut inside = false;
    while let Some(first) = rest.chars().next() {
        let class = CLASSES.iter().find(|(name, _)| inside && rest.starts_with(name));
        let taken = match (first, class) {
            (_, Some((name, ranges))) => {
                text.push_str(ranges);
                name.len()
            }
            // It and what it takes the meaning from.
            ('\\', None) => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            ('[', None) if !inside => {
                inside = true;
                // A bracket that closes at once is one of the characters.
                let mark = usize::from(rest.get(1..).is_some_and(|r| r.starts_with(['!', '^'])));
                let closing = rest.get(1 + mark..).is_some_and(|r| r.starts_with(']'));
                1 + mark + usize::from(closing)
            }
            (first, None) => {
                inside &= first != ']';
                first.len_utf8()
            }
        };
        if class.is_none() {
            text.push_str(rest.get(..taken).unwrap_or_default());
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    Cow::Owned(text)
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The built-in list of temporary names.
    BuiltIn {
        /// The pattern.
        text: String,
    },
    /// An ignore file.
    File {
        /// The directory it lies in.
        dir: RelPath,
        /// The line, from 1; `None`: the file changed meanwhile.
        line: Option<usize>,
        /// The rule as it is written.
        text: String,
    },
    /// `exclude` of the configuration.
    Config {
        /// Its place in the list, from 0.
        index: usize,
        /// The rule as it is written.
        text: String,
    },
}

/// The rule that decides about an entry, borrowed from where it stands.
struct Ruling<'a> {
    source: Source<'a>,
    /// The rule as it is written.
    text: &'a str,
    leaves_out: bool,
}

enum Source<'a> {
    BuiltIn,
    File(&'a FileRules),
    Config,
}

/// Why the entry `name` in `dir` is left out by a rule; `None`: it is not.
pub(super) fn left_out(
    base: &BaseRules,
    files: &[FileRules],
    dir: &RelPath,
    name: &[u8],
    is_dir: bool,
) -> Option<Skip> {
    let ruling = ruling(base, files, &dir.join(name), name, is_dir)?;
    ruling.leaves_out.then_some(match ruling.source {
        Source::BuiltIn => Skip::Temporary,
        Source::File(_) | Source::Config => Skip::Excluded,
    })
}

/// The rule that decides about the entry `name` in `dir`, and whether it leaves it out. `texts` are
/// those of the ignore files, to find the line in.
pub(super) fn explain(
    base: &BaseRules,
    exclude: &[String],
    texts: &[(RelPath, String)],
    dir: &RelPath,
    name: &[u8],
    is_dir: bool,
) -> Option<(Rule, bool)> {
    let files: Vec<FileRules> =
        texts.iter().map(|(dir, text)| FileRules::new(dir.clone(), text)).collect();
    let ruling = ruling(base, &files, &dir.join(name), name, is_dir)?;
    let text = ruling.text.to_owned();
    let rule = match ruling.source {
        Source::BuiltIn => Rule::BuiltIn { text },
        Source::File(rules) => {
            let all = texts.iter().find(|(dir, _)| *dir == rules.dir).map(|(_, text)| text);
            let lines = all.map(|all| all.strip_prefix('\u{feff}').unwrap_or(all).lines());
            let found = lines.and_then(|lines| last_place(lines, &text));
            let line = found.map(|(at, _)| at + 1);
            let text = found.map_or(text.clone(), |(_, line)| line.trim_end().to_owned());
            Rule::File { dir: rules.dir.clone(), line, text }
        }
        Source::Config => {
            let lines = exclude.iter().map(String::as_str);
            let (index, text) = last_place(lines, &text)
                .map_or((0, text.clone()), |(index, line)| (index, line.to_owned()));
            Rule::Config { index, text }
        }
    };
    Some((rule, ruling.leaves_out))
}

/// Where a rule stands among lines, and as what. Of equal ones it is the last that decides.
fn last_place<'a>(lines: impl Iterator<Item = &'a str>, text: &str) -> Option<(usize, &'a str)> {
    let is_it = |line: &str| {
        let line = with_ranges(line);
        line == text || line.trim_end() == text
    };
    lines.enumerate().filter(|(_, line)| is_it(line)).last()
}

fn ruling<'a>(
    base: &'a BaseRules,
    files: &'a [FileRules],
    path: &RelPath,
    name: &[u8],
    is_dir: bool,
) -> Option<Ruling<'a>> {
    // The strongest says it first; a match that allows ends the search.
    if let Some(ruling) = matched(&base.exclude, path.as_path(), is_dir, Source::Config) {
        return Some(ruling);
    }
    for file in files.iter().rev() {
        let Some(below) = strip(path, &file.dir) else { continue };
        let below = Path::new(OsStr::from_bytes(below));
        if let Some(ruling) = matched(&file.rules, below, is_dir, Source::File(file)) {
            return Some(ruling);
        }
    }
    // Directories are never temporary.
    if is_dir {
        return None;
    }
    matched(&base.temporary, Path::new(OsStr::from_bytes(name)), false, Source::BuiltIn)
}

fn matched<'a>(
    rules: &'a Gitignore,
    path: &Path,
    is_dir: bool,
    source: Source<'a>,
) -> Option<Ruling<'a>> {
    let found = rules.matched(path, is_dir);
    let glob = found.inner()?;
    Some(Ruling { source, text: glob.original(), leaves_out: found.is_ignore() })
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
        let base = BaseRules::new(&["*.tmp".into(), "/cache/".into(), "!keep.tmp".into()], true);
        assert_eq!(check(&base, &[], "a/b.tmp", false), Some(Skip::Excluded));
        assert_eq!(check(&base, &[], "a/keep.tmp", false), None);
        assert_eq!(check(&base, &[], "cache", true), Some(Skip::Excluded));
        assert_eq!(check(&base, &[], "cache", false), None);
        assert_eq!(check(&base, &[], "a/cache", true), None);
    }

    #[test]
    fn an_inner_file_beats_an_outer_one_and_the_configuration_beats_both() {
        let base = BaseRules::new(&["never".into()], true);
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
    fn the_rule_that_decides_is_named_with_its_place() {
        let exclude = ["*.tmp".to_owned(), "/cache/".to_owned(), "!keep.tmp".to_owned()];
        let base = BaseRules::new(&exclude, true);
        let texts = [
            (RelPath::root(), "# logs\n\n*.log  \n*.log\n".to_owned()),
            (rel("a"), "!x.log\n".to_owned()),
        ];
        let check = |path: &str, is_dir: bool| {
            let path = rel(path);
            let (dir, name) = path.split().expect("not the root");
            let texts = if dir.is_root() { &texts[..1] } else { &texts[..] };
            explain(&base, &exclude, texts, &dir, name, is_dir)
        };
        let config = |index: usize| Rule::Config { index, text: exclude[index].clone() };
        let file = |dir, line, text: &str| Rule::File { dir, line: Some(line), text: text.into() };
        assert_eq!(check("a/b.tmp", false), Some((config(0), true)));
        assert_eq!(check("cache", true), Some((config(1), true)));
        assert_eq!(check("keep.tmp", false), Some((config(2), false)));
        assert_eq!(check("y.log", false), Some((file(RelPath::root(), 4, "*.log"), true)));
        assert_eq!(check("a/x.log", false), Some((file(rel("a"), 1, "!x.log"), false)));
        let built_in = Rule::BuiltIn { text: "*.crdownload".into() };
        assert_eq!(check("x.crdownload", false), Some((built_in, true)));
        assert_eq!(check("plain", false), None);
    }

    #[test]
    fn classes_of_characters_are_ranges() {
        for (line, ranges) in [
            ("a[[:digit:]]b", "a[0-9]b"),
            ("[![:upper:]x]", "[!A-Zx]"),
            ("[][:blank:]]", "[]\t ]"),
            ("[:digit:]", "[:digit:]"),
            ("\\[[:digit:]", "\\[[:digit:]"),
            ("[a][[:alpha:][:digit:]]", "[a][a-zA-Z0-9]"),
            ("[[:none:]]", "[[:none:]]"),
        ] {
            assert_eq!(with_ranges(line), ranges, "{line}");
        }
        let rules = ["x[[:digit:]]".to_owned()];
        let rule =
            explain(&BaseRules::new(&rules, true), &rules, &[], &RelPath::root(), b"x7", false);
        assert_eq!(rule, Some((Rule::Config { index: 0, text: rules[0].clone() }, true)));
    }

    #[test]
    fn temporary_names_give_way_to_a_rule() {
        let none = BaseRules::new(&[], true);
        for name in [".a.txt.swp", ".#a", "~$letter.docx", ".~lock.a.odt#", "x.crdownload"] {
            assert_eq!(check(&none, &[], name, false), Some(Skip::Temporary), "{name}");
        }
        for name in ["a.swp", "file~", "a.tmp", ".bashrc.backup"] {
            assert_eq!(check(&none, &[], name, false), None, "{name}");
        }
        let wanted = BaseRules::new(&["!*.crdownload".into()], true);
        assert_eq!(check(&wanted, &[], "x.crdownload", false), None);
        let off = BaseRules::new(&[], false);
        assert_eq!(check(&off, &[], "x.crdownload", false), None);
    }
}
