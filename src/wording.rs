//! Numbers of things in sentences for people, and paths in commands for them (pure).

use std::path::Path;

/// So many of a thing: `1 file`, `2 files`, `0 copies`. `thing` is the word for one of them.
#[must_use]
pub fn counted(count: u64, thing: &str) -> String {
    match (count, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {thing}s"),
    }
}

/// The verb that belongs to so many things: `is` or `are`, `waits` or `wait`.
#[must_use]
pub fn verb<'a>(count: u64, of_one: &'a str, of_many: &'a str) -> &'a str {
    if count == 1 { of_one } else { of_many }
}

/// A path as a shell reads it.
#[must_use]
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=@,:".contains(&byte);
    if text.bytes().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_many() {
        for (count, thing, said) in [
            (0, "file", "0 files"),
            (1, "file", "1 file"),
            (2, "file", "2 files"),
            (1, "copy", "1 copy"),
            (2, "copy", "2 copies"),
            (3, "try", "3 tries"),
        ] {
            assert_eq!(counted(count, thing), said);
        }
        assert_eq!([verb(0, "is", "are"), verb(1, "is", "are")], ["are", "is"]);
    }
}
