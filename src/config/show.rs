//! The effective configuration for people and programs (pure). Secrets appear as their source.

use std::path::Path;

use serde_json::{Value, json};

use super::document::keys_of;
use super::environment::{ACCESS_TOKEN, LIBRARY_SECRET};
use super::{Auth, Config, Mirror, SecretSource, TEMPORARY_NAMES, units, values, words};

impl Config {
    /// Everything with its defaults, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "schema": 1,
            "file": self.file.display().to_string(),
            "state_dir": self.state_dir.display().to_string(),
            "remote": self.remote_json(),
            "mirrors": self.mirrors.iter().map(mirror_json).collect::<Vec<_>>(),
            "transfer": self.transfer_json(),
            "hooks": self.hooks_json(),
            "log": self.log_json(),
            "metrics": self.metrics_json(),
        })
    }

    /// Everything with its defaults, as it would be written in the file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let auth = auth_toml(&self.remote.auth);
        let mut text = format!("# What {} means, with every default.\n", printable(&self.file));
        section(&mut text, "", &json!({ "state_dir": self.state_dir.display().to_string() }));
        section(&mut text, "remote", &self.remote_json());
        match auth {
            Ok(keys) => section(&mut text, "remote.auth", &keys),
            Err(source) => text.push_str(&format!("\n# [remote.auth]: {source}\n")),
        }
        for mirror in &self.mirrors {
            section(&mut text, "mirror", &mirror_json(mirror));
            if mirror.exclude_temporary {
                text.push_str("# exclude_temporary leaves out:");
                for name in TEMPORARY_NAMES {
                    text.push_str(&format!(" {name}"));
                }
                text.push('\n');
            }
        }
        section(&mut text, "transfer", &self.transfer_json());
        section(&mut text, "hooks", &self.hooks_json());
        section(&mut text, "log", &self.log_json());
        section(&mut text, "metrics", &self.metrics_json());
        text
    }

    fn remote_json(&self) -> Value {
        let remote = &self.remote;
        json!({
            "endpoint": remote.endpoint,
            "library_id": remote.library_id,
            "space_id": remote.space_id,
            "user_id": remote.user_id,
            "ca_file": remote.ca_file.as_ref().map(|path| path.display().to_string()),
            "proxy": remote.proxy.as_deref().map(values::proxy_shown),
            "auth": auth_json(&remote.auth),
        })
    }

    fn transfer_json(&self) -> Value {
        json!({
            "concurrency": self.transfer.concurrency,
            "multipart_from": units::size_text(self.transfer.multipart_from),
            "bandwidth_limit": self.transfer.bandwidth_limit.to_string(),
        })
    }

    fn hooks_json(&self) -> Value {
        let shown = |words: &Option<Vec<String>>| words.as_deref().map(words_shown);
        json!({
            "on_trouble": shown(&self.hooks.on_trouble),
            "on_recovered": shown(&self.hooks.on_recovered),
            "min_interval": units::duration_text(self.hooks.min_interval),
        })
    }

    fn metrics_json(&self) -> Value {
        json!({ "listen": self.metrics.listen.map(|listen| listen.to_string()) })
    }

    fn log_json(&self) -> Value {
        json!({
            "level": self.log.level,
            "format": words::of(&words::LOG_FORMAT, &self.log.format),
        })
    }
}

fn mirror_json(mirror: &Mirror) -> Value {
    json!({
        "name": mirror.name,
        "local": mirror.local.display().to_string(),
        "remote": mirror.remote.join("/"),
        "exclude": mirror.exclude,
        "exclude_temporary": mirror.exclude_temporary,
        "temporary_names": if mirror.exclude_temporary { TEMPORARY_NAMES } else { &[] },
        "settle": units::duration_text(mirror.settle),
        "settle_max": units::duration_text(mirror.settle_max),
        "rescan": units::duration_text(mirror.rescan),
        "watch": words::of(&words::WATCH, &mirror.watch),
        "poll_interval": units::duration_text(mirror.poll_interval),
        "symlinks": words::of(&words::SYMLINKS, &mirror.symlinks),
        "names": words::of(&words::NAMES, &mirror.names),
        "delete": words::of(&words::DELETE, &mirror.delete),
        "delete_grace": units::duration_text(mirror.delete_grace),
        "max_delete": units::max_delete_text(mirror.max_delete),
    })
}

fn parts(auth: &Auth) -> (&'static str, &'static str, &SecretSource) {
    match auth {
        Auth::LibrarySecret(source) => ("library_secret", LIBRARY_SECRET, source),
        Auth::AccessToken(source) => ("access_token", ACCESS_TOKEN, source),
    }
}

fn auth_json(auth: &Auth) -> Value {
    let (kind, variable, source) = parts(auth);
    match source {
        SecretSource::File(path) => {
            json!({ "kind": kind, "source": "file", "path": path.display().to_string() })
        }
        SecretSource::Credential(path) => {
            json!({ "kind": kind, "source": "credential", "path": path.display().to_string() })
        }
        SecretSource::Command(_) => {
            json!({ "kind": kind, "source": "command", "command": command_shown(source) })
        }
        SecretSource::Value(_) => {
            json!({ "kind": kind, "source": "environment", "variable": variable })
        }
        SecretSource::Nowhere => json!({ "kind": null, "source": null }),
    }
}

/// The keys of the file; or words for a source that the file does not name.
fn auth_toml(auth: &Auth) -> Result<Value, String> {
    let (kind, variable, source) = parts(auth);
    match source {
        SecretSource::File(path) => {
            Ok(json!({ format!("{kind}_file"): path.display().to_string() }))
        }
        SecretSource::Command(_) => Ok(json!({ format!("{kind}_command"): command_shown(source) })),
        SecretSource::Credential(path) => {
            Err(format!("{kind} from the credential {}", printable(path)))
        }
        SecretSource::Value(_) => Err(format!("{kind} from the variable {variable}")),
        SecretSource::Nowhere => Err("no source that this user has".to_owned()),
    }
}

fn command_shown(source: &SecretSource) -> Vec<String> {
    let SecretSource::Command(words) = source else { return Vec::new() };
    words_shown(words)
}

/// The program; its arguments may hold a secret.
fn words_shown(words: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = words.iter().take(1).cloned().collect();
    if words.len() > 1 {
        shown.push(format!("[{} arguments, not shown]", words.len() - 1));
    }
    shown
}

/// One section with the keys that have a value, in the order of the sample.
fn section(text: &mut String, kind: &str, values: &Value) {
    match kind {
        "" => {}
        "mirror" => text.push_str("\n[[mirror]]\n"),
        name => text.push_str(&format!("\n[{name}]\n")),
    }
    for key in keys_of(kind) {
        let value = values.get(key).filter(|value| !value.is_null() && !value.is_object());
        // JSON without null always has a form in TOML.
        if let Some(Ok(value)) = value.map(toml::Value::try_from) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
}

fn printable(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    crate::relpath::printable(path.as_os_str().as_bytes())
}
