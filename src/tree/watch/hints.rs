//! Paths that may have changed, held for a busy engine: each once, in bounded memory.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::relpath::RelPath;

/// Hints held; beyond it they are dropped for one rescan.
const HINTS_MAX: usize = 65_536;

/// Where hints gather until somebody takes them.
#[derive(Debug, Default)]
pub struct Hints {
    state: Mutex<News>,
    news: Notify,
}

/// What was heard.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Paths that may have changed, with the tree that they lie in.
    pub paths: BTreeSet<(usize, RelPath)>,
    /// Those of them of which is known only that a file was closed which somebody could have written to. Where more
    /// happened, its times tell.
    pub closed: BTreeSet<(usize, RelPath)>,
    /// Something else may have changed too, and nobody knows what.
    pub lost: bool,
}

impl News {
    fn is_empty(&self) -> bool {
        !self.lost && self.paths.is_empty()
    }
}

impl Hints {
    pub(super) fn add(&self, paths: impl IntoIterator<Item = (usize, RelPath)>, lost: bool) {
        self.add_heard(paths.into_iter().map(|path| (path, false)), lost);
    }

    /// The same, in the order in which it was heard, with whether a file was closed there that somebody could have written
    /// to.
    pub(super) fn add_heard(
        &self,
        heard: impl IntoIterator<Item = ((usize, RelPath), bool)>,
        lost: bool,
    ) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.lost |= lost;
            for (path, closed) in heard {
                if !closed {
                    state.paths.insert(path);
                } else if state.paths.insert(path.clone()) {
                    state.closed.insert(path);
                }
            }
            if state.paths.len() > HINTS_MAX {
                state.paths.clear();
                state.closed.clear();
                state.lost = true;
            }
            if state.is_empty() {
                return;
            }
        }
        self.news.notify_one();
    }

    /// Waits for hints and takes them all.
    pub async fn take(&self) -> News {
        loop {
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if !state.is_empty() {
                    return std::mem::take(&mut *state);
                }
            }
            self.news.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_only_closed_is_told_apart() {
        let hints = Hints::default();
        let at = |name: &str| (0, RelPath::root().join(name.as_bytes()));
        hints.add_heard(
            [(at("a"), true), (at("b"), false), (at("b"), true), (at("a"), true)],
            false,
        );
        let state = hints.state.lock().unwrap();
        assert_eq!(state.paths, BTreeSet::from([at("a"), at("b")]));
        assert_eq!(state.closed, BTreeSet::from([at("a")]));
    }

    #[test]
    fn hints_beyond_measure_become_one_rescan() {
        let hints = Hints::default();
        hints.add([(0, RelPath::root().join(b"a")), (0, RelPath::root().join(b"a"))], false);
        assert_eq!(hints.state.lock().unwrap().paths.len(), 1);
        let many = (0..=HINTS_MAX).map(|n| (1, RelPath::root().join(n.to_string().as_bytes())));
        hints.add(many, false);
        let state = hints.state.lock().unwrap();
        assert!(state.lost);
        assert!(state.paths.is_empty());
    }
}
