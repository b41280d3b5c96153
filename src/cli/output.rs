//! What commands show: lines and JSON on stdout, and whether in colour.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

use super::{Exit, Failure};
use crate::relpath::RelPath;
use crate::wording::quoted;

/// The program without a configuration that was named.
const PROGRAM: &str = "smh-mirror";
/// How this program is called for the configuration that all answers are about. Told once, at the beginning: every
/// message may end with a command to type next.
static CALLED: OnceLock<String> = OnceLock::new();

/// From now on the commands in messages name this configuration: typed without it, they would be about another one.
pub(super) fn name_in_hints(config: &Path) {
    // Told twice, the first one stays: there is one configuration in a process.
    let _ = CALLED.set(format!("{PROGRAM} -c {}", quoted(config)));
}

/// The program as a person types it to ask about this configuration.
pub(super) fn program() -> &'static str {
    CALLED.get().map_or(PROGRAM, String::as_str)
}

/// The text with the commands in it as they have to be typed.
pub(super) fn hinted(text: &str) -> Cow<'_, str> {
    match CALLED.get() {
        Some(called) => Cow::Owned(with_program(text, called)),
        None => Cow::Borrowed(text),
    }
}

fn with_program(text: &str, called: &str) -> String {
    text.replace(&format!("`{PROGRAM} "), &format!("`{called} "))
}

/// Writes text and a line end to stdout; commands in it name the configuration.
///
/// # Errors
///
/// When stdout takes nothing more. When its reader has gone, which is how `head` says that it has
/// seen enough, the failure ends the program with [`Exit::Done`] and without a word.
pub(super) fn print_line(text: &str) -> Result<(), Failure> {
    print_document(&hinted(text))
}

/// Writes a text that is no message, as it is, and a line end to stdout.
///
/// # Errors
///
/// As [`print_line`].
pub(super) fn print_document(text: &str) -> Result<(), Failure> {
    write_to(&mut std::io::stdout().lock(), text)
}

/// Writes a JSON document to stdout, readable for people too.
///
/// # Errors
///
/// As [`print_line`].
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print_document(&format!("{value:#}"))
}

/// Whether what goes to `stream` may have colours and bars.
#[must_use]
pub(super) fn colour(stream: &impl IsTerminal) -> bool {
    let given = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    given("NO_COLOR").is_none()
        && given("TERM").is_none_or(|term| term != "dumb")
        && stream.is_terminal()
}

/// Says on stderr what a person should know beside the answer.
#[expect(clippy::print_stderr, reason = "the answer on stdout stays what programs read")]
pub(super) fn warn(text: &str) {
    eprintln!("warning: {}", hinted(text));
}

/// Writes a line about something that happens. `false`: nobody reads any more, and the work goes on.
pub(super) fn line(text: &str) -> bool {
    print_line(text).is_ok()
}

/// A path below a folder that was named before, or that folder.
pub(super) fn below(path: &RelPath) -> String {
    if path.is_root() { "the folder itself".to_owned() } else { path.to_string() }
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

/// How long ago, roughly. A time in the future, after a clock was set back, is told as it is: calling
/// it fresh would be a lie.
pub(super) fn ago(unix_ms: i64, now_ms: i64) -> String {
    if unix_ms > now_ms + 1000 {
        return time(unix_ms);
    }
    let seconds = (now_ms - unix_ms).max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

fn write_to(stream: &mut impl Write, text: &str) -> Result<(), Failure> {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stream.write_all(b"\n") })
        .and_then(|()| stream.flush());
    written.map_err(|error| {
        let exit = match error.kind() {
            ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Unexpected,
        };
        Failure::new(exit, anyhow::Error::new(error).context("cannot write to stdout"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_configuration() {
        let said =
            with_program("see `smh-mirror errors`, or /usr/bin/smh-mirror", "smh-mirror -c x");
        assert_eq!(said, "see `smh-mirror -c x errors`, or /usr/bin/smh-mirror");
    }

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn ends_every_text_with_one_line_end() {
        for text in ["a", "a\n"] {
            let mut written = Vec::new();
            write_to(&mut written, text).unwrap();
            assert_eq!(written, b"a\n");
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_but_a_full_disk_is() {
        let gone = write_to(&mut Closed(ErrorKind::BrokenPipe), "a").unwrap_err();
        assert_eq!(gone.exit, Exit::Done);
        let full = write_to(&mut Closed(ErrorKind::StorageFull), "a").unwrap_err();
        assert_eq!(full.exit, Exit::Unexpected);
    }

    #[test]
    fn what_lies_in_the_future_is_not_called_fresh() {
        assert_eq!(ago(5_000, 8_000), "3 s ago");
        assert_eq!(ago(8_500, 8_000), "0 s ago");
        assert_eq!(ago(100_000, 8_000), "1970-01-01T00:01:40Z");
    }

    #[test]
    fn what_is_no_terminal_gets_no_colour() {
        assert!(!colour(&std::fs::File::open("/dev/null").unwrap()));
    }
}
