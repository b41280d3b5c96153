//! Names that the service cannot take (pure).

/// Characters that the service forbids in names (sheet section 12).
const FORBIDDEN: &[u8] = b"\\/:*?\"<>|";

/// Whether a name is known to be refused. What is not documented (control characters, spaces at the
/// ends, length) is left to the service: it says no, and the entry is listed with its words.
#[must_use]
pub fn is_forbidden(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_err() || name.iter().any(|byte| FORBIDDEN.contains(byte))
}

/// What is wrong with a name, in words; `None`: nothing that is known.
#[must_use]
pub fn forbidden(name: &[u8]) -> Option<String> {
    let Ok(text) = std::str::from_utf8(name) else {
        return Some("it is not UTF-8".to_owned());
    };
    let symbol =
        text.chars().find(|symbol| symbol.is_ascii() && FORBIDDEN.contains(&(*symbol as u8)))?;
    Some(format!("it holds the character {symbol}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_documented_names_are_left_out() {
        for name in ["a:b", "a\\b", "what?", "*", "\"", "<", ">", "|"] {
            assert!(is_forbidden(name.as_bytes()), "{name}");
            assert!(forbidden(name.as_bytes()).is_some(), "{name}");
        }
        assert!(is_forbidden(b"latin\xe9"));
        assert_eq!(forbidden(b"latin\xe9").as_deref(), Some("it is not UTF-8"));
        assert_eq!(forbidden(b"what?").as_deref(), Some("it holds the character ?"));
        for name in ["a b", "ümläut", "50%", "#1", "a+b&c", " lead", "dot.", "日本"] {
            assert!(!is_forbidden(name.as_bytes()), "{name}");
            assert_eq!(forbidden(name.as_bytes()), None, "{name}");
        }
    }
}
