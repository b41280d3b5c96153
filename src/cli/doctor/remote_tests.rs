use super::super::check::Status;
use super::*;
use crate::config::SecretSource;
use crate::smh::Operation;

fn error(class: Class, status: Option<u16>, code: Option<&str>) -> Error {
    Error {
        class,
        operation: Operation::Info,
        status,
        code: code.map(str::to_owned),
        message: "m".into(),
        request_id: None,
        retry_after: None,
        transport: None,
    }
}

fn ours() -> Auth {
    Auth::LibrarySecret(SecretSource::Nowhere)
}

fn handed() -> Auth {
    Auth::AccessToken(SecretSource::Nowhere)
}

#[test]
fn who_answers_at_the_endpoint() {
    let broken =
        |transport, class| Error { transport: Some(transport), ..error(class, None, None) };
    for (found, status, exit, said) in [
        (None, Status::Ok, Exit::Done, "SMH answers"),
        (
            Some(broken(Transport::Dns, Class::Offline)),
            Status::Problem,
            Exit::Unreachable,
            "the name in remote.endpoint",
        ),
        (
            Some(broken(Transport::Tls, Class::Offline)),
            Status::Problem,
            Exit::Unreachable,
            "remote.ca_file",
        ),
        (
            Some(broken(Transport::TimedOut, Class::Transient)),
            Status::Problem,
            Exit::Unreachable,
            "firewall",
        ),
        (
            Some(error(Class::Defect, Some(404), None)),
            Status::Problem,
            Exit::Config,
            "does not speak SMH (status 404)",
        ),
        (
            Some(error(Class::Transient, Some(502), None)),
            Status::Problem,
            Exit::Unreachable,
            "does not speak SMH (status 502)",
        ),
    ] {
        let check = judge_endpoint("https://e", found.as_ref());
        assert_eq!((check.status, check.exit), (status, exit), "{check:?}");
        assert!(check.to_text().contains(said), "{check:?}");
    }
}

#[test]
fn a_clock_may_be_off_by_a_minute() {
    for (skew_ms, status, said) in [
        (Some(0), Status::Ok, "agrees"),
        (Some(-5_000), Status::Ok, "agrees"),
        (Some(5_001), Status::Warning, "5 s behind"),
        (Some(-60_000), Status::Warning, "60 s ahead of"),
        (Some(60_001), Status::Problem, "60 s behind"),
        (Some(-300_000), Status::Problem, "300 s ahead of"),
        (None, Status::Warning, "not checked"),
    ] {
        let check = judge_clock(skew_ms);
        assert_eq!(check.status, status, "{check:?}");
        assert!(check.message.contains(said), "{check:?}");
    }
}

#[test]
fn who_asks_is_told_from_what_is_asked_for() {
    for (auth, refused, status, exit) in [
        (ours(), None, Status::Ok, Exit::Done),
        (handed(), None, Status::Ok, Exit::Done),
        (
            ours(),
            Some(error(Class::Auth, Some(404), Some("WrongLibraryIdOrSecret"))),
            Status::Problem,
            Exit::Refused,
        ),
        (
            handed(),
            Some(error(Class::Auth, Some(403), Some("InvalidAccessToken"))),
            Status::Problem,
            Exit::Refused,
        ),
        (
            ours(),
            Some(error(Class::Transient, Some(500), Some("InternalServerError"))),
            Status::Problem,
            Exit::Unreachable,
        ),
        // Not their fault.
        (
            handed(),
            Some(error(Class::Auth, Some(404), Some("SpaceNotFound"))),
            Status::Ok,
            Exit::Done,
        ),
    ] {
        let check = judge_credentials(&auth, refused.as_ref());
        assert_eq!((check.status, check.exit), (status, exit), "{check:?}");
    }
    for (code, exit) in [
        ("LibraryNotFound", Some(Exit::Config)),
        ("AccessTokenNotMatchLibrary", Some(Exit::Config)),
        ("AccessTokenNotMatchSpace", Some(Exit::Config)),
        ("SpaceNotFound", Some(Exit::Config)),
        ("RouteNotFound", Some(Exit::Config)),
        ("LibraryServiceExpired", Some(Exit::Refused)),
        ("SpaceBanned", Some(Exit::Refused)),
        ("LibraryInitializing", Some(Exit::Unreachable)),
        ("InvalidAccessToken", None),
    ] {
        let check = judge_library_refusal(&error(Class::Auth, Some(403), Some(code)));
        assert_eq!(check.map(|check| check.exit), exit, "{code}");
    }
}

#[test]
fn rights_and_kind_of_the_library() {
    let failed = || Err(error(Class::Transient, Some(500), None));
    for (auth, may, status, said) in [
        (ours(), Ok(true), Status::Ok, "were asked for too"),
        (handed(), Ok(true), Status::Ok, "shows with the first file"),
        (handed(), Ok(false), Status::Problem, "may not upload"),
        (ours(), failed(), Status::Warning, "not known"),
    ] {
        let check = judge_grants(&auth, &may);
        assert_eq!(check.status, status, "{check:?}");
        assert!(check.message.contains(said), "{check:?}");
    }
    for (media, status) in
        [(Ok(false), Status::Ok), (Ok(true), Status::Problem), (failed(), Status::Warning)]
    {
        assert_eq!(judge_library(&media).status, status, "{media:?}");
    }
}

#[test]
fn what_is_at_the_target() {
    let path = RemotePath::parse("backup/docs");
    let info = |kind| Ok(Some(Info { kind, size: None, crc64: None }));
    for (found, status, said) in [
        (info(Kind::Directory), Status::Ok, "is in the library"),
        (Ok(None), Status::Ok, "is made with the first file"),
        (info(Kind::File), Status::Problem, "is a file"),
        (Err(error(Class::Transient, Some(500), None)), Status::Warning, "500"),
    ] {
        let check = judge_target("docs", &path, &found);
        assert_eq!(check.status, status, "{check:?}");
        assert!(check.message.contains(said), "{check:?}");
    }
}
