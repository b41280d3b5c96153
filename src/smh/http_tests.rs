use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use super::*;
use crate::config::{Auth, SecretSource};

#[test]
fn retry_after_is_seconds_or_a_date_of_the_service_and_has_a_limit() {
    let date = http_date_ms("Tue, 15 Nov 1994 08:12:00 GMT");
    assert!(date.is_some());
    for (value, date, seconds) in [
        ("0", None, Some(0)),
        ("7", None, Some(7)),
        (" 7 ", date, Some(7)),
        ("86400", None, Some(3600)),
        ("99999999999999999999999", None, Some(3600)),
        ("Tue, 15 Nov 1994 08:12:31 GMT", date, Some(31)),
        ("Tue, 15 Nov 1994 08:11:00 GMT", date, Some(0)),
        ("Wed, 16 Nov 1994 08:12:00 GMT", date, Some(3600)),
        ("Tue, 15 Nov 1994 08:12:31 GMT", None, None),
        ("", date, None),
        ("-5", date, None),
        ("1.5", date, None),
        ("soon", date, None),
    ] {
        let found = retry_after(value, date);
        assert_eq!(found, seconds.map(Duration::from_secs), "{value:?} {date:?}");
    }
}

fn remote(endpoint: &str) -> Remote {
    Remote {
        endpoint: endpoint.to_owned(),
        library_id: "smh1".into(),
        space_id: "-".into(),
        user_id: None,
        ca_file: None,
        proxy: None,
        auth: Auth::LibrarySecret(SecretSource::Nowhere),
    }
}

/// A listener that treats its only connection as `serve` says.
fn listener(serve: fn(std::net::TcpStream)) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (addr, std::thread::spawn(move || serve(listener.accept().unwrap().0)))
}

fn failure(url: &str) -> Error {
    let client = build(&remote("http://127.0.0.1")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let operation = Operation::Info;
        match client.get(url).timeout(Duration::from_millis(500)).send().await {
            Err(error) => transport(operation, error),
            Ok(response) => read(operation, response).await.unwrap_err(),
        }
    })
}

#[test]
fn each_way_to_fail_is_told_apart() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (closing, first) = listener(drop);
    let (cutting, second) = listener(|mut stream| {
        let mut asked = [0; 1024];
        let _ = stream.read(&mut asked);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    });
    let (silent, third) = listener(|mut stream| {
        // Until the other side gives up.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (plain, fourth) = listener(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    for (url, wanted) in [
        (format!("http://{gone}/?access_token=hunter2"), Transport::Refused),
        (format!("http://{closing}/?access_token=hunter2"), Transport::Broken),
        (format!("http://{cutting}/?access_token=hunter2"), Transport::Broken),
        (format!("http://{silent}/?access_token=hunter2"), Transport::TimedOut),
        (format!("https://{plain}/?access_token=hunter2"), Transport::Tls),
        // A name that no resolver knows (RFC 6761); without a network the lookup fails as well.
        ("http://nobody.invalid/?access_token=hunter2".to_owned(), Transport::Dns),
        ("http://bad host/?access_token=hunter2".to_owned(), Transport::Unsendable),
    ] {
        let error = failure(&url);
        assert_eq!(error.transport, Some(wanted), "{error}");
        assert_eq!(error.class, wanted.class(), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    for thread in [first, second, third, fourth] {
        thread.join().unwrap();
    }
}

#[test]
fn out_of_descriptors_is_no_state_of_the_network() {
    use rustix::io::Errno;
    assert!(is_shortage(Errno::MFILE.raw_os_error()));
    assert!(is_shortage(Errno::NFILE.raw_os_error()));
    assert!(!is_shortage(Errno::CONNREFUSED.raw_os_error()));
}
