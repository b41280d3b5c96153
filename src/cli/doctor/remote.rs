//! The service: reachable, letting us in, with rights enough, for the library that is meant.

use super::super::{Exit, output};
use super::check::Check;
use crate::clock::Clock;
use crate::config::{Auth, Config};
use crate::failure::Class;
use crate::smh::{Client, Error, Grant, Info, Kind, Quota, RemotePath, Rights, Transport};

/// A form lives ten minutes, and COS refuses clocks that are far off.
const SKEW_PROBLEM_MS: i64 = 60_000;
/// A machine that keeps its time by the network is closer than this.
const SKEW_WARNING_MS: i64 = 5_000;

/// Of the room of a space, less than one part in so many is worth a word.
const LITTLE_ROOM: u64 = 20;

/// Asks the service everything that can be asked without writing. `secret`: it can be had. `full`: what the daemon was
/// told of the room when it was refused last, and that is not over.
pub(super) async fn ask(
    config: &Config,
    clock: Clock,
    secret: bool,
    full: Option<&str>,
    mut say: impl FnMut(Check),
) {
    let endpoint = &config.remote.endpoint;
    let client = match Client::new(&config.remote, Grant::Mirror(Rights::of(config)), clock) {
        Ok(client) => client,
        Err(why) => {
            say(Check::problem("endpoint", Exit::Config, why, "correct [remote]"));
            return not_asked("the connection cannot be prepared", &mut say);
        }
    };
    let greeted = client.greet().await;
    say(judge_endpoint(endpoint, greeted.as_ref().err()));
    say(judge_clock(client.measured_skew_ms()));
    if greeted.is_err() {
        return not_asked("the service cannot be reached", &mut say);
    }
    if !secret {
        return not_asked("the secret cannot be had", &mut say);
    }
    ask_let_in(config, &client, full, &mut say).await;
    client.leave().await;
}

/// What only those who are let in are told.
async fn ask_let_in(
    config: &Config,
    client: &Client,
    full: Option<&str>,
    say: &mut impl FnMut(Check),
) {
    let auth = &config.remote.auth;
    let looked = client.check().await;
    let refused = looked.as_ref().err();
    say(judge_credentials(auth, refused));
    if let Some(refused) = refused {
        if let Some(check) = judge_library_refusal(refused) {
            say(check);
        }
        return;
    }
    say(judge_library(&holds_media(config, client).await));
    say(judge_grants(auth, &client.may_upload().await));
    say(judge_room(&client.quota().await, full));
    for mirror in &config.mirrors {
        let path = RemotePath::from_segments(&mirror.remote);
        if !path.is_root() {
            say(judge_target(&mirror.name, &path, &client.info(&path).await));
        }
    }
}

/// Looks where media would lie: in the root, and in the folders of the mirrors.
async fn holds_media(config: &Config, client: &Client) -> Result<bool, Error> {
    let targets = config.mirrors.iter().map(|mirror| RemotePath::from_segments(&mirror.remote));
    for dir in std::iter::once(RemotePath::root()).chain(targets.filter(|path| !path.is_root())) {
        if client.holds_media(&dir).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_asked(why: &str, say: &mut impl FnMut(Check)) {
    for name in ["credentials", "library", "grants", "room"] {
        say(Check::unknown(name, why));
    }
}

/// The code that fits an answer that says nothing about credentials.
fn exit_of(error: &Error) -> Exit {
    match error.class {
        Class::Offline | Class::Transient | Class::Throttled => Exit::Unreachable,
        Class::Auth => Exit::Refused,
        Class::Quota | Class::Stale | Class::Permanent | Class::Local | Class::Defect => {
            Exit::Unexpected
        }
    }
}

fn judge_endpoint(endpoint: &str, error: Option<&Error>) -> Check {
    const NAME: &str = "endpoint";
    let Some(error) = error else {
        let how = if endpoint.starts_with("https://") { "over TLS" } else { "without TLS" };
        return Check::ok(NAME, format!("SMH answers at {endpoint}, {how}"));
    };
    let said = &error.message;
    let Some(transport) = error.transport else {
        let status = error.status.unwrap_or(0);
        let message = format!("what answers at {endpoint} does not speak SMH (status {status})");
        let exit = match error.class {
            Class::Transient | Class::Throttled => Exit::Unreachable,
            _ => Exit::Config,
        };
        let hint = "check remote.endpoint: the console shows the domain of the library";
        return Check::problem(NAME, exit, message, hint);
    };
    let hint = match transport {
        Transport::Dns => "check the name in remote.endpoint, and the resolver of this machine",
        Transport::Refused => "check the host and port in remote.endpoint; nobody listens there",
        Transport::NoRoute => "check the network and its routes",
        Transport::Tls => {
            "somebody else answers, or a company proxy stands in between: give its authority as remote.ca_file"
        }
        Transport::Connect | Transport::TimedOut | Transport::Broken => {
            "check the network, its firewall and remote.proxy"
        }
        Transport::Shortage => "raise the limit of open files (LimitNOFILE)",
        Transport::TooLarge | Transport::Unsendable => {
            "check remote.endpoint: the console shows the domain of the library"
        }
    };
    Check::problem(NAME, Exit::Unreachable, said.clone(), hint)
}

fn judge_clock(skew_ms: Option<i64>) -> Check {
    const NAME: &str = "clock";
    let Some(skew_ms) = skew_ms else {
        return Check::unknown(NAME, "the service told no time");
    };
    let seconds = skew_ms.unsigned_abs() / 1000;
    let side = if skew_ms > 0 { "behind" } else { "ahead of" };
    let message = format!("the clock of this machine is {seconds} s {side} that of the service");
    let hint = "set the time by the network, as with `timedatectl set-ntp true`";
    match skew_ms.unsigned_abs() {
        off if off > SKEW_PROBLEM_MS.unsigned_abs() => {
            Check::problem(NAME, Exit::Unexpected, message, hint)
        }
        off if off > SKEW_WARNING_MS.unsigned_abs() => Check::warning(NAME, message, hint),
        // What is left is the second that the answer does not tell.
        _ => Check::ok(NAME, "the clock of this machine agrees with that of the service"),
    }
}

fn judge_credentials(auth: &Auth, refused: Option<&Error>) -> Check {
    const NAME: &str = "credentials";
    let Some(error) = refused else {
        return Check::ok(
            NAME,
            match auth {
                Auth::LibrarySecret(_) => "the service took the library secret and gave a token",
                Auth::AccessToken(_) => "the service takes the token",
            },
        );
    };
    if judge_library_refusal(error).is_some() {
        return Check::ok(NAME, "the service knows them; see the next line");
    }
    let hint = match (error.class, auth) {
        (Class::Auth, Auth::LibrarySecret(_)) => {
            "copy library_id and the secret from the console again"
        }
        (Class::Auth, Auth::AccessToken(_)) => {
            "hand out another token: this one ended, or is for something else"
        }
        _ => "try again later; with this request id the support of the service can look",
    };
    Check::problem(NAME, exit_of(error), error.to_string(), hint)
}

/// A refusal that is about the library or space and not about who asks.
fn judge_library_refusal(error: &Error) -> Option<Check> {
    let (exit, hint) = match error.code.as_deref()? {
        "LibraryNotFound" | "AccessTokenNotMatchLibrary" => {
            (Exit::Config, "check remote.library_id; the credentials are for another library")
        }
        "SpaceNotFound"
        | "SpaceIdInvalid"
        | "AccessTokenNotMatchSpace"
        | "NotMultiSpaceLibrary" => {
            (Exit::Config, "check remote.space_id; it is \"-\" in a single-tenant library")
        }
        "RouteNotFound" => {
            (Exit::Config, "check remote.endpoint: the console shows the domain of the library")
        }
        "LibraryServiceExpired" | "SpaceBanned" => {
            (Exit::Refused, "see the console: the service for this library has ended or is blocked")
        }
        "LibraryInitializing" => (Exit::Unreachable, "try again in some minutes"),
        _ => return None,
    };
    Some(Check::problem("library", exit, error.to_string(), hint))
}

fn judge_library(media: &Result<bool, Error>) -> Check {
    const NAME: &str = "library";
    match media {
        Ok(false) => {
            Check::ok(NAME, "library and space exist, and nothing speaks for a media library")
        }
        Ok(true) => Check::problem(
            NAME,
            Exit::Config,
            "it is a media library: it takes media files only, in one level of albums",
            "use a file-type library",
        ),
        Err(error) => Check::warning(
            NAME,
            format!("library and space exist, but {error}"),
            "ask again; uploads may still work",
        ),
    }
}

fn judge_grants(auth: &Auth, may_upload: &Result<bool, Error>) -> Check {
    const NAME: &str = "grants";
    match (may_upload, auth) {
        (Ok(true), Auth::LibrarySecret(_)) => Check::ok(
            NAME,
            "the token may upload; the rights to overwrite and to make directories were asked for too",
        ),
        (Ok(true), Auth::AccessToken(_)) => Check::ok(
            NAME,
            "the token may upload; whether it may overwrite and make directories shows with the first file",
        ),
        (Ok(false), _) => Check::problem(
            NAME,
            Exit::Refused,
            "the token may not upload",
            "a token needs the grant upload_file_force,create_directory",
        ),
        (Err(error), _) => Check::warning(
            NAME,
            format!("it is not known whether the token may upload: {error}"),
            "ask again",
        ),
    }
}

/// Whether something fits into the space. What the daemon met counts more than what the service says of itself: a quota
/// of the whole library is not told here.
fn judge_room(quota: &Result<Option<Quota>, Error>, full: Option<&str>) -> Check {
    const NAME: &str = "room";
    const HINT: &str = "delete what is not needed in the library (what is in its recycle bin may count, too), or raise its quota";
    if let Some(message) = full {
        let message = format!("the daemon could not send for want of room: {message}");
        return Check::problem(NAME, Exit::Unexpected, message, HINT);
    }
    match quota {
        Ok(Some(Quota { capacity: Some(capacity), size: Some(size) })) => {
            let free = capacity.saturating_sub(*size);
            let message = format!(
                "{} of {} are free in the space",
                output::bytes(free),
                output::bytes(*capacity)
            );
            match free {
                0 => Check::problem(NAME, Exit::Unexpected, message, HINT),
                free if free < capacity / LITTLE_ROOM => Check::warning(NAME, message, HINT),
                _ => Check::ok(NAME, message),
            }
        }
        Ok(Some(_)) => Check::unknown(NAME, "the service says nothing of the size of the space"),
        Ok(None) => Check::ok(NAME, "the space has no quota"),
        // Which right it takes is not known (sheet section 10); none that uploads need.
        Err(error) if error.is("NoPermission") => Check::ok(
            NAME,
            "the token may not ask for it; a full space shows itself when files are sent",
        ),
        Err(error) => Check::unknown(NAME, &error.to_string()),
    }
}

fn judge_target(mirror: &str, path: &RemotePath, found: &Result<Option<Info>, Error>) -> Check {
    let name = format!("mirror.{mirror}");
    match found {
        Ok(Some(Info { kind: Kind::Directory, .. })) => {
            Check::ok(name, format!("the folder {path} is in the library"))
        }
        Ok(None) => Check::ok(name, format!("the folder {path} is made with the first file")),
        Ok(Some(_)) => Check::problem(
            name,
            Exit::Config,
            format!("in the library, {path} is a file"),
            "name another folder as remote",
        ),
        Err(error) => Check::warning(name, error.to_string(), "ask again"),
    }
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
