//! Names in the library (pure): which it cannot take, and how an entry with such a name is mirrored all the same.
//!
//! The mapping is for ever: copies are found again by it. The README tells it to people, who may have to map names
//! back by hand. It depends on no table that a new version of Unicode could change.

use crate::config::Names;
use crate::relpath::RelPath;

/// Characters that the service forbids in names (sheet section 12).
const FORBIDDEN: &str = "\\/:*?\"<>|";

/// Whether a name is left out unless it is escaped: it holds a forbidden character, a control character, or is not
/// UTF-8. Whether the service takes other names (spaces and dots at the ends, long ones) is not documented: it says
/// no, and the entry is listed with its words.
#[must_use]
pub fn is_forbidden(name: &[u8]) -> bool {
    std::str::from_utf8(name).map_or(true, |text| text.chars().any(is_never_taken))
}

/// What is wrong with a name, in words; `None`: nothing that is known.
#[must_use]
pub fn forbidden(name: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(name) {
        Ok(text) => text,
        Err(error) => {
            let at = error.valid_up_to();
            let byte = name.get(at).copied().unwrap_or_default();
            return Some(format!("it is not UTF-8: its byte {} is \\x{byte:02x}", at + 1));
        }
    };
    let symbol = text.chars().find(|symbol| is_never_taken(*symbol))?;
    Some(match symbol.is_control() {
        true => format!("it holds the control character U+{:04X}", u32::from(symbol)),
        false => format!("it holds the character {symbol}"),
    })
}

/// The name that the copy of an entry has in the library; `None`: entries of this name are left out.
#[must_use]
pub fn remote_name(rule: Names, name: &[u8]) -> Option<String> {
    match rule {
        Names::Escape => Some(escape(name)),
        Names::Skip if is_forbidden(name) => None,
        Names::Skip => std::str::from_utf8(name).ok().map(str::to_owned),
    }
}

/// Where the copy of `path` lies when that of the root is `base`; `None`: a name on the way is left out.
#[must_use]
pub fn remote_path(rule: Names, base: &[String], path: &RelPath) -> Option<Vec<String>> {
    let mut remote = base.to_vec();
    for name in path.segments() {
        remote.push(remote_name(rule, name)?);
    }
    Some(remote)
}

/// The entry whose copy has this name in the library; `None`: that of no entry has, so whatever lies there is not
/// ours. The inverse of [`remote_name`], never more: two names in the library are never those of one entry.
#[must_use]
pub fn local_name(rule: Names, remote: &str) -> Option<Vec<u8>> {
    let name = match rule {
        Names::Escape => unescape(remote),
        Names::Skip => remote.as_bytes().to_vec(),
    };
    // What no folder can hold must never become a path.
    let possible = !matches!(name.as_slice(), b"" | b"." | b"..")
        && !name.iter().any(|byte| matches!(byte, b'/' | 0));
    (possible && remote_name(rule, &name).as_deref() == Some(remote)).then_some(name)
}

/// The entry whose copy lies at `remote` when that of the root is `base`; `None`: that of none does.
#[must_use]
pub fn local_path(rule: Names, base: &[String], remote: &[String]) -> Option<RelPath> {
    remote
        .strip_prefix(base)?
        .iter()
        .try_fold(RelPath::root(), |path, name| Some(path.join(&local_name(rule, name)?)))
}

/// A name that the service takes, for any name; names that need nothing stay as they are. No two names become one:
/// [`unescape`] gives each back.
#[must_use]
pub fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    let mut at = 0;
    for chunk in name.utf8_chunks() {
        for symbol in chunk.valid().chars() {
            let end = at + symbol.len_utf8();
            let rest = name.get(end..).unwrap_or_default();
            let is_escaped = match symbol {
                // It would be read as an escape.
                '%' => byte_of(rest).is_some(),
                ' ' => at == 0 || rest.is_empty(),
                '.' => rest.is_empty(),
                other => is_never_taken(other),
            };
            if is_escaped {
                push_escaped(&mut text, symbol.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(symbol);
            }
            at = end;
        }
        push_escaped(&mut text, chunk.invalid());
        at += chunk.invalid().len();
    }
    text
}

/// Reads every `%` with two upper-case hexadecimal digits as the byte of that value.
#[must_use]
pub fn unescape(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = if *first == b'%' { byte_of(after) } else { None };
        name.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    name
}

/// Control characters are those of Unicode's category Cc, which is closed for ever: U+0000 to U+001F and U+007F to
/// U+009F.
fn is_never_taken(symbol: char) -> bool {
    symbol.is_control() || FORBIDDEN.contains(symbol)
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        text.push_str(&format!("%{byte:02X}"));
    }
}

/// The byte that two upper-case hexadecimal digits at the beginning stand for.
fn byte_of(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| match *text.get(at)? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    Some(digit(0)? * 16 + digit(1)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_surely_refused_is_left_out_and_nothing_else() {
        for (name, why) in [
            (b"a:b".as_slice(), "it holds the character :"),
            (b"a\\b", "it holds the character \\"),
            (b"what?", "it holds the character ?"),
            (b"*", "it holds the character *"),
            (b"\"", "it holds the character \""),
            (b"<", "it holds the character <"),
            (b">", "it holds the character >"),
            (b"|", "it holds the character |"),
            (b"a\nb", "it holds the control character U+000A"),
            (b"\x7f", "it holds the control character U+007F"),
            (b"\xc2\x85", "it holds the control character U+0085"),
            (b"latin\xe9", "it is not UTF-8: its byte 6 is \\xe9"),
            (b"cut\xe6\x97", "it is not UTF-8: its byte 4 is \\xe6"),
        ] {
            assert!(is_forbidden(name), "{name:?}");
            assert_eq!(forbidden(name).as_deref(), Some(why), "{name:?}");
            assert_eq!(remote_name(Names::Skip, name), None, "{name:?}");
        }
        for name in ["a b", "ümläut", "50%", "#1", "a+b&c", " lead", "dot.", "日本", "a%3Ab"] {
            assert!(!is_forbidden(name.as_bytes()), "{name}");
            assert_eq!(forbidden(name.as_bytes()), None, "{name}");
            assert_eq!(remote_name(Names::Skip, name.as_bytes()).as_deref(), Some(name));
        }
    }

    /// The mapping is a promise: a line that has to change here loses the copies of somebody.
    #[test]
    fn the_mapping_is_what_the_readme_says() {
        for (name, escaped) in [
            (b"a:b".as_slice(), "a%3Ab"),
            (b"\\/:*?\"<>|", "%5C%2F%3A%2A%3F%22%3C%3E%7C"),
            (b"caf\xe9", "caf%E9"),
            (b"\xe6\x97", "%E6%97"),
            // A surrogate, and an over-long slash: not UTF-8.
            (b"\xed\xa0\x80", "%ED%A0%80"),
            (b"\xc0\xaf", "%C0%AF"),
            (b"a\nb\x00\x1f\x7f", "a%0Ab%00%1F%7F"),
            // C1 control characters are two bytes.
            (b"\xc2\x80\xc2\x9f", "%C2%80%C2%9F"),
            (b" a b ", "%20a b%20"),
            (b"  ", "%20%20"),
            (b"   ", "%20 %20"),
            (b" ", "%20"),
            (b"...", "..%2E"),
            (b".", "%2E"),
            (b"a. ", "a.%20"),
            (b"a .", "a %2E"),
            (b"a%3Ab", "a%253Ab"),
            (b"a%253Ab", "a%25253Ab"),
            (b"%%41", "%%2541"),
            (b"%4%41", "%4%2541"),
            (b"%25", "%2525"),
        ] {
            assert_eq!(escape(name), escaped, "{name:?}");
            assert_eq!(unescape(escaped), name, "{escaped}");
        }
    }

    #[test]
    fn names_that_need_nothing_stay_as_they_are() {
        for name in [
            "",
            "a",
            "100%",
            "a%b",
            "%",
            "%%",
            "%3a",
            "%3",
            "%G0",
            "%é1",
            "日本 語.txt",
            ".hidden",
            "..a",
            "a b",
            "a+b&c=d#e;f,g@h!i~j'k(l)m[n]{o}$p^q`r",
            "e\u{301}",
            "\u{a0}nbsp\u{a0}",
            "zero\u{200b}width",
            "\u{feff}bom",
            "\u{10ffff}",
        ] {
            assert_eq!(escape(name.as_bytes()), name);
            assert_eq!(unescape(name), name.as_bytes());
        }
    }

    #[test]
    fn only_names_that_an_entry_can_have_are_mapped_back() {
        for (remote, name) in [
            ("a%3Ab", Some(b"a:b".as_slice())),
            ("a%253Ab", Some(b"a%3Ab")),
            ("plain", Some(b"plain")),
            ("%2E", None),
            (".%2E", None),
            ("", None),
            // Nothing that needs no escape is escaped, and nothing that needs one is not: other names are not ours,
            // and what they hold must not pass for a copy.
            ("%41", None),
            ("a%20b", None),
            ("a%2E.", None),
            ("%2541g", Some(b"%41g")),
            ("100%25", None),
            (" a", None),
            ("a:b", None),
            // No folder holds such an entry.
            ("a%2Fb", None),
            ("..%2Fetc", None),
            ("a%00", None),
        ] {
            assert_eq!(local_name(Names::Escape, remote).as_deref(), name, "{remote}");
        }
        for (remote, name) in [
            ("a%3Ab", Some(b"a%3Ab".as_slice())),
            (" a ", Some(b" a ")),
            ("..", None),
            ("a/b", None),
            ("a:b", None),
        ] {
            assert_eq!(local_name(Names::Skip, remote).as_deref(), name, "{remote}");
        }
    }

    #[test]
    fn a_path_is_mapped_name_by_name() {
        let path = RelPath::root().join(b"a:b").join(b"c").join(b"d.");
        let base = ["x".to_owned()];
        let expected: Vec<String> = ["x", "a%3Ab", "c", "d%2E"].map(str::to_owned).into();
        assert_eq!(local_path(Names::Escape, &base, &expected), Some(path.clone()));
        assert_eq!(local_path(Names::Escape, &["y".to_owned()], &expected), None);
        assert_eq!(local_path(Names::Escape, &base, &["x", "%41"].map(str::to_owned)), None);
        assert_eq!(remote_path(Names::Escape, &base, &path), Some(expected));
        assert_eq!(remote_path(Names::Skip, &base, &path), None);
        assert_eq!(remote_path(Names::Skip, &base, &RelPath::root()), Some(base.to_vec()));
    }

    /// Bytes as people and programs make them: mostly of what matters here.
    fn name() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::sample::select(br#"%%%%0123456789ABCDEFabcdef \/:*?"<>|..  "#.to_vec())
                .prop_map(|byte| vec![byte]),
            any::<u8>().prop_map(|byte| vec![byte]),
            any::<char>().prop_map(|symbol| symbol.to_string().into_bytes()),
            "%[0-9A-F]{2}".prop_map(String::into_bytes),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn what_is_escaped_can_be_read_back_and_is_taken(name in name()) {
            let text = escape(&name);
            prop_assert_eq!(unescape(&text), name.clone());
            prop_assert!(!is_forbidden(text.as_bytes()), "{:?}", text);
            prop_assert!(!text.starts_with(' ') && !text.ends_with([' ', '.']), "{:?}", text);
            prop_assert_eq!(text.is_empty(), name.is_empty());
            // Escaping is the only change, and happens only where it is needed.
            let plain = std::str::from_utf8(&name).is_ok_and(|plain| {
                !plain.chars().any(is_never_taken)
                    && !plain.starts_with(' ')
                    && !plain.ends_with([' ', '.'])
                    && unescape(plain) == name
            });
            prop_assert_eq!(text.as_bytes() == name.as_slice(), plain);
        }

        #[test]
        fn no_two_entries_have_one_copy(one in name(), other in name()) {
            for rule in [Names::Skip, Names::Escape] {
                let (first, second) = (remote_name(rule, &one), remote_name(rule, &other));
                prop_assert!(one == other || first.is_none() || first != second);
            }
        }

        #[test]
        fn no_two_copies_are_of_one_entry(remote in "(%[0-9A-F]{2}|[ .%0-9A-Fa-z:é]){0,6}") {
            for rule in [Names::Skip, Names::Escape] {
                if let Some(name) = local_name(rule, &remote) {
                    prop_assert_eq!(remote_name(rule, &name), Some(remote.clone()));
                }
            }
        }
    }
}
