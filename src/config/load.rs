//! From a file to a validated configuration.

use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::auth;
use super::bandwidth;
use super::check;
use super::document::{Reader, Section, kind_name, line_of};
use super::draft::{Draft, Secrets};
use super::error::{Report, Wrong};
use super::{
    Auth, Config, ConfigError, Environment, Hooks, Log, Metrics, Mirror, Remote, Text, Transfer,
    defaults, units, values, words,
};

/// A configuration is a page; more is some other file.
const LONGEST: u64 = 1024 * 1024;

impl Config {
    /// Reads and validates a file, and looks whether the secret can be had (a command is not run).
    ///
    /// # Errors
    ///
    /// With all problems at once, each with its line, its key and what to do.
    pub fn load(path: &Path, env: &Environment) -> Result<Config, ConfigError> {
        load(path, env, Secrets::Needed)
    }

    /// Like [`Config::load`] for commands that never talk to the service: `status` works for people
    /// who may not read the secret, and where only the unit of the daemon has it.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], but not because of a secret that is missing or cannot be read.
    pub fn load_without_secret(path: &Path, env: &Environment) -> Result<Config, ConfigError> {
        load(path, env, Secrets::NotNeeded)
    }

    /// What was read before from the file at `path`, as the daemon has it that was started with it.
    ///
    /// # Errors
    ///
    /// As [`Config::load_without_secret`].
    pub fn of_text(path: &Path, text: &str, env: &Environment) -> Result<Config, ConfigError> {
        from_text(text, Report::new(path), env, Secrets::NotNeeded).map_err(ConfigError::Invalid)
    }

    /// Where the journal lives by a file that is wrong elsewhere, as far as it can be made out.
    #[must_use]
    pub fn state_dir_at_least(path: &Path, env: &Environment) -> Option<PathBuf> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(LONGEST).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let (table, _) = DeTable::parse_recoverable(&text);
        let named = table.get_ref().iter().find(|(key, _)| key.get_ref() == "state_dir");
        match named {
            Some((_, value)) => values::path(value.get_ref()).ok(),
            None => env.default_state_dir(),
        }
    }
}

fn load(path: &Path, env: &Environment, secrets: Secrets) -> Result<Config, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { file: path.to_path_buf(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(unreadable(Error::new(ErrorKind::FileTooLarge, "larger than 1 MiB")));
    }
    let mut report = Report::new(path);
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
            report.add(Some(line), "", Wrong::new("not UTF-8", "save the file as UTF-8"));
            return Err(ConfigError::Invalid(report.problems));
        }
    };
    from_text(&text, report, env, secrets).map_err(ConfigError::Invalid)
}

/// The configuration in `text`, or everything that is wrong with it.
pub(super) fn from_text(
    text: &str,
    report: Report,
    env: &Environment,
    secrets: Secrets,
) -> Result<Config, Vec<super::Problem>> {
    let mut reader = Reader::new(text, report);
    let Some(table) = reader.parse() else {
        return Err(reader.report.problems);
    };
    let config = read(&mut reader, &table, env, secrets);
    if reader.report.problems.is_empty() {
        return Ok(Config { lines: reader.lines, text: Text(Arc::from(text)), ..config });
    }
    let mut problems = reader.report.problems;
    problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
    Err(problems)
}

fn read(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    env: &Environment,
    secrets: Secrets,
) -> Config {
    let top = Section::new("", "", None, Some(table));
    top.refuse_unknown(reader);
    let state_dir = state_dir(reader, &top, env);
    let remote = remote(reader, &top, env, secrets);
    let drafts = mirrors(reader, &top);
    check::across(reader, &drafts, state_dir.as_deref());
    Config {
        file: reader.report.file.clone(),
        state_dir: state_dir.unwrap_or_default(),
        remote,
        mirrors: drafts.into_iter().map(|draft| draft.mirror).collect(),
        transfer: transfer(reader, &top),
        hooks: hooks(reader, &top),
        log: log(reader, &top),
        metrics: metrics(reader, &top),
        lines: super::Lines::default(),
        text: Text(Arc::from("")),
    }
}

fn state_dir(reader: &mut Reader<'_>, top: &Section<'_, '_>, env: &Environment) -> Option<PathBuf> {
    if top.find("state_dir").is_some() {
        return top.take(reader, "state_dir", values::path);
    }
    let found = env.default_state_dir();
    if found.is_none() {
        reader.report.add(
            None,
            "state_dir",
            Wrong::new(
                "is missing, and neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set",
                "write state_dir = \"/var/lib/smh-mirror\" at the top",
            ),
        );
    }
    found
}

fn remote(
    reader: &mut Reader<'_>,
    top: &Section<'_, '_>,
    env: &Environment,
    secrets: Secrets,
) -> Remote {
    let section = top.section(reader, "remote", "remote");
    section.refuse_unknown(reader);
    let endpoint = section.need(
        reader,
        "endpoint",
        "write the address of the library, as in \"https://smhxxxx.api.tencentsmh.cn\"",
        values::endpoint,
    );
    let library_id = section.need(
        reader,
        "library_id",
        "copy the id of the library from the console",
        values::identifier,
    );
    let space_id = section.take(reader, "space_id", values::identifier);
    let user_id = section.take(reader, "user_id", values::user);
    let ca_file = section.take(reader, "ca_file", values::path);
    let proxy = section.take(reader, "proxy", values::proxy);
    Remote {
        endpoint: endpoint.unwrap_or_default(),
        library_id: library_id.unwrap_or_default(),
        space_id: space_id.unwrap_or_else(|| defaults::SPACE_ID.to_owned()),
        user_id,
        ca_file,
        proxy,
        auth: auth::read(reader, &section, env, secrets)
            .unwrap_or(Auth::LibrarySecret(super::SecretSource::Nowhere)),
    }
}

fn mirrors(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> Vec<Draft> {
    let tables = top.take(reader, "mirror", |value| {
        let wrong = |found: &DeValue<'_>| {
            Wrong::new(
                format!("is {}, not a list of sections", kind_name(found)),
                "begin each mirror with a line [[mirror]]",
            )
        };
        let items = value.as_array().ok_or_else(|| wrong(value))?;
        items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::Table(table) => Ok((item.span().start, table)),
                other => Err(wrong(other)),
            })
            .collect::<Result<Vec<_>, Wrong>>()
    });
    let Some(tables) = tables else {
        if top.find("mirror").is_none() {
            no_mirror(reader);
        }
        return Vec::new();
    };
    if tables.is_empty() {
        no_mirror(reader);
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, (start, table)) in tables.into_iter().enumerate() {
        let line = reader.line(start);
        // Messages name a mirror by its name as soon as that names one mirror only.
        let given = table.get("name").and_then(|name| name.get_ref().as_str());
        let key = given
            .filter(|name| values::is_mirror_name(name))
            .map(|name| format!("mirror.{name}"))
            .filter(|key| drafts.iter().all(|draft| draft.key != *key))
            .unwrap_or_else(|| format!("mirror[{}]", index + 1));
        let section = Section::new("mirror", key, Some(line), Some(table));
        let draft = mirror(reader, &section);
        drafts.push(draft);
    }
    drafts
}

fn no_mirror(reader: &mut Reader<'_>) {
    reader.report.add(
        None,
        "mirror",
        Wrong::new("there is none", "add a section [[mirror]] with name, local and remote"),
    );
}

fn mirror(reader: &mut Reader<'_>, section: &Section<'_, '_>) -> Draft {
    section.refuse_unknown(reader);
    let name = section.need(
        reader,
        "name",
        "give the mirror a name, as in name = \"docs\"",
        values::mirror_name,
    );
    let local =
        section.need(reader, "local", "name the folder, as in local = \"/srv/docs\"", values::path);
    let remote = section.need(
        reader,
        "remote",
        "name the folder in the library, as in remote = \"backup/docs\"",
        values::remote_folder,
    );
    let exclude = section.take(reader, "exclude", values::exclude);
    section.note_items(reader, "exclude");
    let exclude_temporary = section.take(reader, "exclude_temporary", values::switch);
    let settle = span(reader, section, "settle", defaults::SETTLE, Duration::ZERO);
    let settle_max = span(reader, section, "settle_max", defaults::SETTLE_MAX, Duration::ZERO);
    let rescan = span(reader, section, "rescan", defaults::RESCAN, defaults::LEAST_RESCAN);
    let watch = section.take(reader, "watch", |value| values::word(value, &words::WATCH));
    let poll_interval =
        span(reader, section, "poll_interval", defaults::POLL_INTERVAL, defaults::LEAST_POLL);
    let symlinks = section.take(reader, "symlinks", |value| values::word(value, &words::SYMLINKS));
    let names = section.take(reader, "names", |value| values::word(value, &words::NAMES));
    let delete = section.take(reader, "delete", |value| values::word(value, &words::DELETE));
    let delete_grace =
        span(reader, section, "delete_grace", defaults::DELETE_GRACE, Duration::ZERO);
    let max_delete =
        section.take(reader, "max_delete", |value| units::max_delete(values::text(value)?));
    Draft {
        key: section.name.clone(),
        line: section.line,
        has_local: local.is_some(),
        has_remote: remote.is_some(),
        mirror: Mirror {
            name: name.unwrap_or_default(),
            local: local.unwrap_or_default(),
            remote: remote.unwrap_or_default(),
            exclude: exclude.unwrap_or_default(),
            exclude_temporary: exclude_temporary.unwrap_or(defaults::EXCLUDE_TEMPORARY),
            settle,
            settle_max,
            rescan,
            watch: watch.unwrap_or(defaults::WATCH),
            poll_interval,
            symlinks: symlinks.unwrap_or(defaults::SYMLINKS),
            names: names.unwrap_or(defaults::NAMES),
            delete: delete.unwrap_or(defaults::DELETE),
            delete_grace,
            max_delete: max_delete.unwrap_or(defaults::MAX_DELETE),
        },
    }
}

fn span(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    key: &str,
    default: Duration,
    least: Duration,
) -> Duration {
    let taken = section.take(reader, key, |value| {
        let span = units::duration(values::text(value)?)?;
        if span < least {
            let least = units::duration_text(least);
            return Err(Wrong::new(
                format!("\"{}\" is too short", units::duration_text(span)),
                format!("write at least \"{least}\""),
            ));
        }
        Ok(span)
    });
    taken.unwrap_or(default)
}

fn transfer(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> Transfer {
    let section = top.section(reader, "transfer", "transfer");
    section.refuse_unknown(reader);
    let concurrency = section
        .take(reader, "concurrency", |value| values::number(value, 1, defaults::MOST_CONCURRENCY));
    let limit =
        section.take(reader, "bandwidth_limit", |value| bandwidth::read(values::text(value)?));
    let multipart_from = section.take(reader, "multipart_from", |value| {
        let size = units::size(values::text(value)?)?;
        let (least, most) = defaults::MULTIPART_FROM_RANGE;
        if (least..=most).contains(&size) {
            return Ok(size);
        }
        let (least, most) = (units::size_text(least), units::size_text(most));
        let what = format!("{} is out of range", units::size_text(size));
        Err(Wrong::new(what, format!("write a size from {least} to {most}")))
    });
    Transfer {
        multipart_from: multipart_from.unwrap_or(defaults::MULTIPART_FROM),
        concurrency: concurrency.unwrap_or(defaults::CONCURRENCY),
        bandwidth_limit: limit.unwrap_or(defaults::BANDWIDTH_LIMIT),
    }
}

fn hooks(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> Hooks {
    let section = top.section(reader, "hooks", "hooks");
    section.refuse_unknown(reader);
    Hooks {
        on_trouble: section.take(reader, "on_trouble", values::command),
        on_recovered: section.take(reader, "on_recovered", values::command),
        min_interval: span(
            reader,
            &section,
            "min_interval",
            defaults::MIN_INTERVAL,
            defaults::LEAST_INTERVAL,
        ),
    }
}

fn log(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> Log {
    let section = top.section(reader, "log", "log");
    section.refuse_unknown(reader);
    let level = section.take(reader, "level", values::log_level);
    let format = section.take(reader, "format", |value| values::word(value, &words::LOG_FORMAT));
    Log {
        level: level.unwrap_or_else(|| defaults::LOG_LEVEL.to_owned()),
        format: format.unwrap_or(defaults::LOG_FORMAT),
    }
}

fn metrics(reader: &mut Reader<'_>, top: &Section<'_, '_>) -> Metrics {
    let section = top.section(reader, "metrics", "metrics");
    section.refuse_unknown(reader);
    Metrics { listen: section.take(reader, "listen", values::loopback) }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
