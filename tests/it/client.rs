//! The client against the emulator, call by call.

use std::fs;

use smh_mirror::clock::Clock;
use smh_mirror::config::{Config, Environment};
use smh_mirror::failure::Class;
use smh_mirror::smh::{Client, Content, DirectoryMade, Grant, Kind, RemotePath, Start};

use crate::bed::Bed;

fn client(bed: &Bed) -> Client {
    let config = Config::load(&bed.path("config.toml"), &Environment::default()).unwrap();
    Client::new(&config.remote, Grant::Mirror, Clock::start()).unwrap()
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
