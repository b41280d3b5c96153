//! Which links lead where (pure): what happens to the end of a link happens under the name of the link too.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::relpath::RelPath;

/// Links that are remembered. With more of them, nobody tells what happens behind the rest.
const MOST: usize = 65_536;

/// The links that were followed.
#[derive(Debug, Default)]
pub(super) struct Leads {
    /// By the places whose change can change what is behind the link.
    by_place: BTreeMap<RelPath, BTreeSet<RelPath>>,
    by_link: HashMap<RelPath, Vec<RelPath>>,
    /// Links that are not entered: what happens in a directory that they lead to is not theirs.
    closed: HashSet<RelPath>,
    /// Some links did not find room.
    full: bool,
}

impl Leads {
    /// The link leads through and to these places.
    pub(super) fn set(&mut self, link: &RelPath, places: &[RelPath]) {
        self.closed.remove(link);
        if self.by_link.get(link).is_some_and(|known| known == places) {
            return;
        }
        self.forget(link);
        if self.by_link.len() >= MOST {
            self.full = true;
            return;
        }
        for place in places {
            self.by_place.entry(place.clone()).or_default().insert(link.clone());
        }
        self.by_link.insert(link.clone(), places.to_vec());
    }

    /// The link leads to no directory, or is not entered.
    pub(super) fn close(&mut self, link: &RelPath) {
        if self.by_link.contains_key(link) {
            self.closed.insert(link.clone());
        }
    }

    /// It is no link, or not any more.
    pub(super) fn forget(&mut self, link: &RelPath) {
        self.closed.remove(link);
        for place in self.by_link.remove(link).unwrap_or_default() {
            if let Some(links) = self.by_place.get_mut(&place) {
                links.remove(link);
                if links.is_empty() {
                    self.by_place.remove(&place);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_link.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The names that `path` has through links: what changed there may have changed under these too.
    pub(super) fn names_of(&self, path: &RelPath) -> Vec<RelPath> {
        let mut names = BTreeSet::new();
        // A link to it, or to a directory that holds it.
        let mut step = Some(path.clone());
        while let Some(place) = step {
            for link in self.by_place.get(&place).into_iter().flatten() {
                let rest = match place.as_bytes().len() {
                    0 => path.as_bytes(),
                    len => path.as_bytes().get(len + 1..).unwrap_or_default(),
                };
                if rest.is_empty() {
                    names.insert(link.clone());
                } else if !self.closed.contains(link) {
                    names.insert(link.join(rest));
                }
            }
            step = place.parent();
        }
        // Links to what lies below it: it may be another directory now.
        let below = self.by_place.range(path.clone()..).skip_while(|(place, _)| *place == path);
        for (place, links) in below {
            if !place.as_bytes().starts_with(path.as_bytes()) {
                break;
            }
            if place.is_within(path) {
                names.extend(links.iter().cloned());
            }
        }
        names.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(text: &str) -> RelPath {
        RelPath::from_bytes(text.as_bytes().to_vec())
    }

    fn names(leads: &Leads, path: &str) -> Vec<String> {
        leads.names_of(&rel(path)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_happens_behind_a_link_happens_under_its_name() {
        let mut leads = Leads::default();
        leads.set(&rel("x/l"), &[rel("d")]);
        leads.set(&rel("m"), &[rel("n"), rel("d/e/f")]);
        assert_eq!(names(&leads, "d/e/f"), ["m", "x/l/e/f"]);
        assert_eq!(names(&leads, "d/g"), ["x/l/g"]);
        assert_eq!(names(&leads, "d"), ["m", "x/l"]);
        assert_eq!(names(&leads, "d/e"), ["m", "x/l/e"]);
        assert_eq!(names(&leads, "n"), ["m"]);
        assert_eq!(names(&leads, "d2"), [""; 0]);
        assert_eq!(names(&leads, "e"), [""; 0]);
        leads.close(&rel("x/l"));
        assert_eq!(names(&leads, "d/g"), [""; 0]);
        assert_eq!(names(&leads, "d"), ["m", "x/l"]);
        leads.set(&rel("m"), &[rel("o")]);
        assert_eq!(names(&leads, "n"), [""; 0]);
        assert_eq!(names(&leads, "o"), ["m"]);
        leads.forget(&rel("m"));
        leads.forget(&rel("x/l"));
        assert!(leads.is_empty() && leads.by_place.is_empty() && leads.closed.is_empty());
    }
}
