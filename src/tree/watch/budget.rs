//! How many watches may be taken (pure): never more than half of what the system has free for this user.

/// A kernel that does not say what it allows allows at least so many.
const LEAST_LIMIT: u64 = 8_192;

/// What may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    most: u64,
}

impl Budget {
    /// `limit`: what the kernel allows to this user. `others`: what the other processes of this user hold. `None`:
    /// nobody knows.
    pub(super) fn new(limit: Option<u64>, others: Option<u64>) -> Budget {
        let free = limit.unwrap_or(LEAST_LIMIT).saturating_sub(others.unwrap_or(0));
        Budget { most: free / 2 }
    }

    /// Whether one more may be taken by who holds `held`.
    pub(super) fn allows(self, held: u64) -> bool {
        held < self.most
    }

    /// The kernel gave no more to who holds `held`, whatever was reckoned.
    pub(super) fn refused(&mut self, held: u64) {
        self.most = self.most.min(held);
    }

    /// The whole.
    pub(super) fn most(self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_what_others_leave() {
        for (limit, others, most) in [
            (Some(1000), Some(0), 500),
            (Some(1000), Some(400), 300),
            (Some(1000), Some(1000), 0),
            (Some(1000), Some(2000), 0),
            (Some(1000), None, 500),
            (None, None, 4096),
            (Some(1), Some(0), 0),
            (Some(0), None, 0),
        ] {
            let budget = Budget::new(limit, others);
            assert_eq!(budget.most(), most, "{limit:?} {others:?}");
            assert!(!budget.allows(most));
            assert!(most == 0 || budget.allows(most - 1));
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_not_asked_for_again() {
        let mut budget = Budget::new(Some(1000), Some(0));
        budget.refused(20);
        assert!(budget.allows(19));
        assert!(!budget.allows(20));
        budget.refused(400);
        assert_eq!(budget.most(), 20, "it does not grow by a refusal");
    }
}
