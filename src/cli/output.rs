//! Writing to stdout: a reader that went away is not an error; colour only where a person looks.

use std::io::{IsTerminal, Write};

/// Writes a line to stdout. `false`: nobody reads any more.
pub(super) fn line(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Writes JSON, for people who look and for programs that read.
pub(super) fn json(value: &serde_json::Value) -> bool {
    // Values made of text and numbers always have a text form.
    line(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// Whether a person looks at stdout.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether bars and colours are welcome on stderr.
pub(super) fn is_fancy() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Bytes for people.
pub(super) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// A time for people and programs: RFC 3339 in UTC, to the second.
pub(super) fn time(unix_ms: i64) -> String {
    jiff::Timestamp::from_second(unix_ms.div_euclid(1000))
        .map(|at| at.to_string())
        .unwrap_or_else(|_| unix_ms.to_string())
}

/// How long ago, roughly.
pub(super) fn ago(unix_ms: i64, now_ms: i64) -> String {
    let seconds = (now_ms - unix_ms).max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
