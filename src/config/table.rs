//! Reading a TOML table key by key (pure): types, defaults, unknown keys, with the line of each.

use std::cell::RefCell;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;

/// Everything that is wrong so far, and the text that lines are counted in.
pub(super) struct Problems<'t> {
    text: &'t str,
    list: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(text: &'t str) -> Problems<'t> {
        Problems { text, list: RefCell::new(Vec::new()) }
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().matches('\n').count() + 1
    }

    pub(super) fn add(&self, line: Option<usize>, key: &str, message: impl Into<String>) {
        let problem = Problem { line, key: key.to_owned(), message: message.into() };
        self.list.borrow_mut().push(problem);
    }

    pub(super) fn into_list(self) -> Vec<Problem> {
        let mut list = self.list.into_inner();
        list.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        list
    }
}

/// A value with its place.
pub(super) struct Found<T> {
    pub(super) value: T,
    pub(super) line: usize,
}

/// A table that is read.
pub(super) struct Section<'a, 't> {
    pub(super) problems: &'a Problems<'t>,
    name: String,
    pub(super) line: Option<usize>,
    table: Option<&'a DeTable<'t>>,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a, 't> Section<'a, 't> {
    pub(super) fn new(
        problems: &'a Problems<'t>,
        name: impl Into<String>,
        line: Option<usize>,
        table: Option<&'a DeTable<'t>>,
    ) -> Section<'a, 't> {
        Section { problems, name: name.into(), line, table, known: RefCell::default() }
    }

    /// The key as messages name it.
    pub(super) fn key(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }

    fn find(&self, name: &'static str) -> Option<&'a Spanned<DeValue<'t>>> {
        self.known.borrow_mut().insert(name);
        self.table?.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(_, value)| value)
    }

    fn wrong_type(&self, name: &str, line: usize, wanted: &str) {
        self.problems.add(Some(line), &self.key(name), format!("must be {wanted}"));
    }

    pub(super) fn text(&self, name: &'static str) -> Option<Found<&'a str>> {
        let value = self.find(name)?;
        let line = self.problems.line(value.span().start);
        match value.get_ref().as_str() {
            Some(text) => Some(Found { value: text, line }),
            None => {
                self.wrong_type(name, line, "a text in quotes");
                None
            }
        }
    }

    /// A text that is read by `read`, or the default.
    pub(super) fn read<T>(
        &self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        let Some(found) = self.text(name) else { return default };
        match read(found.value) {
            Ok(value) => value,
            Err(message) => {
                self.problems.add(Some(found.line), &self.key(name), message);
                default
            }
        }
    }

    pub(super) fn number(&self, name: &'static str, default: u64) -> Found<u64> {
        let Some(value) = self.find(name) else { return Found { value: default, line: 0 } };
        let line = self.problems.line(value.span().start);
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|n| u64::from_str_radix(&n.as_str().replace('_', ""), n.radix()).ok());
        match number {
            Some(value) => Found { value, line },
            None => {
                self.wrong_type(name, line, "a whole number, not negative");
                Found { value: default, line }
            }
        }
    }

    pub(super) fn texts(&self, name: &'static str) -> Option<Found<Vec<Found<&'a str>>>> {
        let value = self.find(name)?;
        let line = self.problems.line(value.span().start);
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(name, line, "a list of texts, like [\"a\", \"b\"]");
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            let line = self.problems.line(item.span().start);
            match item.get_ref().as_str() {
                Some(text) => texts.push(Found { value: text, line }),
                None => self.wrong_type(name, line, "a list of texts, like [\"a\", \"b\"]"),
            }
        }
        Some(Found { value: texts, line })
    }

    pub(super) fn section(&self, name: &'static str) -> Section<'a, 't> {
        let value = self.find(name);
        let line = value.map(|value| self.problems.line(value.span().start));
        let table = match value.map(Spanned::get_ref) {
            Some(DeValue::Table(table)) => Some(table),
            Some(_) => {
                self.wrong_type(name, line.unwrap_or(1), &format!("a table, like [{}]", self.key(name)));
                None
            }
            None => None,
        };
        Section::new(self.problems, self.key(name), line, table)
    }

    pub(super) fn sections(&self, name: &'static str) -> Vec<Section<'a, 't>> {
        let Some(value) = self.find(name) else { return Vec::new() };
        let line = self.problems.line(value.span().start);
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(name, line, &format!("a list of tables; write [[{name}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            let line = self.problems.line(item.span().start);
            match item.get_ref() {
                DeValue::Table(table) => {
                    let label = table
                        .iter()
                        .find(|(key, _)| key.get_ref().as_ref() == "name")
                        .and_then(|(_, value)| value.get_ref().as_str());
                    let shown = match label {
                        Some(label) => format!("{name} \"{label}\""),
                        None => name.to_owned(),
                    };
                    sections.push(Section::new(self.problems, shown, Some(line), Some(table)));
                }
                _ => self.wrong_type(name, line, &format!("a list of tables; write [[{name}]]")),
            }
        }
        sections
    }

    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// Complains about every key that nobody asked for. Call it last.
    pub(super) fn no_others(&self) {
        let Some(table) = self.table else { return };
        let known = self.known.borrow();
        for key in table.keys() {
            let name: &str = key.get_ref().as_ref();
            if known.contains(name) {
                continue;
            }
            let line = self.problems.line(key.span().start);
            let message = match nearest(name, &known) {
                Some(close) => format!("unknown key; did you mean `{close}`?"),
                None => {
                    let all: Vec<&str> = known.iter().copied().collect();
                    format!("unknown key; known here: {}", all.join(", "))
                }
            };
            self.problems.add(Some(line), &self.key(name), message);
        }
    }
}

/// The known key that is at most two slips away.
fn nearest<'k>(name: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (distance(name, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 2.min(candidate.len().saturating_sub(1)))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance, a swap of neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key() {
        let known = BTreeSet::from(["settle", "settle_max", "local", "name"]);
        assert_eq!(nearest("setle", &known), Some("settle"));
        assert_eq!(nearest("lcoal", &known), Some("local"));
        assert_eq!(nearest("completely", &known), None);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
