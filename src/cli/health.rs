//! `health`: 0 only when every mirror is current, as the journal and a look at the disk prove it.

use std::time::Duration;

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::status_view::{self, MirrorView, text};
use super::{Exit, Failure, Global, output};
use crate::clock::{Clock, to_ms};
use crate::config::parse_duration;
use crate::wording::counted;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say nothing, only end with the code
    #[arg(short, long)]
    quiet: bool,
    /// A complete scan that ended longer ago proves nothing, as in 2h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_age: Option<Duration>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = match args.quiet {
        true => global.load_in_force()?.config,
        false => global.load_to_ask()?,
    };
    let clock = Clock::start();
    let daemon = Daemon::find(&config)?;
    let reader = super::reader(&config)?;
    // The moment before the look: what changes while it lasts may be missed by it.
    let now_ms = clock.now().unix_ms;
    let mut view = status_view::collect_audited(&config, reader.as_ref(), daemon, now_ms)?;
    if let Some(max_age) = args.max_age {
        for mirror in &mut view.mirrors {
            doubt(mirror, max_age, now_ms);
        }
    }
    let exit = match (view.is_held(), view.is_current()) {
        (true, _) => Exit::Held,
        (false, true) => Exit::Done,
        (false, false) => Exit::NotCurrent,
    };
    if args.quiet {
        return Ok(exit);
    }
    if global.json {
        let mirrors: Vec<Value> = view.mirrors.iter().map(mirror_json).collect();
        output::print_json(&json!({
            "schema": 1,
            "healthy": exit == Exit::Done,
            "looked_at": output::time(now_ms),
            "daemon": view.daemon_json(),
            "mirrors": mirrors,
        }))?;
        return Ok(exit);
    }
    for mirror in &view.mirrors {
        output::line(&sentence(mirror));
    }
    if let Some(note) = view.note() {
        output::line(&note);
    }
    Ok(exit)
}

/// What an old scan says is not believed, whatever the disk shows now.
fn doubt(mirror: &mut MirrorView, max_age: Duration, now_ms: i64) {
    let scanned_at_ms = mirror.status.as_ref().and_then(|status| status.scanned_at_ms);
    let Some(at_ms) = scanned_at_ms else { return };
    if now_ms.saturating_sub(at_ms) <= to_ms(max_age) {
        return;
    }
    let ago = output::ago(at_ms, now_ms);
    mirror
        .reasons
        .push(format!("the last complete scan ended {ago}, longer than --max-age allows"));
    mirror.current = false;
    if mirror.state == "current" {
        mirror.state = "unknown";
    }
}

fn sentence(mirror: &MirrorView) -> String {
    let MirrorView { name, state, reasons, .. } = mirror;
    if reasons.is_empty() {
        let compared = mirror.audit.as_ref().map_or(0, |audit| audit.compared);
        let entries = counted(compared, "entry");
        return format!("{name}: {state}, {entries} on disk compared just now");
    }
    let why = reasons.join("; ");
    // The first reason may begin with the word for the state.
    if why.starts_with(&format!("{state} since ")) {
        return format!("{name}: {why}");
    }
    format!("{name}: {state}: {why}")
}

fn mirror_json(mirror: &MirrorView) -> Value {
    let disk = mirror.audit.as_ref().map(|audit| {
        let examples: Vec<Value> = audit
            .examples
            .iter()
            .map(|(finding, path)| json!({"path": text(path), "what": finding.as_str()}))
            .collect();
        json!({
            "compared": audit.compared,
            "unseen": audit.unseen,
            "changed": audit.changed,
            "gone": audit.gone,
            "unreadable": audit.unreadable,
            "root": audit.root,
            "examples": examples,
        })
    });
    let scanned = mirror.status.as_ref().and_then(|status| status.scanned_at_ms);
    json!({
        "name": mirror.name,
        "state": mirror.state,
        "current": mirror.current,
        "as_of": scanned.map(output::time),
        "reasons": mirror.reasons,
        "disk": disk,
    })
}
