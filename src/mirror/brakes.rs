//! When deletes are too many at once (pure). Design section 7.

use crate::config::MaxDelete;

/// Why deletes wait for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brake {
    /// Nothing is left in the folder.
    Emptied,
    /// More are gone than is allowed.
    TooMany,
}

/// `planned`: files that are to be deleted and that nobody approved; `all`: those that were mirrored, `planned` included;
/// `any_left`: whether any file is on disk. A single file is never too many.
pub(super) fn judge(planned: u64, all: u64, any_left: bool, limits: MaxDelete) -> Option<Brake> {
    if planned == 0 {
        return None;
    }
    if !any_left {
        return Some(Brake::Emptied);
    }
    let over_files = limits.files.is_some_and(|most| planned > most);
    let over_share = limits
        .percent
        .is_some_and(|percent| u128::from(planned) * 100 > u128::from(all) * u128::from(percent));
    (planned > 1 && (over_files || over_share)).then_some(Brake::TooMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_share_are_limits_each() {
        let limits = MaxDelete { files: Some(10), percent: Some(25) };
        for (planned, all, any_left, expected) in [
            (0, 0, false, None),
            (1, 1, false, Some(Brake::Emptied)),
            (1, 2, true, None),
            (2, 8, true, None),
            (3, 8, true, Some(Brake::TooMany)),
            (10, 1_000, true, None),
            (11, 1_000, true, Some(Brake::TooMany)),
        ] {
            assert_eq!(judge(planned, all, any_left, limits), expected, "{planned} of {all}");
        }
        let none = MaxDelete { files: None, percent: None };
        assert_eq!(judge(u64::MAX, u64::MAX, true, none), None);
    }
}
