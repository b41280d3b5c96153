//! The known word that a misspelt one was probably meant to be (pure).

/// The nearest of `known`, when it is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(2);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= limit && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, removals, replacements and swaps of neighbours from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.to_lowercase().replace('-', "_").chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, &symbol) in from.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, &other) in to.iter().enumerate() {
            let swapped = row > 0
                && column > 0
                && symbol == to[column - 1]
                && from[row - 1] == other
                && symbol != other;
            let mut best = (above[column] + usize::from(symbol != other))
                .min(above[column + 1] + 1)
                .min(line[column] + 1);
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_steps_between_words() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("settel", "settle"), 1);
        assert_eq!(distance("poll-interval", "poll_interval"), 0);
        assert_eq!(distance("rescan", "rescan"), 0);
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["settle", "settle_max", "rescan"];
        assert_eq!(nearest("setle", known), Some("settle"));
        assert_eq!(nearest("settlemax", known), Some("settle_max"));
        assert_eq!(nearest("bandwidth", known), None);
    }
}
