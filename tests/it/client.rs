//! The client against the emulator, call by call.

use std::fs;

use serde_json::json;
use smh_mirror::clock::Clock;
use smh_mirror::config::{Config, Environment};
use smh_mirror::failure::Class;
use smh_mirror::smh::{Client, Content, DirectoryMade, Grant, Kind, RemotePath, Rights, Start};

use crate::bed::Bed;

pub(crate) fn client(bed: &Bed) -> Client {
    let config = Config::load(&bed.path("config.toml"), &Environment::default()).unwrap();
    Client::new(&config.remote, Grant::Mirror(Rights::default()), Clock::start()).unwrap()
}

fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn every_call_of_a_mirror() {
    let bed = Bed::new();
    let client = client(&bed);
    wait(async {
        let dir = RemotePath::parse("a/b c");
        assert_eq!(client.create_directory(&dir).await.unwrap(), DirectoryMade::New);
        assert_eq!(client.create_directory(&dir).await.unwrap(), DirectoryMade::Existed);
        let path = dir.join("f#1.txt");
        assert_eq!(client.info(&path).await.unwrap(), None);
        let Start::Form(form) = client.start_form(&path, 9, None, None).await.unwrap() else {
            panic!("a form")
        };
        let early = client.confirm(&form.confirm_key, 1).await.unwrap_err();
        assert_eq!(
            (early.class, early.code.as_deref()),
            (Class::Transient, Some("UploadIncomplete"))
        );
        assert!(early.request_id.is_some());
        let content = Content::Bytes("123456789".into());
        let crc64 = client.post_form(&form, content).await.unwrap().crc64.unwrap();
        assert_eq!(crc64, 11_051_210_869_376_104_954);
        assert!(!client.upload_status(&form.confirm_key).await.unwrap().confirmed);
        let confirmed = client.confirm(&form.confirm_key, crc64).await.unwrap();
        assert_eq!(confirmed.path.unwrap(), path.segments());
        assert!(client.upload_status(&form.confirm_key).await.unwrap().confirmed);
        let info = client.info(&path).await.unwrap().unwrap();
        assert_eq!((info.kind, info.size, info.crc64), (Kind::File, Some(9), Some(crc64)));
        // Cancelled, and cancelled again.
        let Start::Form(form) = client.start_form(&path, 9, None, None).await.unwrap() else {
            panic!("a form")
        };
        client.cancel_upload(&form.confirm_key).await.unwrap();
        client.cancel_upload(&form.confirm_key).await.unwrap();
        assert_eq!(client.confirm(&form.confirm_key, 1).await.unwrap_err().class, Class::Stale);
        // A file where a directory should be.
        let blocked = client.create_directory(&path).await.unwrap_err();
        assert_eq!(blocked.class, Class::Permanent);
        assert!(blocked.to_string().contains("a file is in the way"), "{blocked}");
        assert!(client.clock_skew_ms().abs() < 60_000);
    });
}

#[test]
fn a_copy_under_another_name_is_removed_if_it_is_the_copy() {
    let bed = Bed::new();
    bed.fault(json!({"route": "file.confirm", "times": 1, "effect": {"rename": true}}));
    let client = client(&bed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wanted = RemotePath::parse("d/f.txt");
    let (copy, crc64) = runtime.block_on(async {
        client.create_directory(&RemotePath::parse("d")).await.unwrap();
        let Start::Form(form) = client.start_form(&wanted, 9, None, None).await.unwrap() else {
            panic!("a form")
        };
        let content = Content::Bytes("123456789".into());
        let crc64 = client.post_form(&form, content).await.unwrap().crc64.unwrap();
        let confirmed = client.confirm(&form.confirm_key, crc64).await.unwrap();
        (RemotePath::from_segments(confirmed.path.unwrap()), crc64)
    });
    assert_ne!(copy, wanted);
    bed.forget_requests();
    for (path, size, crc64) in [(&copy, 8, crc64), (&copy, 9, 1), (&RemotePath::parse("d"), 9, 1)] {
        let error = runtime.block_on(client.delete_copy(path, size, crc64)).unwrap_err();
        assert_eq!(error.class, Class::Permanent);
        assert!(error.to_string().contains("was left alone"), "{error}");
    }
    assert_eq!((bed.requests("file.delete"), bed.requests("token.create")), (0, 0));
    runtime.block_on(client.delete_copy(&copy, 9, crc64)).unwrap();
    // Refused to the usual token, done with one that is deleted again.
    assert_eq!(bed.requests("file.delete"), 2);
    assert_eq!((bed.requests("token.create"), bed.requests("token.delete")), (1, 1));
    assert_eq!(runtime.block_on(client.info(&copy)).unwrap(), None);
    runtime.block_on(client.delete_copy(&copy, 9, crc64)).unwrap();
    assert_eq!(bed.requests("file.delete"), 2);
    // Whoever was handed a narrow token cannot make another.
    let grants = "upload_file_force,create_directory";
    let query = format!("library_id=smhemulator&library_secret=emulator-secret&grant={grants}");
    let (_, made) = bed.call("POST", &format!("/api/v1/token?{query}"), None);
    bed.secret(made["accessToken"].as_str().unwrap());
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    let handed = config.replace("library_secret_file", "access_token_file");
    fs::write(bed.path("config.toml"), handed).unwrap();
    let handed = self::client(&bed);
    let path = RemotePath::parse("f");
    runtime.block_on(async {
        let Start::Form(form) = handed.start_form(&path, 9, None, None).await.unwrap() else {
            panic!("a form")
        };
        let content = Content::Bytes("123456789".into());
        handed.post_form(&form, content).await.unwrap();
        handed.confirm(&form.confirm_key, crc64).await.unwrap();
        let error = handed.delete_copy(&path, 9, crc64).await.unwrap_err();
        assert!(error.is("NoPermission"), "{error}");
    });
}

#[test]
fn times_of_the_service_are_told_by_our_clock() {
    let bed = Bed::new();
    let client = client(&bed);
    assert_eq!(client.measured_skew_ms(), None);
    bed.call("POST", "/_emulator/clock", Some(json!({"shift_seconds": 300})));
    wait(async {
        let path = RemotePath::parse("f");
        let Start::Form(form) = client.start_form(&path, 9, None, None).await.unwrap() else {
            panic!("a form")
        };
        let skew_ms = client.measured_skew_ms().unwrap();
        assert!((298_000..302_000).contains(&skew_ms), "{skew_ms}");
        let now_ms = Clock::start().now().unix_ms;
        let left_ms = form.expires_in_ms(now_ms).unwrap();
        assert!((590_000..=602_000).contains(&left_ms), "{left_ms}");
    });
}

#[test]
fn a_listing_has_all_pages() {
    let bed = Bed::new();
    let client = client(&bed);
    wait(async {
        for n in 0..1003 {
            client.create_directory(&RemotePath::parse(&format!("d/{n:04}"))).await.unwrap();
        }
        let dir = RemotePath::parse("d");
        let first = client.list(&dir, None).await.unwrap();
        let second = client.list(&dir, first.next_marker.as_deref()).await.unwrap();
        assert_eq!((first.contents.len(), second.contents.len()), (1000, 3));
        assert_eq!((second.next_marker, second.contents[2].name.as_str()), (None, "1002"));
        let missing = client.list(&RemotePath::parse("nothing"), None).await.unwrap_err();
        assert_eq!(missing.class, Class::Stale);
    });
}

#[test]
fn tokens_of_somebody_else_come_from_a_file_or_a_command() {
    let bed = Bed::new();
    let config = fs::read_to_string(bed.path("config.toml")).unwrap();
    let secret = format!("library_secret_file = {:?}", bed.path("secret"));
    for (name, source) in [
        ("file", format!("access_token_file = {:?}", bed.path("secret"))),
        ("command", format!("access_token_command = [\"cat\", {:?}]", bed.path("secret"))),
    ] {
        fs::write(bed.path("config.toml"), config.replace(&secret, &source)).unwrap();
        bed.secret(&bed.admin());
        bed.write(name, name);
        bed.ends(&["sync"], 0);
        // A token that is refused is looked for once more, and then it is the credentials.
        bed.secret("acctk-of-yesterday");
        bed.write(name, "changed");
        let (_, err) = bed.ends(&["sync"], 12);
        assert!(err.contains("InvalidAccessToken") && !err.contains("of-yesterday"), "{err}");
    }
}
