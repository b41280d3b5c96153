//! The one way to be let in: which source is meant, and whether it gives a secret.

use std::path::{Path, PathBuf};

use super::document::{Reader, Section};
use super::draft::Secrets;
use super::environment::{ACCESS_TOKEN, LIBRARY_SECRET};
use super::error::{ProblemKind, Wrong};
use super::secret_error::SecretTrouble;
use super::{Auth, Environment, SecretError, SecretSource, values};

const SECTION: &str = "remote.auth";

/// `None` when there is no single source, which is then reported.
pub(super) fn read(
    reader: &mut Reader<'_>,
    remote: &Section<'_, '_>,
    env: &Environment,
    secrets: Secrets,
) -> Option<Auth> {
    let section = remote.section(reader, "auth", SECTION);
    section.refuse_unknown(reader);
    let source = |path: PathBuf| guarded(path, env);
    let secret = section.take(reader, "library_secret_file", values::path);
    let token = section.take(reader, "access_token_file", values::path);
    let command = section.take(reader, "access_token_command", values::command);

    let named: Vec<&str> = ["library_secret_file", "access_token_file", "access_token_command"]
        .into_iter()
        .filter(|key| section.find(key).is_some())
        .collect();
    match named.as_slice() {
        [] => surroundings(reader, &section, env, secrets),
        [key] => {
            let secret = secret.map(|path| Auth::LibrarySecret(source(path)));
            let token = token.map(|path| Auth::AccessToken(source(path)));
            let command = command.map(|words| Auth::AccessToken(SecretSource::Command(words)));
            let auth = secret.or(token).or(command)?;
            inspect(reader, &section.path(key), &auth, secrets);
            Some(auth)
        }
        [first, second, ..] => {
            let path = section.path(second);
            reader.report.add(
                reader.lines.of(&path),
                path,
                Wrong::new(
                    format!("there is {first} as well, and only one can be used"),
                    "remove all but one of them",
                ),
            );
            None
        }
    }
}

/// Outside the file: systemd credentials and variables.
fn surroundings(
    reader: &mut Reader<'_>,
    section: &Section<'_, '_>,
    env: &Environment,
    secrets: Secrets,
) -> Option<Auth> {
    let credential = |name: &str, unknown: bool| -> Option<SecretSource> {
        let path = env.credentials_directory.as_deref()?.join(name);
        path.try_exists().unwrap_or(unknown).then_some(SecretSource::Credential(path))
    };
    let found: Vec<(String, Auth)> = [
        // When nobody knows what is there, one of them is tried: reading it says what is wrong.
        credential("library-secret", true).map(|source| {
            ("the credential library-secret".to_owned(), Auth::LibrarySecret(source))
        }),
        credential("access-token", false)
            .map(|source| ("the credential access-token".to_owned(), Auth::AccessToken(source))),
        env.library_secret.clone().map(|secret| {
            (LIBRARY_SECRET.to_owned(), Auth::LibrarySecret(SecretSource::Value(secret)))
        }),
        env.access_token.clone().map(|secret| {
            (ACCESS_TOKEN.to_owned(), Auth::AccessToken(SecretSource::Value(secret)))
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    match found.as_slice() {
        [] if secrets == Secrets::NotNeeded => Some(Auth::LibrarySecret(SecretSource::Nowhere)),
        [] => {
            reader.report.add(
                section.line,
                SECTION,
                Wrong::new(
                    "there is no secret",
                    format!(
                        "set library_secret_file, access_token_file or access_token_command in [{SECTION}]; or say where the credential of the unit lies, as with CREDENTIALS_DIRECTORY=/etc/smh-mirror"
                    ),
                ),
            );
            None
        }
        [(_, auth)] => {
            inspect(reader, SECTION, auth, secrets);
            Some(auth.clone())
        }
        [(first, _), (second, _), ..] => {
            reader.report.add(
                section.line,
                SECTION,
                Wrong::new(
                    format!("there are both {first} and {second}, and only one can be used"),
                    "remove one of them, or name the one that is meant in the file",
                ),
            );
            None
        }
    }
}

/// systemd guards its credentials with an access list, which shows as a mode that lets a group in.
fn guarded(path: PathBuf, env: &Environment) -> SecretSource {
    let below = |dir: &PathBuf| path.starts_with(dir) && dir.as_path() != Path::new("/");
    if env.credentials_directory.as_ref().is_some_and(below) {
        SecretSource::Credential(path)
    } else {
        SecretSource::File(path)
    }
}

/// Says at once what would otherwise be said in the middle of the night. Commands are not run.
fn inspect(reader: &mut Reader<'_>, key: &str, auth: &Auth, secrets: Secrets) {
    let (Auth::LibrarySecret(source) | Auth::AccessToken(source)) = auth;
    if secrets == Secrets::NotNeeded || matches!(source, SecretSource::Command(_)) {
        return;
    }
    if let Err(error) = source.read() {
        let line = reader.lines.of(key);
        let (kind, wrong) = wrong(auth, &error);
        reader.report.add_kind(kind, line, key, wrong);
    }
}

fn wrong(auth: &Auth, error: &SecretError) -> (ProblemKind, Wrong) {
    let place = match (auth, &error.trouble) {
        (Auth::LibrarySecret(SecretSource::Value(_)), _) => LIBRARY_SECRET,
        (Auth::AccessToken(SecretSource::Value(_)), _) => ACCESS_TOKEN,
        _ => error.place.as_str(),
    };
    let what = format!("{place} {}", error.trouble);
    let next = match (&error.trouble, auth) {
        (SecretTrouble::Missing, Auth::AccessToken(_)) => {
            "write the token into it and `chmod 600` it"
        }
        (trouble, _) => trouble.next(),
    };
    (error.kind(), Wrong::new(what, next))
}
