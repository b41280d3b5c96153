//! `doctor`: looks at everything that a mirror depends on, and says what to do. It only reads.
//!
//! One file a subject; in each, what looks is apart from what judges. No check stops another.

mod check;
mod filesystem;
mod folders;
mod hooks;
mod metrics;
mod remote;
mod state;

use std::path::Path;

use serde_json::{Value, json};

use self::check::Check;
use super::{Exit, Failure, Global, output, runtime};
use crate::clock::Clock;
use crate::config::{
    Auth, Config, ConfigError, Environment, Problem, SecretSource, SecretTrouble, WatchMode,
};
use crate::journal::StateLock;
use crate::tree::inotify_limit;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(global: &Global, _args: &Args) -> Result<Exit, Failure> {
    let mut report = Report { checks: Vec::new(), json: global.json };
    examine(global, &mut report)?;
    if global.json {
        let checks: Vec<Value> = report.checks.iter().map(Check::to_json).collect();
        output::print_json(&json!({"schema": 1, "checks": checks}))?;
    } else {
        output::line(&check::sum(&report.checks));
    }
    Ok(check::exit(&report.checks))
}

/// What was found so far. Text is shown as it comes: counting folders and asking the service take time.
struct Report {
    checks: Vec<Check>,
    json: bool,
}

impl Report {
    fn say(&mut self, check: Check) {
        if !self.json {
            output::line(&check.to_text());
        }
        self.checks.push(check);
    }

    fn all(&mut self, checks: impl IntoIterator<Item = Check>) {
        for check in checks {
            self.say(check);
        }
    }
}

fn examine(global: &Global, report: &mut Report) -> Result<(), Failure> {
    let clock = Clock::start();
    let env = Environment::from_process();
    // The secret has a check of its own, and that it is missing keeps nobody from looking at the rest.
    let loaded = Config::locate(global.config(), &env)
        .and_then(|file| Config::load_without_secret(&file, &env));
    let can_watch = folders::can_watch(clock);
    let instances = inotify_limit("max_user_instances");
    report.all(configuration(&loaded));
    let Ok(config) = loaded else {
        report.say(folders::judge_instances(can_watch, instances));
        return Ok(());
    };
    let problems = config.check_roots();
    report.all(others(&config, &problems).map(|problem| Check::of("config", problem)));
    let (check, has_secret) = secret(&config.remote.auth);
    report.say(check);
    let running = state_folder(&config, &problems, clock, report);
    report.all(metrics::address(config.metrics.listen, running));
    report.all(hooks::hooks(&config.hooks));
    report.say(folders::judge_instances(can_watch, instances));
    folders_of(&config, &problems, clock, report);
    let runtime = runtime()?;
    let full = state::space_full(&config.state_dir);
    let say = |check| report.say(check);
    runtime.block_on(remote::ask(&config, clock, has_secret, full.as_deref(), say));
    runtime.shutdown_background();
    Ok(())
}

fn configuration(loaded: &Result<Config, ConfigError>) -> Vec<Check> {
    const NAME: &str = "config";
    match loaded {
        Ok(config) => {
            let count = config.mirrors.len();
            let plural = if count == 1 { "" } else { "s" };
            vec![Check::ok(NAME, format!("{}: {count} mirror{plural}", config.file.display()))]
        }
        Err(error) if error.problems().is_empty() => {
            let hint = "write one with `smh-mirror config init`, or name one with -c";
            vec![Check::problem(NAME, error.kind().into(), error.to_string(), hint)]
        }
        Err(error) => error.problems().iter().map(|problem| Check::of(NAME, problem)).collect(),
    }
}

fn key(mirror: &str) -> String {
    format!("mirror.{mirror}.local")
}

/// The problem that is written down for this key.
fn of<'p>(problems: &'p [Problem], key: &str) -> Option<&'p Problem> {
    problems.iter().find(|problem| problem.key == key)
}

/// What no check of its own is about.
fn others<'p>(config: &Config, problems: &'p [Problem]) -> impl Iterator<Item = &'p Problem> {
    let mut own: Vec<String> = config.mirrors.iter().map(|mirror| key(&mirror.name)).collect();
    own.push("state_dir".to_owned());
    problems.iter().filter(move |problem| !own.contains(&problem.key))
}

/// The secret: the check, and whether it can be had.
fn secret(auth: &Auth) -> (Check, bool) {
    const NAME: &str = "secret";
    let (Auth::LibrarySecret(source) | Auth::AccessToken(source)) = auth;
    let what = match auth {
        Auth::LibrarySecret(_) => "the library secret",
        Auth::AccessToken(_) => "the access token",
    };
    match source.read() {
        Ok(_) => {
            let private = match source {
                SecretSource::File(_) => ", which others cannot read",
                _ => "",
            };
            (Check::ok(NAME, format!("{what} comes from {}{private}", source.place())), true)
        }
        Err(error) => {
            let message = format!("{} {}", error.place, error.trouble);
            let next = match error.trouble {
                SecretTrouble::Nowhere => {
                    "set one key in [remote.auth]; what only the unit of the service has, as a systemd credential, cannot be seen from here"
                }
                ref trouble => trouble.next(),
            };
            (Check::problem(NAME, error.kind().into(), message, next), false)
        }
    }
}

/// The state folder; whether a daemon works on it.
fn state_folder(config: &Config, problems: &[Problem], clock: Clock, report: &mut Report) -> bool {
    let path: &Path = &config.state_dir;
    report.all(state::folder(path, of(problems, "state_dir")));
    let (daemon, running) = state::daemon(path);
    report.all(state::journal(path, &config.mirrors, running, clock.now().unix_ms));
    report.say(daemon);
    running
}

fn folders_of(config: &Config, problems: &[Problem], clock: Clock, report: &mut Report) {
    let deadline_ms = folders::deadline_ms(clock);
    let mut wanted = folders::Wanted { complete: true, ..folders::Wanted::default() };
    for mirror in &config.mirrors {
        let problem = of(problems, &key(&mirror.name));
        report.all(folders::folder(mirror, problem));
        if problem.is_some() {
            continue;
        }
        let count = folders::count(mirror, clock, deadline_ms);
        report.all(folders::unreadable(&mirror.name, &count));
        report.all(folders::alike_names(&mirror.name, &count));
        match mirror.watch {
            WatchMode::Auto => wanted.sensible += count.telling,
            WatchMode::Inotify => wanted.insisted += count.directories,
            WatchMode::Poll => continue,
        }
        wanted.complete &= count.complete;
    }
    let daemon = StateLock::holder(&config.state_dir).ok().flatten().flatten();
    let allowed = folders::Allowed::now(daemon.map(|holder| holder.pid));
    report.say(folders::judge_watches(wanted, allowed));
}
