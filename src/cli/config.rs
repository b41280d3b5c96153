//! `config check`, `config show`, `config init`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use serde_json::{Value, json};

use super::{Context, Exit, Failure, output};
use crate::config::{Auth, Config, LogFormat, Mirror, SAMPLE, SecretSource, WatchMode};
use crate::service::ServiceError;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Say everything that is wrong with the configuration and the folders it names
    Check,
    /// Show the configuration with all defaults, without secrets
    Show,
    /// Write a commented sample
    Init {
        /// Write over a file that is there
        #[arg(long)]
        force: bool,
        /// Print it instead
        #[arg(long)]
        stdout: bool,
    },
}

pub(super) fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    match args.what {
        What::Check => check(context),
        What::Show => show(context),
        What::Init { force, stdout } => init(context, force, stdout),
    }
}

fn check(context: &Context) -> Result<Exit, Failure> {
    let config = context.load()?;
    let problems = config.check_machine();
    if !problems.is_empty() {
        return Err(ServiceError::Machine(problems).into());
    }
    let count = config.mirrors.len();
    let mirrors = if count == 1 { "1 mirror".to_owned() } else { format!("{count} mirrors") };
    if context.json {
        output::json(&json!({"schema": 1, "file": config.file, "ok": true}));
    } else {
        output::line(&format!(
            "{}: good, {mirrors}. Whether the service lets us in shows `smh-mirror sync --quiet`.",
            config.file.display()
        ));
    }
    Ok(Exit::Done)
}

fn show(context: &Context) -> Result<Exit, Failure> {
    let config = context.load()?;
    let value = describe(&config);
    if context.json {
        output::json(&value);
        return Ok(Exit::Done);
    }
    let text = toml::to_string(&without_nulls(value)).map_err(anyhow::Error::from)?;
    output::line(&format!("# {}", config.file.display()));
    output::line(text.trim_end());
    Ok(Exit::Done)
}

fn describe(config: &Config) -> Value {
    let mirrors: Vec<Value> = config.mirrors.iter().map(mirror).collect();
    json!({
        "state_dir": config.state_dir,
        "remote": {
            "endpoint": config.remote.endpoint,
            "library_id": config.remote.library_id,
            "space_id": config.remote.space_id,
            "user_id": config.remote.user_id,
            "ca_file": config.remote.ca_file,
            // A proxy may carry a password.
            "proxy": config.remote.proxy.as_ref().map(|proxy| match proxy.rsplit_once('@') {
                Some((_, host)) => format!("[credentials]@{host}"),
                None => proxy.clone(),
            }),
            "auth": auth(&config.remote.auth),
        },
        "mirror": mirrors,
        "transfer": {
            "concurrency": config.transfer.concurrency,
            "bandwidth_limit": config.transfer.bandwidth_limit.to_string(),
        },
        "log": {
            "level": config.log.level,
            "format": match config.log.format {
                LogFormat::Auto => "auto",
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            },
        },
    })
}

fn auth(auth: &Auth) -> Value {
    match auth {
        Auth::LibrarySecret(SecretSource::File(path)) => json!({"library_secret_file": path}),
        Auth::AccessToken(SecretSource::File(path)) => json!({"access_token_file": path}),
        Auth::AccessToken(SecretSource::Command(words)) => json!({"access_token_command": words}),
        // From the environment: nothing that could be written into a file.
        _ => json!({}),
    }
}

fn mirror(mirror: &Mirror) -> Value {
    let time = |duration: std::time::Duration| match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    };
    let max_delete = [
        mirror.max_delete.files.map(|files| files.to_string()),
        mirror.max_delete.percent.map(|percent| format!("{percent}%")),
    ];
    json!({
        "name": mirror.name,
        "local": mirror.local,
        "remote": mirror.remote.join("/"),
        "exclude": mirror.exclude,
        "settle": time(mirror.settle),
        "settle_max": time(mirror.settle_max),
        "rescan": time(mirror.rescan),
        "watch": match mirror.watch {
            WatchMode::Auto => "auto",
            WatchMode::Inotify => "inotify",
            WatchMode::Poll => "poll",
        },
        "poll_interval": time(mirror.poll_interval),
        "symlinks": "skip",
        "names": "skip",
        "delete": "keep",
        "delete_grace": time(mirror.delete_grace),
        "max_delete": max_delete.into_iter().flatten().collect::<Vec<_>>().join(" or "),
    })
}

/// TOML has no null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(list) => list.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn init(context: &Context, force: bool, stdout: bool) -> Result<Exit, Failure> {
    if stdout {
        output::line(SAMPLE.trim_end());
        return Ok(Exit::Done);
    }
    let file = context
        .config
        .clone()
        .or_else(|| context.environment.user_file())
        .ok_or_else(|| {
            Failure::new(Exit::Config, anyhow::anyhow!("there is no home to write to; name a file with -c"))
        })?;
    let failed = |error: std::io::Error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::Unexpected,
        };
        Failure::new(exit, anyhow::anyhow!("cannot write {}: {error}", file.display()))
    };
    if let Some(parent) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(0o600);
    if force { options.create(true).truncate(true) } else { options.create_new(true) };
    let mut written = match options.open(&file) {
        Ok(written) => written,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::new(
                Exit::Config,
                anyhow::anyhow!("{} exists; edit it, or write over it with --force", file.display()),
            ));
        }
        Err(error) => return Err(failed(error)),
    };
    written.write_all(SAMPLE.as_bytes()).map_err(failed)?;
    output::line(&format!(
        "wrote {}; fill in endpoint, library_id, the secret and your folders, then run `smh-mirror config check`",
        file.display()
    ));
    Ok(Exit::Done)
}
