//! What must stay fast, as one table: each row is measured and set against something that is run in the same
//! minute, so that the numbers of two machines, or of a busy one, can be compared.
//!
//! ```text
//! cargo bench --bench mirror                    # everything; the longest row mirrors a million files first
//! cargo bench --bench mirror -- --short         # a tenth or less of each, for every day
//! cargo bench --bench mirror -- small restart   # some rows
//! SMH_BENCH_FILES=200000 cargo bench --bench mirror -- restart   # another number of files or directories
//! SMH_BENCH_BINARY=/usr/bin/smh-mirror cargo bench --bench mirror                # another build, to compare with
//! ```
//!
//! The emulator and the daemon are two processes of the release binary; everything is asked of them from outside.
//! What the numbers were, and where: `benches/RESULTS.md`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a measuring tool: it stops at the first surprise, prints, reads the clock, and divides counts"
)]

mod bed;
mod first;
mod idle;
mod live;
mod peers;
mod process;
mod restart;
mod table;

use table::{Row, print};

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    short: bool,
    files: Option<usize>,
}

impl Scale {
    /// So much of it, or `short` of it, or what was asked for.
    pub(crate) fn of(self, full: usize, short: usize) -> usize {
        self.files.unwrap_or(if self.short { short } else { full })
    }

    /// The same of what has a number of its own.
    pub(crate) fn fixed(self, full: usize, short: usize) -> usize {
        if self.short { short } else { full }
    }
}

type Measure = fn(Scale) -> Vec<Row>;

/// What can be asked for by name, in the order of the table.
const ROWS: [(&str, Measure); 8] = [
    ("small", first::small),
    ("large", first::large),
    ("far-small", first::far_small),
    ("far-large", first::far_large),
    ("restart", restart::restart),
    ("latency", live::latency),
    ("burst", live::burst),
    ("idle", idle::idle),
];

fn main() {
    let mut scale = Scale { short: false, files: None };
    let mut wanted = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            // Cargo says that this is a benchmark.
            "--bench" => {}
            "--short" => scale.short = true,
            name if ROWS.iter().any(|(row, _)| *row == name) => wanted.push(arg),
            other => {
                let names: Vec<&str> = ROWS.iter().map(|(row, _)| *row).collect();
                println!("{other}: neither --short nor one of {}", names.join(", "));
                std::process::exit(2);
            }
        }
    }
    scale.files = std::env::var("SMH_BENCH_FILES").ok().map(|text| text.parse().unwrap());
    println!("{}\n", process::machine());
    table::head();
    for (name, measure) in ROWS {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            for row in measure(scale) {
                print(&row);
            }
        }
    }
    println!("\n{}", process::machine());
}
