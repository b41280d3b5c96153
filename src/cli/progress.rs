//! How a pass looks while it runs: bars on a terminal, a line a file elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::output;
use crate::mirror::{Event, Observer, Sent};
use crate::wording::counted;

/// Shows the events of a pass.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    waiting: u64,
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
        Progress { bar, quiet, waiting: 0, done: Done::default() }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
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
            Event::Synced { mirror, path, bytes, how, .. } => {
                self.waiting = self.waiting.saturating_sub(1);
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
                match &self.bar {
                    Some(bar) => bar.inc(*bytes),
                    None if !self.quiet => {
                        let name = path.in_mirror(mirror);
                        self.say(&format!("{word} {name} ({})", output::bytes(*bytes)));
                    }
                    None => {}
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
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{} to go", counted(self.waiting, "file")));
        }
    }
}
