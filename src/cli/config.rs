//! `config check`, `config show`, `config init`.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::json;

use super::output::{print_document, print_json, print_line};
use super::{Exit, Failure, Global};
use crate::config::{
    Auth, Config, ConfigError, Environment, Problem, ProblemKind, SecretError, SecretSource,
    kind_of, sample_for, several,
};

/// Check, show or begin a configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Check the file, the folders it names and the secret; say all that is wrong
    Check,
    /// Show the effective configuration with every default, as TOML or JSON; never a secret
    Show,
    /// Write a commented sample for this user, or to the file named with -c
    Init(Init),
}

#[derive(Debug, Args)]
struct Init {
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
    /// Print the sample instead of writing it
    #[arg(long, conflicts_with = "force")]
    stdout: bool,
}

pub(super) fn run(args: &ConfigArgs, global: &Global) -> Result<Exit, Failure> {
    let env = Environment::from_process();
    match &args.action {
        Action::Check => check(global, &env),
        Action::Show => show(global, &env),
        Action::Init(options) => init(options, global, &env),
    }
}

fn check(global: &Global, env: &Environment) -> Result<Exit, Failure> {
    let file = Config::locate(global.config(), env)?;
    let (config, problems) = match Config::load(&file, env) {
        Ok(config) => {
            let mut problems = config.check_roots();
            problems.extend(check_command(&config));
            (Some(config), problems)
        }
        Err(ConfigError::Invalid(problems)) => (None, problems),
        Err(other) => return Err(other.into()),
    };
    let good = config.filter(|_| problems.is_empty());
    if global.json {
        print_json(&json!({
            "schema": 1,
            "file": file.display().to_string(),
            "good": good.is_some(),
            "problems": problems.iter().map(problem_json).collect::<Vec<_>>(),
        }))?;
        return Ok(if good.is_some() { Exit::Done } else { kind_of(&problems).into() });
    }
    let Some(config) = good else {
        return Err(Failure::new(kind_of(&problems).into(), anyhow!("{}", several(&problems))));
    };
    let count = config.mirrors.len();
    let mut text = format!("{}: good: {count} mirror{}", file.display(), plural(count));
    for mirror in &config.mirrors {
        let (name, local, remote) = (&mirror.name, mirror.local.display(), mirror.remote.join("/"));
        text.push_str(&format!("\n  {name}: {local} -> {remote:?}"));
    }
    print_line(&text)?;
    Ok(Exit::Done)
}

/// Loading has read a secret from everywhere but from a command, which it does not run.
fn check_command(config: &Config) -> Option<Problem> {
    let (Auth::LibrarySecret(source) | Auth::AccessToken(source)) = &config.remote.auth;
    if !matches!(source, SecretSource::Command(_)) {
        return None;
    }
    let error: SecretError = source.read().err()?;
    let key = "remote.auth.access_token_command";
    Some(Problem {
        file: config.file.clone(),
        line: config.lines.of(key),
        key: key.to_owned(),
        what: format!("{} {}", error.place, error.trouble),
        next: error.trouble.next().to_owned(),
        kind: error.kind(),
    })
}

fn problem_json(problem: &Problem) -> serde_json::Value {
    json!({
        "line": problem.line,
        "key": problem.key,
        "what": problem.what,
        "next": problem.next,
        "kind": match problem.kind {
            ProblemKind::Config => "config",
            ProblemKind::Absent => "absent",
            ProblemKind::Permission => "permission",
        },
    })
}

fn show(global: &Global, env: &Environment) -> Result<Exit, Failure> {
    let file = Config::locate(global.config(), env)?;
    let config = Config::load_without_secret(&file, env)?;
    if global.json {
        print_json(&config.to_json())?;
    } else {
        print_document(&config.to_toml())?;
    }
    Ok(Exit::Done)
}

fn init(options: &Init, global: &Global, env: &Environment) -> Result<Exit, Failure> {
    let place = place(global, env);
    if options.stdout {
        let text = sample_for(place.as_deref().unwrap_or(Path::new("")));
        print_document(&text)?;
        return Ok(Exit::Done);
    }
    let place = place.ok_or_else(|| {
        let said = anyhow!(
            "no place for the file: neither XDG_CONFIG_HOME nor HOME is set; name one with -c"
        );
        Failure::new(Exit::Config, said)
    })?;
    write_sample(&place, options.force)?;
    if global.json {
        print_json(&json!({ "schema": 1, "file": place.display().to_string() }))?;
    } else {
        print_line(&format!(
            "{}: written; put in your library, its secret and your folder, then run `smh-mirror config check`",
            place.display(),
        ))?;
    }
    Ok(Exit::Done)
}

fn place(global: &Global, env: &Environment) -> Option<PathBuf> {
    global.config().map(Path::to_path_buf).or_else(|| env.user_config())
}

fn write_sample(place: &Path, force: bool) -> Result<(), Failure> {
    if let Some(dir) = place.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir)
            .map_err(|error| denied(error, &format!("{}: cannot be created", dir.display())))?;
    }
    // Written beside it and moved there: a full disk leaves the old file, and a link is replaced
    // instead of followed.
    let mut beside = place.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = write_new(&beside, &sample_for(place)).and_then(|()| {
        if force {
            std::fs::rename(&beside, place)
        } else {
            // Unlike a move, a link never replaces.
            std::fs::hard_link(&beside, place)
        }
    });
    // After a move it is gone already; what else could be done about it here?
    let _ = std::fs::remove_file(&beside);
    written.map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            let said = anyhow!(
                "{} exists; edit it, or replace it with `smh-mirror config init --force`",
                place.display()
            );
            return Failure::new(Exit::Config, said);
        }
        denied(error, &format!("{}: cannot be written", place.display()))
    })
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn denied(error: std::io::Error, said: &str) -> Failure {
    let exit = match error.kind() {
        ErrorKind::PermissionDenied => Exit::Permission,
        _ => Exit::Unexpected,
    };
    let next = "name another place with -c";
    Failure::new(exit, anyhow::Error::new(error).context(format!("{said}; {next}")))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
