//! From the text of a configuration to a [`Config`] (all checks that need no look at the machine, but
//! for the secret file, whose readers are checked where it is named).

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ignore::gitignore::GitignoreBuilder;
use toml::de::DeTable;

use super::error::{ConfigError, Problem};
use super::locate::Environment;
use super::secret::SecretSource;
use super::table::{Problems, Section};
use super::types::{
    Auth, Config, Delete, Log, LogFormat, MaxDelete, Metrics, Mirror, Names, Remote, Symlinks,
    Transfer, WatchMode,
};
use super::units;

/// A configuration is some kilobytes.
const FILE_MAX: u64 = 1 << 20;
/// Characters that the service forbids in names (sheet section 12).
const FORBIDDEN: &str = "\\:*?\"<>|";

impl Config {
    /// Reads and validates `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(file: &Path, environment: &Environment) -> Result<Config, ConfigError> {
        let unreadable =
            |source| ConfigError::Unreadable { file: file.to_path_buf(), source };
        let size = std::fs::metadata(file).map_err(unreadable)?.len();
        if size > FILE_MAX {
            return Err(unreadable(std::io::Error::other("larger than 1 MiB: not a configuration")));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Config::parse(file, &text, environment)
            .map_err(|problems| ConfigError::Wrong { file: file.to_path_buf(), problems })
    }

    /// Validates the text of a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(
        file: &Path,
        text: &str,
        environment: &Environment,
    ) -> Result<Config, Vec<Problem>> {
        let problems = Problems::new(text);
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let line = error.span().map(|span| problems.line(span.start));
                problems.add(line, "", format!("not valid TOML: {}", error.message().trim()));
                return Err(problems.into_list());
            }
        };
        let top = Section::new(&problems, "", None, Some(table.get_ref()));
        let config = Config {
            file: file.to_path_buf(),
            state_dir: state_dir(&top, environment),
            remote: remote(&top, environment),
            mirrors: mirrors(&top),
            transfer: transfer(&top),
            log: log(&top),
            metrics: metrics(&top),
        };
        top.no_others();
        overlaps(&config, &problems);
        drop(top);
        let list = problems.into_list();
        if list.is_empty() { Ok(config) } else { Err(list) }
    }
}

/// An option that this version knows and does not act on: better refused than believed.
fn unsupported(section: &Section<'_, '_>, name: &str, line: usize, usable: &str) {
    let message = format!("not supported by this version yet; set it to {usable}, or remove it");
    section.problems.add(Some(line), &section.key(name), message);
}

/// An absolute path without `.` and `..`.
fn absolute(section: &Section<'_, '_>, name: &'static str, text: &str, line: usize) -> PathBuf {
    let path = Path::new(text);
    if !path.is_absolute() {
        let message = format!("`{text}` is relative; write the whole path, beginning with /");
        section.problems.add(Some(line), &section.key(name), message);
    } else if path.components().any(|part| part == Component::ParentDir) {
        let message = "the path contains `..`; write where it really leads";
        section.problems.add(Some(line), &section.key(name), message);
    }
    // Collecting the components drops `.` and doubled slashes.
    path.components().collect()
}

fn state_dir(top: &Section<'_, '_>, environment: &Environment) -> PathBuf {
    match top.text("state_dir") {
        Some(found) => absolute(top, "state_dir", found.value, found.line),
        None => environment.default_state_dir().unwrap_or_else(|| {
            top.problems.add(None, "state_dir", "missing, and there is no home to put it in; name a folder");
            PathBuf::new()
        }),
    }
}

fn remote(top: &Section<'_, '_>, environment: &Environment) -> Remote {
    let section = top.section("remote");
    let problems = section.problems;
    let endpoint = match section.text("endpoint") {
        Some(found) => match endpoint(found.value) {
            Ok(endpoint) => endpoint,
            Err(message) => {
                problems.add(Some(found.line), "remote.endpoint", message);
                String::new()
            }
        },
        None => {
            let message = "missing; copy the domain of the library from the console, like https://smhxxxx.api.tencentsmh.cn";
            problems.add(section.line, "remote.endpoint", message);
            String::new()
        }
    };
    let word = |name: &'static str, hint: &str, default: Option<&str>| match section.text(name) {
        Some(found) if found.value.is_empty() || found.value.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/') => {
            problems.add(Some(found.line), &section.key(name), format!("`{}` is not valid; {hint}", found.value));
            String::new()
        }
        Some(found) => found.value.to_owned(),
        None => match default {
            Some(default) => default.to_owned(),
            None => {
                problems.add(section.line, &section.key(name), format!("missing; {hint}"));
                String::new()
            }
        },
    };
    let library_id = word("library_id", "copy the library id from the console", None);
    let space_id = word("space_id", "\"-\" for a single-tenant library, else the id of the space", Some("-"));
    let user_id = section.text("user_id").map(|found| found.value.to_owned());
    let ca_file =
        section.text("ca_file").map(|found| absolute(&section, "ca_file", found.value, found.line));
    let proxy = section.text("proxy").map(|found| {
        let known = ["http://", "https://", "socks5://"].iter().any(|s| found.value.starts_with(s));
        if !known {
            problems.add(Some(found.line), "remote.proxy", "not a URL; write for example http://proxy:3128");
        } else if found.value.starts_with("socks5://") {
            unsupported(&section, "proxy", found.line, "an http:// or https:// proxy");
        }
        found.value.to_owned()
    });
    let auth = auth(&section.section("auth"), environment);
    section.no_others();
    Remote { endpoint, library_id, space_id, user_id, ca_file, proxy, auth }
}

/// Scheme, host and port, or why not.
fn endpoint(text: &str) -> Result<String, String> {
    let example = "write for example https://smhxxxx.api.tencentsmh.cn";
    let text = text.trim_end_matches('/');
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| format!("`{text}` is not a URL; {example}"))?;
    if rest.is_empty() || rest.contains(|c: char| c == '/' || c == '?' || c == '#' || c == '@' || c.is_whitespace()) {
        return Err(format!("`{text}` is more or less than scheme, host and port; {example}"));
    }
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => rest.split(':').next().unwrap_or_default(),
    };
    let loopback = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(text.to_owned()),
        "http" if loopback => Ok(text.to_owned()),
        "http" => Err(format!("http:// would show the token to the network; use https://{rest} (http is for loopback only)")),
        _ => Err(format!("`{scheme}` is not https; {example}")),
    }
}

fn auth(section: &Section<'_, '_>, environment: &Environment) -> Auth {
    let problems = section.problems;
    let mut sources: Vec<(&str, usize, Auth)> = Vec::new();
    if let Some(found) = section.text("library_secret_file") {
        let path = absolute(section, "library_secret_file", found.value, found.line);
        sources.push(("library_secret_file", found.line, Auth::LibrarySecret(SecretSource::File(path))));
    }
    if let Some(found) = section.text("access_token_file") {
        let path = absolute(section, "access_token_file", found.value, found.line);
        sources.push(("access_token_file", found.line, Auth::AccessToken(SecretSource::File(path))));
    }
    if let Some(found) = section.texts("access_token_command") {
        let words: Vec<String> = found.value.iter().map(|word| word.value.to_owned()).collect();
        if words.first().is_none_or(String::is_empty) {
            problems.add(Some(found.line), &section.key("access_token_command"), "names no program");
        }
        sources.push(("access_token_command", found.line, Auth::AccessToken(SecretSource::Command(words))));
    }
    section.no_others();
    let usable = Auth::AccessToken(SecretSource::Command(Vec::new()));
    let mut in_file = sources.into_iter();
    match (in_file.next(), in_file.next()) {
        (Some((first, ..)), Some((second, line, _))) => {
            let message = format!("`{first}` and `{second}` are both given; keep exactly one");
            problems.add(Some(line), "remote.auth", message);
            usable
        }
        (Some((name, line, auth)), None) => {
            if let Auth::LibrarySecret(source @ SecretSource::File(_))
            | Auth::AccessToken(source @ SecretSource::File(_)) = &auth
                && let SecretSource::File(path) = source
                && path.is_absolute()
                && let Err(error) = source.read()
            {
                problems.add(Some(line), &section.key(name), error.to_string());
            }
            auth
        }
        (None, _) => match from_environment(environment) {
            Ok(Some(auth)) => auth,
            Ok(None) => {
                let message = "no secret; name a file with library_secret_file (or access_token_file, access_token_command)";
                problems.add(section.line, "remote.auth", message);
                usable
            }
            Err(message) => {
                problems.add(section.line, "remote.auth", message);
                usable
            }
        },
    }
}

/// Credentials of systemd and variables count when the file names nothing.
fn from_environment(environment: &Environment) -> Result<Option<Auth>, String> {
    let mut found: Vec<(&str, Auth)> = Vec::new();
    if let Some(dir) = &environment.credentials_directory {
        let secret = dir.join("library-secret");
        if secret.exists() {
            found.push(("the credential library-secret", Auth::LibrarySecret(SecretSource::File(secret))));
        }
        let token = dir.join("access-token");
        if token.exists() {
            found.push(("the credential access-token", Auth::AccessToken(SecretSource::File(token))));
        }
    }
    if let Some(secret) = &environment.library_secret {
        let source = SecretSource::Value(secret.clone());
        found.push(("SMH_MIRROR_LIBRARY_SECRET", Auth::LibrarySecret(source)));
    }
    if let Some(token) = &environment.access_token {
        let source = SecretSource::Value(token.clone());
        found.push(("SMH_MIRROR_ACCESS_TOKEN", Auth::AccessToken(source)));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(format!("both {first} and {second} are given; keep exactly one"))
        }
        (first, _) => Ok(first.map(|(_, auth)| auth)),
    }
}

fn mirrors(top: &Section<'_, '_>) -> Vec<Mirror> {
    let sections = top.sections("mirror");
    if sections.is_empty() {
        top.problems.add(None, "mirror", "nothing to mirror; add a [[mirror]] with name, local and remote");
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut mirrors = Vec::new();
    for section in sections {
        let mirror = mirror(&section);
        if !mirror.name.is_empty() {
            let line = section.line.unwrap_or(1);
            if let Some(first) = names.insert(mirror.name.clone(), line) {
                let message = format!("the name is taken by the mirror in line {first}; names must differ");
                section.problems.add(Some(line), &section.key("name"), message);
            }
        }
        mirrors.push(mirror);
    }
    mirrors
}

fn mirror(section: &Section<'_, '_>) -> Mirror {
    let problems = section.problems;
    let missing = |name: &str, hint: &str| {
        problems.add(section.line, &section.key(name), format!("missing; {hint}"));
    };
    let name = match section.text("name") {
        Some(found) => {
            let good = (1..=64).contains(&found.value.len())
                && found.value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            if !good {
                let message = "a name has 1 to 64 letters, digits, `.`, `_` or `-`";
                problems.add(Some(found.line), &section.key("name"), message);
            }
            found.value.to_owned()
        }
        None => {
            missing("name", "a short name for status and logs");
            String::new()
        }
    };
    let local = match section.text("local") {
        Some(found) => {
            let path = absolute(section, "local", found.value, found.line);
            if path == Path::new("/") {
                problems.add(Some(found.line), &section.key("local"), "the whole system cannot be mirrored; name a folder");
            }
            path
        }
        None => {
            missing("local", "the folder to mirror");
            PathBuf::new()
        }
    };
    let remote = match section.text("remote") {
        Some(found) => segments(found.value).unwrap_or_else(|message| {
            problems.add(Some(found.line), &section.key("remote"), message);
            Vec::new()
        }),
        None => {
            missing("remote", "the folder in the library; \"\" is its root");
            Vec::new()
        }
    };
    let exclude = section.texts("exclude").map(|found| found.value).unwrap_or_default();
    for line in &exclude {
        if let Err(error) = GitignoreBuilder::new("").add_line(None, line.value) {
            problems.add(Some(line.line), &section.key("exclude"), format!("`{}`: {error}", line.value));
        }
    }
    let settle = section.read("settle", Duration::from_secs(2), units::duration);
    let settle_max = section.read("settle_max", Duration::from_secs(300), units::duration);
    if settle > settle_max {
        problems.add(section.line, &section.key("settle"), "longer than settle_max; make it shorter");
    }
    let at_least = |name: &str, value: Duration, least: Duration| {
        if value < least {
            let message = format!("shorter than {} s; make it longer", least.as_secs());
            problems.add(section.line, &section.key(name), message);
        }
        value
    };
    let rescan = section.read("rescan", Duration::from_secs(3_600), units::duration);
    let rescan = at_least("rescan", rescan, Duration::from_secs(10));
    let poll_interval = section.read("poll_interval", Duration::from_secs(60), units::duration);
    let poll_interval = at_least("poll_interval", poll_interval, Duration::from_secs(1));
    let watch = section.read("watch", WatchMode::Auto, |text| match text {
        "auto" => Ok(WatchMode::Auto),
        "inotify" => Ok(WatchMode::Inotify),
        "poll" => Ok(WatchMode::Poll),
        other => Err(one_of(other, "auto, inotify or poll")),
    });
    let choice = |name: &'static str, usable: &'static str, known: &'static [&'static str]| {
        let Some(found) = section.text(name) else { return };
        if !known.contains(&found.value) {
            problems.add(Some(found.line), &section.key(name), one_of(found.value, &known.join(", ")));
        } else if found.value != usable {
            unsupported(section, name, found.line, &format!("\"{usable}\""));
        }
    };
    choice("symlinks", "skip", &["skip", "follow"]);
    choice("names", "skip", &["skip", "escape"]);
    choice("delete", "keep", &["keep", "recycle", "permanent"]);
    let delete_grace = section.read("delete_grace", Duration::from_secs(300), units::duration);
    let max_delete = section.read(
        "max_delete",
        MaxDelete { files: Some(1000), percent: Some(25) },
        units::max_delete,
    );
    section.no_others();
    Mirror {
        name,
        local,
        remote,
        exclude: exclude.into_iter().map(|line| line.value.to_owned()).collect(),
        settle,
        settle_max,
        rescan,
        watch,
        poll_interval,
        symlinks: Symlinks::Skip,
        names: Names::Skip,
        delete: Delete::Keep,
        delete_grace,
        max_delete,
    }
}

fn one_of(given: &str, known: &str) -> String {
    format!("`{given}` is not known; write {known}")
}

/// The names of a remote folder.
fn segments(text: &str) -> Result<Vec<String>, String> {
    let mut segments = Vec::new();
    for name in text.split('/').filter(|name| !name.is_empty()) {
        if name == "." || name == ".." {
            return Err("the folder contains `.` or `..`; write where it really is".to_owned());
        }
        if let Some(wrong) = name.chars().find(|c| FORBIDDEN.contains(*c) || c.is_control()) {
            return Err(format!("the service does not take {wrong:?} in a name; choose another folder"));
        }
        segments.push(name.to_owned());
    }
    Ok(segments)
}

fn transfer(top: &Section<'_, '_>) -> Transfer {
    let section = top.section("transfer");
    let found = section.number("concurrency", 32);
    if !(1..=256).contains(&found.value) {
        section.problems.add(Some(found.line), &section.key("concurrency"), "must be 1 to 256");
    }
    if let Some(limit) = section.text("bandwidth_limit") {
        match units::size(limit.value) {
            Ok(0) => {}
            Ok(_) => unsupported(&section, "bandwidth_limit", limit.line, "\"0\""),
            Err(message) => {
                section.problems.add(Some(limit.line), &section.key("bandwidth_limit"), message);
            }
        }
    }
    section.no_others();
    Transfer { concurrency: usize::try_from(found.value).unwrap_or(1), bandwidth_limit: 0 }
}

fn log(top: &Section<'_, '_>) -> Log {
    let section = top.section("log");
    let level = section.read("level", "info".to_owned(), |text| {
        text.parse::<tracing_subscriber::filter::Targets>()
            .map(|_| text.to_owned())
            .map_err(|_| one_of(text, "error, warn, info, debug or trace"))
    });
    let format = section.read("format", LogFormat::Auto, |text| match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(one_of(other, "auto, text or json")),
    });
    section.no_others();
    Log { level, format }
}

fn metrics(top: &Section<'_, '_>) -> Metrics {
    let section = top.section("metrics");
    if section.is_present()
        && let Some(found) = section.text("listen")
    {
        unsupported(&section, "listen", found.line, "nothing");
    }
    section.no_others();
    Metrics { listen: None }
}

/// Mirrors that would meet: one root inside another, one remote folder inside another, or the journal
/// inside what is mirrored.
fn overlaps(config: &Config, problems: &Problems<'_>) {
    for (at, one) in config.mirrors.iter().enumerate() {
        for other in config.mirrors.iter().skip(at + 1) {
            let names = format!("mirror \"{}\" and mirror \"{}\"", one.name, other.name);
            let usable = one.local.is_absolute() && other.local.is_absolute();
            if usable && (one.local.starts_with(&other.local) || other.local.starts_with(&one.local)) {
                let message = format!(
                    "the folders {} and {} overlap; a file must belong to one mirror only",
                    one.local.display(),
                    other.local.display()
                );
                problems.add(None, &names, message);
            }
            if one.remote.starts_with(&other.remote) || other.remote.starts_with(&one.remote) {
                let message = format!(
                    "the remote folders \"{}\" and \"{}\" overlap; give each mirror its own",
                    one.remote.join("/"),
                    other.remote.join("/")
                );
                problems.add(None, &names, message);
            }
        }
        if one.local.is_absolute() && config.state_dir.starts_with(&one.local) {
            let message = format!(
                "{} lies inside the mirrored folder {}; the journal would mirror itself",
                config.state_dir.display(),
                one.local.display()
            );
            problems.add(None, "state_dir", message);
        }
    }
}
