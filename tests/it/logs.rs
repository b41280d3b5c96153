//! What the daemon logs, and where: nothing when nothing happens, and with fields where the journal of systemd listens.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::bed::{Bed, until};

#[test]
fn an_idle_daemon_says_nothing() {
    let bed = Bed::new();
    bed.configure("watch = \"poll\"\npoll_interval = \"1s\"\n[metrics]\nlisten = \"127.0.0.1:0\"");
    bed.write("a", "a");
    let daemon = bed.daemon_until_current();
    let log = bed.log();
    let served = log.lines().find(|line| line.contains("metrics are served at")).unwrap();
    let url = served.split_whitespace().last().unwrap().to_owned();
    let scans = || {
        let text = bed.fetch("GET", &url).text;
        let line = text.lines().find(|line| line.starts_with("smh_mirror_full_scans_total"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    // A line about what was done comes some seconds later, and is the last.
    until("the work is told", || bed.log().contains("mirrored 1 file (1 byte)").then_some(()));
    let (log, before) = (bed.log(), scans());
    until("two more scans", || (scans() >= before + 2).then_some(()));
    assert_eq!(bed.log(), log);
    assert_eq!(daemon.stop(), Some(0));
    let said = bed.log()[log.len()..].to_owned();
    assert!(said.lines().count() == 1 && said.contains("stopped"), "{said}");
}

#[test]
fn a_line_of_json_has_fields() {
    let bed = Bed::new();
    bed.configure("[log]\nformat = \"json\"");
    bed.write("bad", "bad");
    bed.fault(json!({"route": "file.start", "path": "bad",
        "effect": {"status": 451, "code": "SensitiveContentRecognized"}}));
    let daemon = bed.daemon();
    until("a blocked file", || bed.log().contains("blocked").then_some(()));
    assert_eq!(daemon.stop(), Some(0));
    let log = bed.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    let blocked = lines.iter().find(|line| line["level"] == "ERROR").unwrap();
    let fields = &blocked["fields"];
    assert_eq!((&fields["mirror"], &fields["path"]), (&json!("docs"), &json!("bad")));
    assert_eq!(
        (&fields["class"], &fields["code"]),
        (&json!("permanent"), &json!("SensitiveContentRecognized"))
    );
    assert_eq!(fields["request_id"].as_str().map(str::len), Some(32), "{blocked}");
    assert!(fields["message"].as_str().unwrap().starts_with("docs/bad: blocked: cannot start"));
}

/// The fields of a datagram, as journald reads them: `NAME=value`, or the name, a length and that many bytes.
fn fields(mut datagram: &[u8]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    while !datagram.is_empty() {
        let end = datagram.iter().position(|byte| *byte == b'\n').unwrap();
        let (line, rest) = (&datagram[..end], &datagram[end + 1..]);
        if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            found.push((text(&line[..at]), text(&line[at + 1..])));
            datagram = rest;
        } else {
            let (length, rest) = rest.split_at(8);
            let length = usize::try_from(u64::from_le_bytes(length.try_into().unwrap())).unwrap();
            found.push((text(line), text(&rest[..length])));
            datagram = &rest[length + 1..];
        }
    }
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn the_journal_gets_fields_when_stderr_is_its_own() {
    let may = Command::new("unshare").args(["--mount", "true"]).status();
    if !rustix::process::geteuid().is_root() || !may.is_ok_and(|status| status.success()) {
        println!("left out: only root can put a journal of its own in the place of the real one");
        return;
    }
    let bed = Bed::new();
    bed.write("a", "a");
    fs::create_dir(bed.path("journal")).unwrap();
    let socket = UnixDatagram::bind(bed.path("journal/socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let log = fs::File::create(bed.path("log")).unwrap().metadata().unwrap();
    let start = |stream: String| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c"]).arg(
            "mount -t tmpfs none /run && mkdir /run/systemd && ln -s \"$1\" /run/systemd/journal \
             && JOURNAL_STREAM=\"$2\" exec \"$3\" -c \"$4\" run",
        );
        command.arg("sh").arg(bed.path("journal")).arg(stream);
        command.arg(env!("CARGO_BIN_EXE_smh-mirror")).arg(bed.path("config.toml"));
        bed.spawn(command)
    };
    let daemon = start(format!("{}:{}", log.dev(), log.ino()));
    let mut buffer = vec![0; 65_536];
    let scanned = until("the line of the scan", || {
        let length = socket.recv(&mut buffer).ok()?;
        let found = fields(&buffer[..length]);
        found.iter().any(|(_, value)| value.contains("scan complete")).then_some(found)
    });
    let has = |name: &str, value: &str| {
        assert!(scanned.iter().any(|(n, v)| n == name && v == value), "{name}: {scanned:?}");
    };
    has("MESSAGE", "docs: scan complete: 1 entry");
    has("SMH_MIRROR", "docs");
    has("SMH_ENTRIES", "1");
    has("PRIORITY", "6");
    has("SYSLOG_IDENTIFIER", "smh-mirror");
    assert_eq!(bed.log(), "", "nothing is said twice");
    daemon.kill();
    // A shell that a service started has the variable, and somebody looks at its stderr.
    let daemon = start(format!("{}:{}", log.dev(), log.ino() + 1));
    until("a line", || bed.log().contains("scan complete").then_some(()));
    daemon.kill();
}
