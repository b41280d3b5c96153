//! The commented sample that `config init` writes.

use std::path::Path;

/// Every key with its default. A key behind `#` without a space has its default there; one behind
/// `# ` is an example.
pub const SAMPLE: &str = include_str!("../../config/config.toml");

/// The sample for a place. The service of the whole machine and the commands of a person have to
/// find the same state, so there it is written down.
#[must_use]
pub fn sample_for(place: &Path) -> String {
    if place == Path::new(super::SYSTEM_CONFIG) {
        SAMPLE.replace("# state_dir = ", "state_dir = ")
    } else {
        SAMPLE.to_owned()
    }
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
