//! Single values: what a text must look like to be taken (pure).

use std::net::{IpAddr, SocketAddr};
use std::path::{Component, Path, PathBuf};

use toml::de::DeValue;

use super::document::kind_name;
use super::error::Wrong;
use super::suggest::nearest;

/// What the service takes in no name; `/` cannot occur in a segment.
const FORBIDDEN: &str = "\\:*?\"<>|";

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn text<'b>(value: &'b DeValue<'_>) -> Result<&'b str, Wrong> {
    value.as_str().ok_or_else(|| {
        Wrong::new(format!("is {}, not a text", kind_name(value)), "put the value into quotes")
    })
}

/// A list of texts.
pub(super) fn texts(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let wrong = |what: String| Wrong::new(what, "write a list of texts, as in [\"one\", \"two\"]");
    let item = |item: &DeValue<'_>| {
        let other = || wrong(format!("holds {}, not only texts", kind_name(item)));
        item.as_str().map(str::to_owned).ok_or_else(other)
    };
    let items =
        value.as_array().ok_or_else(|| wrong(format!("is {}, not a list", kind_name(value))))?;
    items.iter().map(|each| item(each.get_ref())).collect()
}

/// On or off.
pub(super) fn switch(value: &DeValue<'_>) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| {
        let what = format!("is {}, not true or false", kind_name(value));
        Wrong::new(what, "write true or false, without quotes")
    })
}

/// A whole number between two others.
pub(super) fn number(value: &DeValue<'_>, least: usize, most: usize) -> Result<usize, Wrong> {
    let next = format!("write a whole number from {least} to {most}, without quotes");
    let number = value
        .as_integer()
        .ok_or_else(|| Wrong::new(format!("is {}", kind_name(value)), next.clone()))?;
    usize::from_str_radix(number.as_str(), number.radix())
        .ok()
        .filter(|found| (least..=most).contains(found))
        .ok_or_else(|| Wrong::new(format!("{number} is out of range"), next))
}

/// One word of several.
pub(super) fn word<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, Wrong> {
    let given = text(value)?;
    if let Some((_, meaning)) = words.iter().find(|(name, _)| *name == given) {
        return Ok(*meaning);
    }
    let names = words.iter().map(|(name, _)| *name);
    let next = match nearest(given, names.clone()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write one of {}", names.collect::<Vec<_>>().join(", ")),
    };
    Err(Wrong::new(format!("{given:?} is not known"), next))
}

/// An absolute path without `.`, `..` and doubled slashes.
pub(super) fn path(value: &DeValue<'_>) -> Result<PathBuf, Wrong> {
    let given = text(value)?;
    if given.is_empty() {
        return Err(Wrong::new("is empty", "write an absolute path"));
    }
    if given.chars().any(char::is_control) {
        return Err(Wrong::new(format!("{given:?} holds a control character"), "remove it"));
    }
    if given == "~" || given.starts_with("~/") {
        return Err(Wrong::new(
            format!("{given:?}: `~` is not expanded here"),
            "write the home folder in full, as in /home/ada",
        ));
    }
    let path = Path::new(given);
    if !path.is_absolute() {
        return Err(Wrong::new(
            format!("{given:?} is a relative path"),
            "write an absolute one, beginning with /",
        ));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(Wrong::new(format!("{given:?} contains .."), "write the path without .."));
    }
    Ok(path.components().collect())
}

/// The name of a mirror.
pub(super) fn mirror_name(value: &DeValue<'_>) -> Result<String, Wrong> {
    let given = text(value)?;
    if is_mirror_name(given) {
        return Ok(given.to_owned());
    }
    Err(Wrong::new(
        format!("{given:?} is not a name"),
        "use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
    ))
}

pub(super) fn is_mirror_name(given: &str) -> bool {
    (1..=64).contains(&given.len())
        && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Segments of a folder in the library.
pub(super) fn remote_folder(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let given = text(value)?;
    let segments: Vec<&str> = given.split('/').filter(|segment| !segment.is_empty()).collect();
    for segment in &segments {
        if matches!(*segment, "." | "..") {
            return Err(Wrong::new(
                format!("{given:?} contains {segment:?}"),
                "write the folder as it is in the library",
            ));
        }
        let bad = segment.chars().find(|c| FORBIDDEN.contains(*c) || c.is_control());
        if let Some(bad) = bad {
            return Err(Wrong::new(
                format!("{given:?} contains {bad:?}, which the service takes in no name"),
                format!("use names without {FORBIDDEN}"),
            ));
        }
    }
    Ok(segments.into_iter().map(str::to_owned).collect())
}

/// An identifier that is put into URLs.
pub(super) fn identifier(value: &DeValue<'_>) -> Result<String, Wrong> {
    let given = text(value)?;
    let sane = (1..=128).contains(&given.len())
        && given.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if sane {
        return Ok(given.to_owned());
    }
    let what = if given.is_empty() {
        "is empty".to_owned()
    } else {
        format!("{given:?} is not an identifier")
    };
    Err(Wrong::new(what, "copy it from the console: letters, digits, - and _"))
}

/// A user of the customer's own naming; it is encoded wherever it is sent.
pub(super) fn user(value: &DeValue<'_>) -> Result<String, Wrong> {
    let given = text(value)?;
    let sane = (1..=256).contains(&given.len())
        && !given.chars().any(|symbol| symbol.is_control() || symbol.is_whitespace());
    if sane {
        return Ok(given.to_owned());
    }
    Err(Wrong::new(
        format!("{given:?} is not a user"),
        "write 1 to 256 characters without spaces, or remove the key",
    ))
}

/// Scheme, host and port of the service.
pub(super) fn endpoint(value: &DeValue<'_>) -> Result<String, Wrong> {
    const NEXT: &str = "write it as in \"https://smhxxxx.api.tencentsmh.cn\"";
    let given = text(value)?;
    // The value is not shown where it may hold a password or a token.
    let url = reqwest::Url::parse(given)
        .map_err(|error| Wrong::new(format!("is not a URL ({error})"), NEXT))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Wrong::new("holds a user or a password", NEXT));
    }
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" if !host.is_empty() => {}
        "http" if is_loopback(host) => {}
        "http" => {
            return Err(Wrong::new(
                format!("http to {host} would send secrets in the clear"),
                "write https; http is only taken for this machine (127.0.0.1, ::1, localhost)",
            ));
        }
        other => return Err(Wrong::new(format!("has the scheme {other:?}"), NEXT)),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(Wrong::new("has something after the host", NEXT));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{host}{port}", url.scheme()))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A proxy. May hold a password, so the value is in no message.
pub(super) fn proxy(value: &DeValue<'_>) -> Result<String, Wrong> {
    const NEXT: &str = "write it as in \"http://proxy.example.org:3128\"";
    let given = text(value)?;
    let url = reqwest::Url::parse(given)
        .map_err(|error| Wrong::new(format!("is not a URL ({error})"), NEXT))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(Wrong::new("is not an http or https URL", NEXT));
    }
    Ok(given.to_owned())
}

/// A proxy without the user and password it may hold.
pub(super) fn proxy_shown(proxy: &str) -> String {
    let Ok(url) = reqwest::Url::parse(proxy) else { return "[hidden]".to_owned() };
    if url.username().is_empty() && url.password().is_none() && url.query().is_none() {
        return proxy.to_owned();
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://[hidden]@{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}

/// Gitignore rules.
pub(super) fn exclude(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let rules = texts(value)?;
    for rule in &rules {
        check_rule(rule)?;
    }
    Ok(rules)
}

fn check_rule(rule: &str) -> Result<(), Wrong> {
    if rule.trim().is_empty() {
        return Err(Wrong::new("holds an empty rule", "remove it"));
    }
    if rule.contains(['\n', '\r']) {
        return Err(Wrong::new(
            format!("{rule:?} is more than one line"),
            "write one rule for each item of the list",
        ));
    }
    if rule.starts_with('#') {
        return Err(Wrong::new(
            format!("{rule:?} is a comment to gitignore and excludes nothing"),
            "begin it with \\\\# when the name begins with #",
        ));
    }
    let mut builder = ignore::gitignore::GitignoreBuilder::new("/");
    let taken = builder.add_line(None, rule).and_then(|builder| builder.build());
    taken.map(|_| ()).map_err(|error| {
        Wrong::new(format!("{rule:?} is no gitignore rule ({error})"), "correct the pattern")
    })
}

/// A level, or a filter of `tracing`.
pub(super) fn log_level(value: &DeValue<'_>) -> Result<String, Wrong> {
    let given = text(value)?;
    let next = "write off, error, warn, info, debug or trace, or a filter such as \"info,smh_mirror::smh=debug\"";
    // The filter takes any single word as the name of a module, so that `inof` would log nothing.
    for part in given.split(',') {
        let part = part.trim();
        let bare = !part.contains(['=', '[', ':', '/']);
        if bare && !LEVELS.contains(&part.to_lowercase().as_str()) {
            let next = match nearest(part, LEVELS) {
                Some(near) => format!("did you mean {near:?}?"),
                None => next.to_owned(),
            };
            return Err(Wrong::new(format!("{part:?} is no level"), next));
        }
    }
    tracing_subscriber::EnvFilter::try_new(given)
        .map(|_| given.to_owned())
        .map_err(|error| Wrong::new(format!("{given:?} is no log filter ({error})"), next))
}

/// An address to listen on.
pub(super) fn loopback(value: &DeValue<'_>) -> Result<SocketAddr, Wrong> {
    let given = text(value)?;
    let address: SocketAddr = given.parse().map_err(|_| {
        Wrong::new(
            format!("{given:?} is not an address with a port"),
            "write it as in \"127.0.0.1:9464\"",
        )
    })?;
    if !address.ip().is_loopback() {
        return Err(Wrong::new(
            format!(
                "{given:?} can be reached from other machines, and nobody is asked for a password there"
            ),
            "write it as in \"127.0.0.1:9464\", and let something that asks who it is pass requests on to it",
        ));
    }
    Ok(address)
}

/// A program and its arguments. Arguments may hold a secret, so no message shows them.
pub(super) fn command(value: &DeValue<'_>) -> Result<Vec<String>, Wrong> {
    let words = texts(value)?;
    let Some(program) = words.first().filter(|program| !program.is_empty()) else {
        return Err(Wrong::new("names no program", "write [\"/path/to/program\", \"argument\"]"));
    };
    if program.contains('/') && !program.starts_with('/') {
        return Err(Wrong::new(
            "names the program by a relative path",
            "write an absolute path, or a bare name that is found in PATH",
        ));
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err(Wrong::new("holds a NUL", "remove it"));
    }
    Ok(words)
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
