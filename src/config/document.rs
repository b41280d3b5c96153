//! A TOML text as sections whose keys know their lines (pure).
//!
//! Not serde: it stops at the first problem, and a person should see all of them at once.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Report, Wrong};
use super::suggest::nearest;

/// Every key there is, by section. The reading code asks for no other.
pub(super) const KEYS: [(&str, &[&str]); 8] = [
    ("", &["state_dir", "remote", "mirror", "transfer", "hooks", "log", "metrics"]),
    ("remote", &["endpoint", "library_id", "space_id", "user_id", "ca_file", "proxy", "auth"]),
    ("remote.auth", &["library_secret_file", "access_token_file", "access_token_command"]),
    (
        "mirror",
        &[
            "name",
            "local",
            "remote",
            "exclude",
            "exclude_temporary",
            "settle",
            "settle_max",
            "rescan",
            "watch",
            "poll_interval",
            "symlinks",
            "names",
            "delete",
            "delete_grace",
            "max_delete",
        ],
    ),
    ("transfer", &["concurrency", "bandwidth_limit", "multipart_from"]),
    ("hooks", &["on_trouble", "on_recovered", "min_interval"]),
    ("log", &["level", "format"]),
    ("metrics", &["listen"]),
];

pub(super) fn keys_of(section: &str) -> &'static [&'static str] {
    KEYS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, keys)| keys)
}

/// In which lines the keys stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines(BTreeMap<String, usize>);

impl Lines {
    /// The line of a key such as `mirror.docs.local`, or of a rule such as `mirror.docs.exclude[0]`; `None` when the file does not have it.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<usize> {
        self.0.get(key).copied()
    }
}

/// What reading goes along with: where lines begin, what was found wrong.
pub(super) struct Reader<'a> {
    text: &'a str,
    pub(super) report: Report,
    pub(super) lines: Lines,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, report: Report) -> Reader<'a> {
        Reader { text, report, lines: Lines::default() }
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        line_of(self.text.as_bytes(), offset)
    }

    /// The whole document; `None` when it is no TOML, which is then reported.
    pub(super) fn parse(&mut self) -> Option<DeTable<'a>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(table.into_inner()),
            Err(error) => {
                let line = error.span().map(|span| self.line(span.start));
                // Only the message: the error itself would show the line, which may hold a secret.
                let what = error.message().lines().collect::<Vec<_>>().join(", ");
                self.report.add(
                    line,
                    "",
                    Wrong::new(
                        format!("not TOML: {what}"),
                        "correct this line; nothing below it was checked",
                    ),
                );
                None
            }
        }
    }
}

/// The line, from 1, in which a byte stands.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    1 + text.iter().take(offset).filter(|byte| **byte == b'\n').count()
}

/// One table of the document.
pub(super) struct Section<'a, 'b> {
    /// Which of [`KEYS`] it may have.
    kind: &'static str,
    /// What messages call it.
    pub(super) name: String,
    /// Where it begins.
    pub(super) line: Option<usize>,
    table: Option<&'b DeTable<'a>>,
}

impl<'a, 'b> Section<'a, 'b> {
    pub(super) fn new(
        kind: &'static str,
        name: impl Into<String>,
        line: Option<usize>,
        table: Option<&'b DeTable<'a>>,
    ) -> Section<'a, 'b> {
        Section { kind, name: name.into(), line, table }
    }

    /// The name of a key in this section, for messages.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    pub(super) fn find(&self, key: &str) -> Option<(usize, &'b Spanned<DeValue<'a>>)> {
        debug_assert!(keys_of(self.kind).contains(&key), "{key} is not in KEYS");
        let found = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((found.0.span().start, found.1))
    }

    /// Reads a key with `read`. `None` when it is absent or wrong; the latter is reported.
    pub(super) fn take<T>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        read: impl FnOnce(&'b DeValue<'a>) -> Result<T, Wrong>,
    ) -> Option<T> {
        let (start, value) = self.find(key)?;
        let line = reader.line(start);
        reader.lines.0.insert(self.path(key), line);
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(wrong) => {
                reader.report.add(Some(line), self.path(key), wrong);
                None
            }
        }
    }

    /// Remembers the line of each item of a list, as `key[0]`, `key[1]` and so on.
    pub(super) fn note_items(&self, reader: &mut Reader<'_>, key: &str) {
        let Some((_, value)) = self.find(key) else { return };
        for (at, item) in value.get_ref().as_array().into_iter().flatten().enumerate() {
            let line = reader.line(item.span().start);
            reader.lines.0.insert(format!("{}[{at}]", self.path(key)), line);
        }
    }

    /// Like [`Section::take`], and reports when the key is absent.
    pub(super) fn need<T>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        next: &str,
        read: impl FnOnce(&'b DeValue<'a>) -> Result<T, Wrong>,
    ) -> Option<T> {
        if self.find(key).is_none() {
            reader.report.add(self.line, self.path(key), Wrong::new("is missing", next));
            return None;
        }
        self.take(reader, key, read)
    }

    /// The section `key` in this one; an empty one when it is absent.
    pub(super) fn section(
        &self,
        reader: &mut Reader<'_>,
        key: &'static str,
        kind: &'static str,
    ) -> Section<'a, 'b> {
        let name = self.path(key);
        let line = self.find(key).map(|(start, _)| reader.line(start));
        let table = self.take(reader, key, |value| {
            value.as_table().ok_or_else(|| {
                Wrong::new(
                    format!("is {}, not a section", kind_name(value)),
                    format!("write [{name}] on a line of its own and its keys below"),
                )
            })
        });
        Section::new(kind, name, line.or(self.line), table)
    }

    /// Reports the keys that nobody knows.
    pub(super) fn refuse_unknown(&self, reader: &mut Reader<'_>) {
        let known = keys_of(self.kind);
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let line = reader.line(key.span().start);
            let path = self.path(&crate::relpath::printable(name.as_bytes()));
            reader.report.add(
                Some(line),
                path,
                Wrong::new("unknown key", unknown_next(self.kind, name)),
            );
        }
    }
}

fn unknown_next(section: &str, name: &str) -> String {
    let known = keys_of(section);
    if let Some(near) = nearest(name, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    let home = KEYS.iter().find(|(_, keys)| keys.contains(&name)).map(|(home, _)| *home);
    match home {
        Some("") => format!("`{name}` belongs at the top, before the first section"),
        Some("mirror") => format!("`{name}` belongs into [[mirror]]"),
        Some(other) => format!("`{name}` belongs into [{other}]"),
        None => format!("remove it; known here: {}", known.join(", ")),
    }
}

/// What a value is, with its article.
pub(super) fn kind_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_sent_where_it_belongs() {
        assert_eq!(unknown_next("mirror", "setle"), "did you mean `settle`?");
        assert_eq!(unknown_next("transfer", "rescan"), "`rescan` belongs into [[mirror]]");
        assert!(unknown_next("log", "state_dir").contains("at the top"));
        assert!(unknown_next("log", "colour_scheme").contains("known here: level, format"));
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_of(b"a\nb\nc", 0), 1);
        assert_eq!(line_of(b"a\nb\nc", 2), 2);
        assert_eq!(line_of(b"a\nb\nc", 4), 3);
    }
}
