//! `rescan`: has the daemon look at a mirror, a folder or a file now, instead of at the next scan.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::locate::locate;
use super::request::{self, Taken};
use super::status_view::put_path;
use super::{Exit, Failure, Global, output};
use crate::config::Config;
use crate::mirror::Rescan;
use crate::relpath::RelPath;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Mirrors by their names, or folders and files, instead of all mirrors; `./docs` is a folder where `docs` is a
    /// mirror
    #[arg(value_name = "MIRROR|PATH")]
    wanted: Vec<PathBuf>,
}

pub(super) fn run(global: &Global, args: &Args) -> Result<Exit, Failure> {
    let config = global.load_to_ask()?;
    let mut wanted = Vec::new();
    for path in &args.wanted {
        wanted.push(meant(&config, path)?);
    }
    if wanted.is_empty() {
        wanted.extend(config.mirrors.iter().map(|mirror| whole(&mirror.name)));
    }
    let taken = request::leave(&config, |folder| wanted.iter().map(|w| w.leave(folder)).collect())?;
    if global.json {
        let rescans: Vec<Value> = wanted
            .iter()
            .map(|rescan| {
                let mut value = json!({"mirror": rescan.mirror});
                put_path(&mut value, &rescan.path);
                value
            })
            .collect();
        output::print_json(
            &json!({"schema": 1, "rescans": rescans, "taken": taken == Taken::Now}),
        )?;
        return Ok(Exit::Done);
    }
    for rescan in &wanted {
        output::print_line(&sentence(rescan, taken))?;
    }
    Ok(Exit::Done)
}

/// A name without a slash is that of a mirror, if there is one.
fn meant(config: &Config, wanted: &Path) -> Result<Rescan, Failure> {
    let mirror = config.mirrors.iter().find(|mirror| wanted.as_os_str() == mirror.name.as_str());
    if let Some(mirror) = mirror {
        return Ok(whole(&mirror.name));
    }
    let Some((mirror, path)) = locate(config, wanted) else {
        let names: Vec<&str> = config.mirrors.iter().map(|mirror| mirror.name.as_str()).collect();
        let said = anyhow::anyhow!(
            "{} is no mirror and belongs to none; name a mirror ({}), or something in its folder",
            wanted.display(),
            names.join(", ")
        );
        return Err(Failure::new(Exit::Usage, said));
    };
    Ok(Rescan { mirror: mirror.name.clone(), path })
}

fn whole(mirror: &str) -> Rescan {
    Rescan { mirror: mirror.to_owned(), path: RelPath::root() }
}

fn sentence(rescan: &Rescan, taken: Taken) -> String {
    let Rescan { mirror, path } = rescan;
    match (taken, path.is_root()) {
        (Taken::Now, true) => {
            format!("{mirror}: a full scan begins; `smh-mirror status` says when it was complete")
        }
        (Taken::Now, false) => {
            format!("{}: is looked at, and what lies below it", path.in_mirror(mirror))
        }
        (Taken::ByNobody, _) => {
            format!("{mirror}: no daemon works now; the next one begins with a full scan anyway")
        }
        (Taken::Later, _) => format!(
            "{mirror}: the daemon has not taken the request yet; it does so as soon as it can go on"
        ),
    }
}
