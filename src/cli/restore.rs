//! `restore`: brings what the library holds of a mirror into another folder.

use std::path::{Component, PathBuf};

use serde_json::json;

use super::restore_view::View;
use super::{Exit, Failure, Global, locate, output, reader, runtime};
use crate::clock::Clock;
use crate::config::{Config, Mirror};
use crate::mirror::restore::{self, Ended, Order, Sums, Target, TargetError, Times, apart};
use crate::relpath::RelPath;
use crate::service::{init_logging, stop_on_signals};
use crate::smh::{Client, Grant};
use crate::tree::escape;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The mirror, unless there is only one; then files and folders of it, by their path below the mirrored folder or
    /// their whole path here, instead of everything
    #[arg(value_name = "MIRROR] [PATH")]
    what: Vec<PathBuf>,
    /// Folder to restore into: a new or empty one, or the one of a restore that was not finished
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Restore into a folder that is not empty; what is there and the same is kept, nothing is replaced
    #[arg(long)]
    into: bool,
    /// With --into, replace files of another content
    #[arg(long, requires = "into")]
    overwrite: bool,
    /// Only say what went wrong, and the sum
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let mut config = global.load()?;
    if config.log.level == "info" {
        "warn".clone_into(&mut config.log.level);
    }
    init_logging(&config.log);
    let (mirror, paths) = asked(&config, &args.what)?;
    let clock = Clock::start();
    let client = Client::new(&config.remote, Grant::Read, clock).map_err(|message| {
        Failure::new(
            Exit::Config,
            anyhow::anyhow!("cannot prepare the connection to the service: {message}"),
        )
    })?;
    let real = apart(&args.to, &untouchable(&config))?;
    let description = describe(&config, mirror, &paths);
    let target = Target::open(&real, &description, args.into)?;
    let order = Order {
        names: mirror.names,
        base: mirror.remote.clone(),
        paths,
        concurrency: config.transfer.concurrency,
        replace: args.overwrite,
    };
    let mut view = View::new(args.quiet, global.json);
    let times = times(&config, mirror);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let stop = stop_on_signals().map_err(anyhow::Error::from)?;
        Ok::<_, Failure>(restore::run(order, client, target, times, clock, stop, &mut view).await?)
    });
    runtime.shutdown_background();
    view.finish();
    let (ended, sums) = ended?;
    if global.json {
        output::print_json(&view.to_json(&mirror.name, &args.to, ended == Ended::Through, sums))?;
    } else {
        output::print_line(&view.summary(&args.to, sums))?;
    }
    finish(&config, ended, sums)
}

fn finish(config: &Config, ended: Ended, sums: Sums) -> Result<Exit, Failure> {
    let again = "what was restored is whole; run the same command again to go on";
    let (exit, said) = match ended {
        Ended::Through if sums.failed + sums.in_the_way > 0 => return Ok(Exit::Incomplete),
        Ended::Through => return Ok(Exit::Done),
        Ended::Unreachable(why) => (
            Exit::Unreachable,
            format!(
                "the service cannot be reached: {why}; check remote.endpoint and the network; {again}"
            ),
        ),
        Ended::Refused(why) => (
            Exit::Refused,
            format!(
                "the service refuses the credentials: {why}; check library_id, space_id and [remote.auth] in {}",
                config.file.display()
            ),
        ),
        Ended::Disk(why) => {
            (Exit::Unexpected, format!("{why}; make room or check the disk; {again}"))
        }
        Ended::Denied(why) => {
            (Exit::Permission, format!("{why}; restore as a user who may write there; {again}"))
        }
        Ended::Stopped => (Exit::Unexpected, format!("interrupted; {again}")),
    };
    Err(Failure::new(exit, anyhow::anyhow!(said)))
}

/// The mirror and the paths in it that the arguments mean. The first one is a mirror if one has that name; to mean a
/// path of that name, write `./` before it.
fn asked<'c>(config: &'c Config, what: &[PathBuf]) -> Result<(&'c Mirror, Vec<RelPath>), Failure> {
    let usage = |text: String| Failure::new(Exit::Usage, anyhow::anyhow!(text));
    let named = what.first().and_then(|first| {
        config.mirrors.iter().find(|mirror| first.as_os_str() == mirror.name.as_str())
    });
    let rest = if named.is_some() { what.get(1..).unwrap_or_default() } else { what };
    let mut mirror = named.or(match config.mirrors.as_slice() {
        [only] => Some(only),
        _ => None,
    });
    let mut paths = Vec::new();
    for path in rest {
        let (found, below) = if path.is_absolute() {
            locate::need(config, path)?
        } else {
            let mirror = mirror.ok_or_else(|| usage(which(config)))?;
            let plain: PathBuf =
                path.components().filter(|part| *part != Component::CurDir).collect();
            let below = RelPath::from_path(&plain).ok_or_else(|| {
                usage(format!("{} leads out of the mirror; name a path below it", path.display()))
            })?;
            (mirror, below)
        };
        if mirror.is_some_and(|mirror| mirror.name != found.name) {
            return Err(usage(format!(
                "{} belongs to the mirror {}; restore one mirror at a time",
                path.display(),
                found.name
            )));
        }
        mirror = Some(found);
        paths.push(below);
    }
    let mirror = mirror.ok_or_else(|| usage(which(config)))?;
    Ok((mirror, paths))
}

fn which(config: &Config) -> String {
    let names: Vec<&str> = config.mirrors.iter().map(|mirror| mirror.name.as_str()).collect();
    format!(
        "there are several mirrors; name one of them first ({}), or what to restore by its whole path, from / on",
        names.join(", ")
    )
}

/// What no restore may write to, and what it is.
fn untouchable(config: &Config) -> Vec<(String, PathBuf)> {
    let mut all: Vec<(String, PathBuf)> = config
        .mirrors
        .iter()
        .map(|mirror| {
            let what =
                format!("{}, the folder of the mirror {}", mirror.local.display(), mirror.name);
            (what, mirror.local.clone())
        })
        .collect();
    all.push((
        format!("{}, the state folder", config.state_dir.display()),
        config.state_dir.clone(),
    ));
    all
}

/// What is restored, so that an unfinished restore of the same is known again.
fn describe(config: &Config, mirror: &Mirror, paths: &[RelPath]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.segments().map(escape).collect::<Vec<_>>().join("/"))
        .collect();
    let what = json!({"schema": 1, "from": config.target(mirror), "paths": paths});
    format!("{what:#}\n")
}

/// The times that the journal remembers. Without a journal that can be asked, those of the library are used.
fn times(config: &Config, mirror: &Mirror) -> Times {
    let asked = reader(config).and_then(|reader| match reader {
        None => Ok(None),
        Some(reader) => {
            Times::of(reader, &mirror.name, &config.target(mirror)).map_err(super::unexpected)
        }
    });
    match asked {
        Ok(times) => times.unwrap_or_else(Times::unknown),
        Err(failure) => {
            let error = failure.error;
            tracing::warn!(error = %format!("{error:#}"), "the journal cannot be asked for times; those of the library are used");
            Times::unknown()
        }
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Failure {
        let exit = match &error {
            TargetError::Overlaps { .. }
            | TargetError::NotEmpty(_)
            | TargetError::NotAFolder(_)
            | TargetError::NotOurs(_) => Exit::Usage,
            TargetError::Busy(_) => Exit::Busy,
            TargetError::Io { source, .. }
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Exit::Permission
            }
            TargetError::Io { .. } => Exit::Unexpected,
        };
        Failure::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    fn config(mirrors: &[&str]) -> (tempfile::TempDir, Config) {
        let tmp = tempfile::tempdir().unwrap();
        let mut text = "state_dir = \"/nowhere/state\"\n[remote]\nendpoint = \"https://x.example\"\nlibrary_id = \"l\"\n\
             [remote.auth]\naccess_token_command = [\"true\"]\n"
            .to_owned();
        for name in mirrors {
            text.push_str(&format!(
                "[[mirror]]\nname = \"{name}\"\nlocal = \"/nowhere/{name}\"\nremote = \"{name}\"\n"
            ));
        }
        let file = tmp.path().join("config.toml");
        std::fs::write(&file, text).unwrap();
        let config = Config::load_without_secret(&file, &Environment::default()).unwrap();
        (tmp, config)
    }

    fn meant(config: &Config, what: &[&str]) -> Result<(String, Vec<String>), String> {
        let what: Vec<PathBuf> = what.iter().map(|text| Path::new(text).to_path_buf()).collect();
        asked(config, &what)
            .map(|(mirror, paths)| {
                (mirror.name.clone(), paths.iter().map(ToString::to_string).collect())
            })
            .map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn arguments_mean_one_mirror_and_paths_in_it() {
        let (_tmp, one) = config(&["docs"]);
        let ok = |paths: &[&str]| {
            Ok(("docs".to_owned(), paths.iter().map(|path| (*path).to_owned()).collect()))
        };
        assert_eq!(meant(&one, &[]), ok(&[]));
        assert_eq!(meant(&one, &["docs"]), ok(&[]));
        assert_eq!(meant(&one, &["docs", "docs", "a/b/"]), ok(&["docs", "a/b"]));
        assert_eq!(meant(&one, &["./docs", "/nowhere/docs/x"]), ok(&["docs", "x"]));
        assert!(meant(&one, &["../x"]).unwrap_err().contains("leads out"));
        assert!(meant(&one, &["/elsewhere"]).unwrap_err().contains("belongs to no mirror"));
        let (_tmp, two) = config(&["docs", "pics"]);
        assert_eq!(meant(&two, &["/nowhere/docs/x"]), ok(&["x"]));
        assert_eq!(meant(&two, &["docs", "x"]), ok(&["x"]));
        assert!(meant(&two, &[]).unwrap_err().contains("docs, pics"));
        assert!(meant(&two, &["x"]).unwrap_err().contains("docs, pics"));
        assert!(
            meant(&two, &["docs", "/nowhere/pics/x"]).unwrap_err().contains("one mirror at a time")
        );
    }
}
