//! How a pass looks while it runs: bars on a terminal, a line a file elsewhere.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use super::uploads::{kept, some_parts};
use crate::journal::MirrorStatus;
use crate::mirror::{self, Event, Observer, Sending, Sent};
use crate::wording::counted;

/// How often a bar moves while nothing ends, as during a large file.
const BEAT: Duration = Duration::from_millis(500);
/// Characters of a path that are shown beside a bar.
const PATH_MAX: usize = 24;

/// Shows the events of a pass.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    waiting: u64,
    /// Bytes of files that are mirrored.
    ended: u64,
    /// What is on its way, for the bar.
    sending: Option<Arc<Sending>>,
    /// Bytes of it that no time was needed for in this pass.
    before: u64,
    /// What came of it.
    pub(super) done: Done,
}

/// Sums of a pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    pub(super) uploaded: u64,
    pub(super) instant: u64,
    pub(super) recovered: u64,
    pub(super) adopted: u64,
    pub(super) unchanged: u64,
    pub(super) moved: u64,
    pub(super) deleted: u64,
    pub(super) bytes: u64,
}

impl Progress {
    /// `plain`: never bars.
    pub(super) fn new(quiet: bool, plain: bool) -> Progress {
        let bar = (!quiet && !plain && output::colour(&std::io::stderr())).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template(
                "{spinner} {msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta}",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar.set_message("scanning");
            bar
        });
        Progress {
            bar,
            quiet,
            waiting: 0,
            ended: 0,
            sending: None,
            before: 0,
            done: Done::default(),
        }
    }

    /// Whether there is a bar.
    pub(super) fn is_bar(&self) -> bool {
        self.bar.is_some()
    }

    /// The bar shows what of these uploads left, and how far the way is from the beginning on: these mirrors have files
    /// that an earlier run found and did not send.
    pub(super) fn follow(&mut self, sending: Arc<Sending>, mirrors: &[MirrorStatus]) {
        let Some(bar) = &self.bar else { return };
        for MirrorStatus { counts, .. } in mirrors {
            self.waiting += counts.pending + counts.uploading + counts.retrying;
            bar.inc_length(counts.pending_bytes);
        }
        self.sending = Some(sending);
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(output::hinted(text)),
            None => {
                output::line(text);
            }
        }
    }
}

impl Observer for Progress {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Pending { bytes } => {
                self.waiting += 1;
                if let Some(bar) = &self.bar {
                    bar.inc_length(*bytes);
                }
            }
            Event::Synced { mirror, path, bytes, how, resumed, .. } => {
                self.waiting = self.waiting.saturating_sub(1);
                self.ended = self.ended.saturating_add(*bytes);
                let word = match how {
                    Sent::Uploaded => {
                        self.done.uploaded += 1;
                        self.done.bytes += bytes;
                        "uploaded"
                    }
                    Sent::Instant => {
                        self.done.instant += 1;
                        "instant"
                    }
                    Sent::Recovered => {
                        self.done.recovered += 1;
                        "recovered"
                    }
                    Sent::Adopted => {
                        self.done.adopted += 1;
                        "already there"
                    }
                    Sent::Unchanged => {
                        self.done.unchanged += 1;
                        "unchanged"
                    }
                    Sent::Moved => {
                        self.done.moved += 1;
                        "moved"
                    }
                };
                if self.bar.is_none() && !self.quiet {
                    let (name, kept) = (path.in_mirror(mirror), kept(*resumed));
                    self.say(&format!("{word} {name} ({}{kept})", output::bytes(*bytes)));
                }
            }
            Event::Moved { mirror, from, to, files } => {
                self.waiting = self.waiting.saturating_sub(*files);
                self.done.moved += files;
                if !self.quiet {
                    let (name, files) = (from.in_mirror(mirror), counted(*files, "file"));
                    self.say(&format!("moved {name} to {to} ({files})"));
                }
            }
            Event::Deleted { mirror, path, how } => {
                self.done.deleted += 1;
                if !self.quiet {
                    self.say(&format!("deleted the copy of {} ({how})", path.in_mirror(mirror)));
                }
            }
            Event::Held { mirror, message } => self.say(&format!(
                "held {mirror}: {message}; nothing is deleted until you decide, see `smh-mirror holds`"
            )),
            Event::Released { mirror } => self.say(&format!("{mirror}: no longer held")),
            Event::Trouble { mirror, path, message, blocked, .. } => {
                let word = if *blocked { "blocked" } else { "failed, will be tried again" };
                self.say(&format!("{word} {}: {message}", path.in_mirror(mirror)));
            }
            Event::Stopped { mirror, message } => match mirror {
                Some(mirror) => self.say(&format!("held {mirror}: {message}")),
                None => self.say(&format!("waiting: {message}")),
            },
            Event::Resumed { .. } => self.say("going on"),
            Event::Rebuilt { mirror } => {
                self.say(&format!("{mirror}: the journal is complete again"))
            }
            // The status says it.
            Event::ClockSkew(_) | Event::Scanned { .. } => {}
        }
    }

    fn alive(&mut self) {
        let Some(bar) = &self.bar else { return };
        let now = self.sending.as_ref().map(|sending| sending.now()).unwrap_or_default();
        let sent: u64 = now.iter().map(|upload| upload.sent).sum();
        // A file that has just ended may be counted twice for a moment.
        let all = bar.length().unwrap_or(u64::MAX);
        bar.set_position(self.ended.saturating_add(sent).min(all));
        // What arrived long ago says nothing of the speed.
        let before = now.iter().map(|upload| upload.before).sum();
        if std::mem::replace(&mut self.before, before) < before {
            bar.reset_eta();
        }
        bar.set_message(message(self.waiting, &now));
    }

    fn beat(&self) -> Option<Duration> {
        self.bar.as_ref().map(|_| BEAT)
    }
}

/// What is said beside the bar: of uploads in parts, the one of which most is left.
fn message(waiting: u64, now: &[mirror::Progress]) -> String {
    let files = format!("{} to go", counted(waiting, "file"));
    let in_parts = now.iter().filter_map(|upload| Some((upload, upload.parts?)));
    match in_parts.max_by_key(|(upload, _)| upload.total.saturating_sub(upload.sent)) {
        None => files,
        Some((upload, parts)) => {
            let path = shortened(&upload.path.to_string());
            let kept = kept(upload.before);
            format!("{files}; {path}: {}{kept}", some_parts(parts.arrived, parts.of))
        }
    }
}

/// The end of a long path, which tells more than its beginning.
fn shortened(path: &str) -> String {
    let over = path.chars().count().saturating_sub(PATH_MAX);
    if over == 0 {
        return path.to_owned();
    }
    let end: String = path.chars().skip(over + 1).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::PartsSent;
    use crate::relpath::RelPath;

    fn upload(path: &str, sent: u64, parts: Option<(u32, u32)>) -> mirror::Progress {
        mirror::Progress {
            mirror: "docs".to_owned(),
            path: RelPath::from_bytes(path.into()),
            sent,
            before: 0,
            total: 100 << 20,
            parts: parts.map(|(arrived, of)| PartsSent { arrived, of }),
            since_ms: 0,
            elapsed_ms: 0,
        }
    }

    #[test]
    fn beside_the_bar_stand_the_parts_of_what_takes_longest() {
        assert_eq!(message(1, &[]), "1 file to go");
        assert_eq!(message(3, &[upload("small", 0, None)]), "3 files to go");
        let near = upload("near", 90 << 20, Some((9, 10)));
        let far = upload("films/far", 20 << 20, Some((2, 10)));
        assert_eq!(message(2, &[near.clone(), far]), "2 files to go; films/far: 2 of 10 parts");
        let resumed = mirror::Progress { before: 80 << 20, ..near };
        assert_eq!(
            message(1, &[resumed]),
            "1 file to go; near: 9 of 10 parts, 80.00 MiB of it by an earlier run"
        );
    }

    #[test]
    fn of_a_long_path_the_end_is_shown() {
        let long = format!("{}/name.mkv", "é".repeat(60));
        let shown = shortened(&long);
        assert!(shown.starts_with("…é") && shown.ends_with("/name.mkv"), "{shown}");
        assert_eq!(shown.chars().count(), PATH_MAX);
    }
}
