//! `limit`: the limit of the bandwidth, and another one for the daemon that runs.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::request::{self, Taken};
use super::verdict::Worker;
use super::{Exit, Failure, Global, output, unexpected};
use crate::clock::Clock;
use crate::config::{BandwidthLimit, Config, InForce};
use crate::journal::{Kept, Reader};
use crate::mirror::LimitRequest;
use crate::service::requests_dir;

/// The word for the limit of the configuration.
const DEFAULT: &str = "default";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// New limit: bytes per second (2MiB/s), a timetable ("08:00 2MiB/s, 19:00 off"), off, or default (what the
    /// configuration says); without one, the limit is shown
    #[arg(value_name = "LIMIT")]
    limit: Option<String>,
}

/// The limit at one moment.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    limit: BandwidthLimit,
    /// A person set it while the daemon ran.
    set: bool,
    now: InForce,
}

impl Limit {
    /// Looks into the journal and the configuration.
    pub(super) fn find(
        config: &Config,
        reader: Option<&Reader>,
        now_ms: i64,
    ) -> Result<Limit, Failure> {
        let kept = match reader {
            Some(reader) => reader.kept(Kept::BandwidthLimit).map_err(unexpected)?,
            None => None,
        };
        let kept = kept.and_then(|text| BandwidthLimit::parse(&text).ok());
        let set = kept.is_some();
        let limit = kept.unwrap_or_else(|| config.transfer.bandwidth_limit.clone());
        let now = limit.at(now_ms, &TimeZone::system());
        Ok(Limit { limit, set, now })
    }

    /// A line for people; `None`: there is no limit now.
    pub(super) fn line(&self) -> Option<String> {
        let rate = self.now.rate?;
        let until = match self.now.until_ms {
            Some(until_ms) => format!(" until {}", output::time(until_ms)),
            None => String::new(),
        };
        let set = if self.set { " (set with `smh-mirror limit`)" } else { "" };
        Some(format!("uploads are limited to {}/s in all{until}{set}", output::bytes(rate.get())))
    }

    /// The same for programs.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "limit": self.limit.to_string(),
            "source": if self.set { "set" } else { "configuration" },
            "bytes_per_second": self.now.rate,
            "until": self.now.until_ms.map(output::time),
        })
    }
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    match &args.limit {
        None => show(global, &config),
        Some(text) => set(global, &config, text),
    }
}

fn show(global: &Global, config: &Config) -> Result<Exit, Failure> {
    let now_ms = Clock::start().now().unix_ms;
    let found = Limit::find(config, super::reader(config)?.as_ref(), now_ms)?;
    if global.json {
        let mut value = found.to_json();
        value["schema"] = 1.into();
        output::print_json(&value)?;
        return Ok(Exit::Done);
    }
    output::print_line(&found.line().unwrap_or_else(|| "uploads are not limited now".to_owned()))?;
    let whence = if found.set {
        format!(
            "`smh-mirror limit {DEFAULT}` goes back to {:?} of {}",
            config.transfer.bandwidth_limit.to_string(),
            config.file.display()
        )
    } else {
        format!("from {}", config.file.display())
    };
    output::print_line(&format!("bandwidth_limit = {:?}, {whence}", found.limit.to_string()))?;
    Ok(Exit::Done)
}

fn set(global: &Global, config: &Config, text: &str) -> Result<Exit, Failure> {
    let limit = match text {
        DEFAULT => None,
        text => Some(BandwidthLimit::parse(text).map_err(|error| {
            Failure::new(Exit::Usage, anyhow::anyhow!("{error}, or \"{DEFAULT}\""))
        })?),
    };
    let folder = requests_dir(config);
    let worker = Daemon::find(config)?.as_ref().map_or(Worker::Nobody, Daemon::worker);
    if worker == Worker::Nobody && !folder.is_dir() {
        return Err(Failure::new(
            Exit::Unexpected,
            anyhow::anyhow!(
                "no daemon works on {} and none ever did; write bandwidth_limit into [transfer] of {}",
                config.state_dir.display(),
                config.file.display()
            ),
        ));
    }
    let request = LimitRequest(limit);
    let left = request.leave(&folder).map_err(|error| request::unwritable(&folder, &error))?;
    let taken = request::wait(worker, &[left]);
    let LimitRequest(limit) = request;
    if global.json {
        output::print_json(&json!({
            "schema": 1,
            "limit": limit.map(|limit| limit.to_string()),
            "taken": taken == Taken::Now,
        }))?;
        return Ok(Exit::Done);
    }
    let what = match limit {
        None => format!(
            "bandwidth_limit = {:?} of {}",
            config.transfer.bandwidth_limit.to_string(),
            config.file.display()
        ),
        Some(limit) => format!("{:?}", limit.to_string()),
    };
    output::print_line(&match taken {
        Taken::Now => format!("uploads follow {what} from now on, after a restart too"),
        Taken::ByNobody => {
            format!("no daemon works now; uploads follow {what} as soon as one does")
        }
        Taken::Later => {
            format!(
                "the daemon has not taken it yet; uploads follow {what} as soon as it can go on"
            )
        }
    })?;
    Ok(Exit::Done)
}
