//! Durations, sizes and the limit of deletes, to and from text (pure).

use std::time::Duration;

use super::MaxDelete;
use super::error::Wrong;

const DURATIONS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longer than any sensible setting, short enough that no sum of times can overflow.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
];

/// `2s`, `500ms`, `5m`, `1h30m`, `2d`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let bad = |what: &str| {
        Wrong::new(
            format!("{text:?} {what}"),
            "write a whole number and a unit: ms, s, m, h or d, as in \"500ms\" or \"5m\"",
        )
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad("is not a duration"));
    }
    let mut sum: u64 = 0;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(|| bad("is not a duration"))?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(letters);
        if unit.is_empty() {
            return Err(bad("has no unit"));
        }
        let worth = DURATIONS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, worth)| *worth)
            .ok_or_else(|| bad("has an unknown unit"))?;
        if worth >= last_unit {
            return Err(bad("does not go from large units to small ones"));
        }
        last_unit = worth;
        sum = number
            .checked_mul(worth)
            .and_then(|part| sum.checked_add(part))
            .ok_or_else(|| bad("is too long"))?;
        rest = tail;
    }
    let span = Duration::from_millis(sum);
    if span > LONGEST {
        return Err(Wrong::new(format!("{text:?} is too long"), "write at most \"366d\""));
    }
    Ok(span)
}

/// The shortest text that [`duration`] reads back to the same value.
pub(super) fn duration_text(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    // Days only when nothing is left over: `1h` and `90s` say more than `0d1h` or `1m30s`.
    DURATIONS
        .iter()
        .find(|(_, worth)| millis.is_multiple_of(*worth))
        .map_or_else(|| format!("{millis}ms"), |(unit, worth)| format!("{}{unit}", millis / worth))
}

/// `20MiB`, `1GB`, `512`, `0`.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let bad = |what: &str| {
        Wrong::new(
            format!("{text:?} {what}"),
            "write a whole number of bytes, or one with KiB, MiB, GiB, TiB, kB, MB, GB or TB, as in \"20MiB\"",
        )
    };
    let (number, unit) = split_number(text.trim()).ok_or_else(|| bad("is not a size"))?;
    let worth = match unit.trim() {
        "" | "B" => 1,
        unit => SIZES
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, worth)| *worth)
            .ok_or_else(|| bad("has an unknown unit"))?,
    };
    number.checked_mul(worth).ok_or_else(|| bad("is too large"))
}

/// The shortest text that [`size`] reads back to the same value.
pub(super) fn size_text(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    SIZES
        .iter()
        .find(|(_, worth)| bytes.is_multiple_of(*worth))
        .map_or_else(|| bytes.to_string(), |(unit, worth)| format!("{}{unit}", bytes / worth))
}

/// `1000 or 25%`, `1000`, `25%`.
pub(super) fn max_delete(text: &str) -> Result<MaxDelete, Wrong> {
    let bad = |what: &str| {
        Wrong::new(
            format!("{text:?} {what}"),
            "write a number of files, a share from 1% to 100%, or both as in \"1000 or 25%\"",
        )
    };
    let mut limit = MaxDelete { files: None, percent: None };
    for part in text.split(" or ") {
        let (number, unit) = split_number(part.trim()).ok_or_else(|| bad("is not a limit"))?;
        match unit.trim() {
            "" if limit.files.is_none() => limit.files = Some(number),
            "%" if limit.percent.is_none() => {
                let percent = u8::try_from(number).ok().filter(|p| (1..=100).contains(p));
                limit.percent = Some(percent.ok_or_else(|| bad("is not a share"))?);
            }
            "" | "%" => return Err(bad("names the same limit twice")),
            _ => return Err(bad("is not a limit")),
        }
    }
    Ok(limit)
}

/// The text that [`max_delete`] reads back to the same value.
pub(super) fn max_delete_text(limit: MaxDelete) -> String {
    let files = limit.files.map(|files| files.to_string());
    let percent = limit.percent.map(|percent| format!("{percent}%"));
    [files, percent].into_iter().flatten().collect::<Vec<_>>().join(" or ")
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        let cases = [("2s", 2_000), ("500ms", 500), ("5m", 300_000), ("1h", 3_600_000)];
        for (text, millis) in cases {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(millis), "{text}");
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration("2d").unwrap(), Duration::from_secs(172_800));
        assert_eq!(duration("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(duration("0s").unwrap(), Duration::ZERO);
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "2", "s", "2 s", "-2s", "1.5s", "2x", "2sec", "1m1h", "1s1s", "400d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("99999999999999999999s").is_err());
        assert!(duration("18446744073709551615d").is_err());
    }

    #[test]
    fn reads_sizes() {
        let cases = [("0", 0), ("512", 512), ("20MiB", 20 << 20), ("1GB", 1_000_000_000)];
        for (text, bytes) in cases {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
            assert_eq!(size_text(bytes), text);
        }
        assert_eq!(size("3kB").unwrap(), 3_000);
        assert_eq!(size("3 MiB").unwrap(), 3 << 20);
        for text in ["", "MiB", "-1", "1.5MB", "20mib", "20MB/s", "99999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_the_limit_of_deletes() {
        let both = MaxDelete { files: Some(1000), percent: Some(25) };
        assert_eq!(max_delete("1000 or 25%").unwrap(), both);
        assert_eq!(max_delete("25% or 1000").unwrap(), both);
        assert_eq!(max_delete_text(both), "1000 or 25%");
        assert_eq!(max_delete("7").unwrap(), MaxDelete { files: Some(7), percent: None });
        assert_eq!(max_delete("9%").unwrap(), MaxDelete { files: None, percent: Some(9) });
        for text in ["", "x", "0%", "101%", "1 or 2", "1% or 2%", "1000 and 25%", "1000or25%"] {
            assert!(max_delete(text).is_err(), "{text}");
        }
    }
}
