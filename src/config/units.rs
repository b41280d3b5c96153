//! Durations, sizes and limits as people write them (pure).

use std::time::Duration;

use super::types::MaxDelete;

/// `500ms`, `2s`, `5m`, `1h`, `2d`, and sums like `1h 30m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write for example 500ms, 2s, 5m, 1h or 2d");
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3_600).map(Duration::from_secs),
            "d" => number.checked_mul(86_400).map(Duration::from_secs),
            _ => None,
        };
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(wrong)?;
        rest = tail.trim_start();
    }
    Ok(total)
}

/// `0`, `512KiB`, `20MiB`, `1GB`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write for example 512KiB, 20MiB, 1GB or 0");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// `1000`, `25%`, `1000 or 25%`.
pub(super) fn max_delete(text: &str) -> Result<MaxDelete, String> {
    let wrong = || format!("`{text}` is not a limit; write for example \"1000\", \"25%\" or \"1000 or 25%\"");
    let mut limit = MaxDelete { files: None, percent: None };
    for part in text.split(" or ").map(str::trim) {
        match part.strip_suffix('%') {
            Some(percent) if limit.percent.is_none() => {
                let percent: u8 = percent.trim().parse().map_err(|_| wrong())?;
                limit.percent = Some(percent).filter(|p| *p <= 100);
                if limit.percent.is_none() {
                    return Err(wrong());
                }
            }
            None if limit.files.is_none() => {
                limit.files = Some(part.parse().map_err(|_| wrong())?);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5_400)));
        for wrong in ["", "2", "s", "2 s x", "-1s", "2w", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("20MiB"), Ok(20 << 20));
        assert_eq!(size("1 GB"), Ok(1_000_000_000));
        for wrong in ["", "MiB", "20MIB", "-1", "99999999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(max_delete("1000 or 25%"), Ok(MaxDelete { files: Some(1000), percent: Some(25) }));
        assert_eq!(max_delete("5%"), Ok(MaxDelete { files: None, percent: Some(5) }));
        for wrong in ["", "101%", "1 or 2", "a"] {
            assert!(max_delete(wrong).is_err(), "{wrong}");
        }
    }
}
