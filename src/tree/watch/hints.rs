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
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.lost |= lost;
            state.paths.extend(paths);
            if state.paths.len() > HINTS_MAX {
                state.paths.clear();
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
