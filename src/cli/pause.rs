//! `pause` and `resume`: whether anything new is sent for a mirror.
//!
//! The request is a file in the state folder: it counts for a daemon that runs, that is stopped, or that starts
//! tomorrow, and the journal keeps what came of it.

use std::time::Duration;

use serde_json::json;

use super::locate::named;
use super::request::{self, Taken};
use super::{Exit, Failure, Global, output};
use crate::clock::{Clock, to_ms};
use crate::config::parse_duration;
use crate::mirror::{Pause, Resume};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Mirrors to pause, instead of all
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
    /// End the pause by itself after this time: 30m, 2h, 1d
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    span: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// Mirrors to resume, instead of all
    #[arg(value_name = "MIRROR")]
    mirrors: Vec<String>,
}

/// A pause has to last.
fn parse_span(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("it would be over at once; write for how long, like 30m".to_owned()),
        span => Ok(span),
    }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let names: Vec<&str> = named(&config, &args.mirrors)?.iter().map(|m| m.name.as_str()).collect();
    // Asked for now: a daemon that takes it later must not count from then.
    let now_ms = Clock::start().now().unix_ms;
    let until_ms = args.span.map(|span| now_ms.saturating_add(to_ms(span)));
    let taken = request::leave(&config, |folder| {
        names
            .iter()
            .map(|name| Pause { mirror: (*name).to_owned(), until_ms }.leave(folder))
            .collect()
    })?;
    let until = until_ms.map(output::time);
    if global.json {
        output::print_json(&json!({
            "schema": 1,
            "paused": names,
            "until": until,
            "taken": taken == Taken::Now,
        }))?;
        return Ok(Exit::Done);
    }
    let until = until.map_or_else(
        || "until `smh-mirror resume`".to_owned(),
        |until| format!("until {until}, or `smh-mirror resume`"),
    );
    for name in names {
        output::print_line(&match taken {
            Taken::Now => {
                format!("{name}: paused {until}; what is being sent is brought to its end")
            }
            Taken::ByNobody => {
                format!("{name}: no daemon works now; the next one is paused {until}")
            }
            Taken::Later => format!(
                "{name}: the daemon has not taken the request yet; it is paused as soon as it can go on, {until}"
            ),
        })?;
    }
    Ok(Exit::Done)
}

pub(super) fn resume(global: &Global, args: &ResumeArgs) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let names: Vec<&str> = named(&config, &args.mirrors)?.iter().map(|m| m.name.as_str()).collect();
    let taken = request::leave(&config, |folder| {
        names.iter().map(|name| Resume { mirror: (*name).to_owned() }.leave(folder)).collect()
    })?;
    if global.json {
        output::print_json(&json!({"schema": 1, "resumed": names, "taken": taken == Taken::Now}))?;
        return Ok(Exit::Done);
    }
    for name in names {
        output::print_line(&match taken {
            Taken::Now => format!("{name}: not paused any more"),
            Taken::ByNobody => format!("{name}: no daemon works now; the next one is not paused"),
            Taken::Later => format!(
                "{name}: the daemon has not taken the request yet; it does so as soon as it can go on"
            ),
        })?;
    }
    Ok(Exit::Done)
}
