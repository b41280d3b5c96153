//! Whether the markers of a listing go round (pure): a service that gives one twice would be asked for ever.

/// Brent's way to notice a circle: one marker is remembered, a later one each time the distance doubles. It costs one
/// text, however long the listing is.
#[derive(Debug, Clone, Default)]
pub struct Rounds {
    remembered: Option<String>,
    steps: u64,
    power: u64,
}

impl Rounds {
    /// Whether `marker` closes a circle.
    #[must_use]
    pub fn closes(&mut self, marker: &str) -> bool {
        if self.remembered.as_deref() == Some(marker) {
            return true;
        }
        self.steps += 1;
        if self.steps >= self.power {
            self.power = self.power.max(1).saturating_mul(2);
            self.steps = 0;
            self.remembered = Some(marker.to_owned());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_any_length_ends_and_a_line_goes_on() {
        for (lead, circle) in [(0, 1), (0, 2), (1, 2), (5, 3), (100, 7), (3, 100)] {
            let mut rounds = Rounds::default();
            let marker = |n: usize| if n < lead { n } else { lead + (n - lead) % circle };
            let closed = (0..1_000).find(|n| rounds.closes(&marker(*n).to_string()));
            assert!(closed.is_some_and(|n| n <= 3 * (lead + circle)), "{lead} {circle} {closed:?}");
        }
        let mut rounds = Rounds::default();
        assert!((0..10_000).all(|n| !rounds.closes(&n.to_string())));
    }
}
