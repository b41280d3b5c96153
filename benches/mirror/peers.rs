//! What the rows are set against: plain tools and plain loops that do a part of the same work.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

/// Connections of the bare loop: as many as the daemon begins with.
const CONNECTIONS: usize = 16;

/// Seconds of a plain walk with a `stat` of each entry, and how many there were.
pub(crate) fn walk(root: &Path) -> (f64, usize) {
    fn down(dir: &Path) -> usize {
        let mut count = 0;
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            count += 1;
            if entry.metadata().unwrap().is_dir() {
                count += down(&entry.path());
            }
        }
        count
    }
    let began = Instant::now();
    let count = down(root);
    (began.elapsed().as_secs_f64(), count)
}

fn seconds(command: &mut Command) -> f64 {
    let began = Instant::now();
    assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
    began.elapsed().as_secs_f64()
}

/// Seconds that `cp` takes for the same folder.
pub(crate) fn cp(from: &Path, to: &Path) -> f64 {
    let seconds = seconds(Command::new("cp").arg("-r").arg(from).arg(to));
    fs::remove_dir_all(to).unwrap();
    seconds
}

/// Seconds that `sha256sum` takes for the same folder.
pub(crate) fn sha256sum(root: &Path) -> f64 {
    let mut command = Command::new("sh");
    command.arg("-c").arg("find \"$1\" -type f -print0 | xargs -0 sha256sum").arg("sh").arg(root);
    seconds(&mut command)
}

/// Of other programs that mirror, those that are installed, and the seconds each takes to copy the folder. They write
/// into a folder: it takes a server of another kind to let them upload.
pub(crate) fn others(from: &Path, to: &Path) -> Vec<(&'static str, f64)> {
    let mut found = Vec::new();
    for (name, args) in [("rclone", &["sync"][..]), ("rsync", &["-a"])] {
        let there = Command::new(name).arg("--version").output();
        if there.is_ok_and(|output| output.status.success()) {
            let took = seconds(Command::new(name).args(args).arg(from).arg(to));
            fs::remove_dir_all(to).unwrap();
            found.push((name, took));
        }
    }
    found
}

/// A connection that is spoken to without a library.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    pub(crate) fn open(address: &str) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream: BufReader::new(stream), address: address.to_owned() }
    }

    pub(crate) fn call(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.send(method, path, "application/json", &[body])
    }

    fn send(&mut self, method: &str, path: &str, kind: &str, body: &[&[u8]]) -> (u16, Vec<u8>) {
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n",
            self.address
        )
        .into_bytes();
        // One packet for what fits into one.
        let small = length < 64 * 1024;
        if small {
            head.extend(body.iter().flat_map(|piece| piece.iter()));
        }
        self.stream.get_mut().write_all(&head).unwrap();
        if !small {
            for piece in body {
                self.stream.get_mut().write_all(piece).unwrap();
            }
        }
        self.reply()
    }

    fn reply(&mut self) -> (u16, Vec<u8>) {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        (status, body)
    }
}

/// Seconds of the bare upload of so many files of this size: start, form, confirm, and nothing else; no file is
/// read, nothing is hashed, nothing is remembered. It is what the emulator can take.
pub(crate) fn bare_uploads(address: &str, files: usize, size: usize) -> f64 {
    let mut content = vec![0; size];
    fastrand::Rng::with_seed(2).fill(&mut content);
    let crc = crc::Crc::<u64>::new(&crc::CRC_64_XZ).checksum(&content);
    let token = {
        let path =
            "/api/v1/token?library_id=smhemulator&library_secret=emulator-secret&grant=admin";
        let (_, reply) = Connection::open(address).call("POST", path, b"");
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        reply["accessToken"].as_str().unwrap().to_owned()
    };
    let made = format!("/api/v1/directory/smhemulator/-/bare?access_token={token}");
    assert_eq!(Connection::open(address).call("PUT", &made, b"").0, 201);
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(files) {
            scope.spawn(|| {
                let mut connection = Connection::open(address);
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= files {
                        return;
                    }
                    upload(&mut connection, &token, n, &content, crc);
                }
            });
        }
    });
    began.elapsed().as_secs_f64()
}

fn upload(connection: &mut Connection, token: &str, n: usize, content: &[u8], crc: u64) {
    let start = format!(
        "/api/v1/file/smhemulator/-/bare/f{n}?conflict_resolution_strategy=overwrite&access_token={token}"
    );
    let (status, form) = connection.call("POST", &start, b"{}");
    assert_eq!(status, 201);
    let form: Value = serde_json::from_slice(&form).unwrap();
    let mut head = String::new();
    for (name, value) in form["form"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        head.push_str(&format!(
            "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    head.push_str("--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n");
    let path = form["path"].as_str().unwrap();
    let body = [head.as_bytes(), content, b"\r\n--B--\r\n"];
    let (status, _) = connection.send("POST", path, "multipart/form-data; boundary=B", &body);
    assert_eq!(status, 204);
    let key = form["confirmKey"].as_str().unwrap();
    let confirm = format!("/api/v1/file/smhemulator/-/{key}?confirm&access_token={token}");
    let body = format!("{{\"crc64\":\"{crc}\"}}");
    assert_eq!(connection.call("POST", &confirm, body.as_bytes()).0, 200);
}
