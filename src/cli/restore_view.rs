//! How a restore looks: a bar on a terminal, a line a file elsewhere, and what came of it.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::output;
use super::status_view::put_path;
use crate::mirror::restore::{Event, Observer, Sums};
use crate::relpath::RelPath;
use crate::wording::counted;

/// Entries that JSON lists; the sums count all of them.
const LISTED: usize = 10_000;

/// Shows a restore.
pub(super) struct View {
    bar: Option<ProgressBar>,
    quiet: bool,
    json: bool,
    /// Bytes that need not be fetched any more, although a listing showed them.
    spared: u64,
    failed: Vec<Value>,
    in_the_way: Vec<Value>,
    strangers: Vec<Value>,
}

impl View {
    pub(super) fn new(quiet: bool, json: bool) -> View {
        let bar = (!quiet && !json && output::colour(&std::io::stderr())).then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template(
                "{spinner} {msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} eta {eta}",
            );
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar.set_message("restoring");
            bar
        });
        View {
            bar,
            quiet,
            json,
            spared: 0,
            failed: Vec::new(),
            in_the_way: Vec::new(),
            strangers: Vec::new(),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// One line about everything.
    pub(super) fn summary(&self, to: &Path, sums: Sums) -> String {
        let mut parts = vec![match sums.restored {
            0 => format!("nothing was restored into {}", to.display()),
            restored => format!(
                "{} restored into {} ({} fetched), each with the size and the crc64 that the library says",
                counted(restored, "file"),
                to.display(),
                output::bytes(sums.fetched_bytes)
            ),
        }];
        for (count, words) in [
            (sums.kept, "there already"),
            (sums.in_the_way, "not restored, since something else is in their place"),
            (sums.failed, "failed"),
            (
                sums.strangers,
                "under the name that they have in the library, as no copy of a file here is called so",
            ),
        ] {
            if count > 0 {
                parts.push(format!("{count} {words}"));
            }
        }
        parts.join("; ")
    }

    pub(super) fn to_json(&self, mirror: &str, to: &Path, through: bool, sums: Sums) -> Value {
        json!({
            "schema": 1,
            "mirror": mirror,
            "to": to.to_string_lossy(),
            "complete": through && sums.failed == 0 && sums.in_the_way == 0,
            "files": {
                "restored": sums.restored,
                "kept": sums.kept,
                "in_the_way": sums.in_the_way,
                "failed": sums.failed,
                "strangers": sums.strangers,
            },
            "folders": sums.folders,
            "bytes": {"fetched": sums.fetched_bytes},
            "failed": self.failed,
            "in_the_way": self.in_the_way,
            "strangers": self.strangers,
        })
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None if !self.json => {
                output::line(text);
            }
            None => {}
        }
    }
}

impl Observer for View {
    fn event(&mut self, event: &Event) {
        let lines = self.bar.is_none() && !self.quiet;
        match event {
            Event::Listed { bytes } => {
                if let Some(bar) = &self.bar {
                    bar.inc_length(*bytes);
                }
            }
            Event::Restored { path, bytes, stranger } => {
                if *stranger {
                    keep(&mut self.strangers, path, None);
                }
                if lines {
                    let shown = output::bytes(*bytes);
                    self.say(&format!("restored {path} ({shown})"));
                }
            }
            Event::Kept { path, bytes } => {
                self.spared += bytes;
                if lines {
                    let shown = output::bytes(*bytes);
                    self.say(&format!("kept {path} ({shown}), it is there already"));
                }
            }
            Event::InTheWay { path, why } => {
                keep(&mut self.in_the_way, path, Some(why));
                self.say(&format!("not restored {}: {why}", output::below(path)));
            }
            Event::Failed { path, why } => {
                keep(&mut self.failed, path, Some(why));
                self.say(&format!("failed {}: {why}", output::below(path)));
            }
            Event::Waiting { why } => self.say(&format!("waiting: {why}")),
        }
    }

    fn alive(&mut self, fetched_bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(fetched_bytes + self.spared);
        }
    }
}

fn keep(list: &mut Vec<Value>, path: &RelPath, why: Option<&str>) {
    if list.len() >= LISTED {
        return;
    }
    let mut value = json!({});
    put_path(&mut value, path);
    if let Some(why) = why {
        value["reason"] = why.into();
    }
    list.push(value);
}
