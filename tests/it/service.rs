//! The daemon as a service: what it tells the service manager, over a real socket; reloading; stopping.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::bed::{Bed, Running, noise, until_or};

/// A service manager, as far as it listens.
struct Manager {
    /// Every message with the time when it came.
    heard: Arc<Mutex<Vec<(Instant, String)>>>,
}

#[expect(clippy::disallowed_methods, reason = "deadlines of tests are real time")]
fn now() -> Instant {
    Instant::now()
}

impl Manager {
    fn at(socket: &Path) -> Manager {
        let socket = UnixDatagram::bind(socket).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        // Ends with the test.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                kept.lock().unwrap().push((now(), text));
            }
        });
        Manager { heard }
    }

    /// Everything that was heard, a line each.
    fn lines(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().flat_map(|(_, text)| text.lines()).map(str::to_owned).collect()
    }

    fn count(&self, line: &str) -> usize {
        self.lines().iter().filter(|heard| *heard == line).count()
    }

    /// The newest `STATUS=`.
    fn status(&self) -> Option<String> {
        let lines = self.lines();
        lines.iter().rev().find_map(|line| line.strip_prefix("STATUS=")).map(str::to_owned)
    }

    fn until_status(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let said = || format!("STATUS {what}: {:#?}", self.lines());
        until_or(said, || self.status().filter(|status| wanted(status)))
    }

    fn until_heard(&self, line: &str, times: usize) {
        let said = || format!("{line} {times} times: {:#?}", self.lines());
        until_or(said, || (self.count(line) >= times).then_some(()));
    }

    /// How long ago the last `line` came.
    fn silent_for(&self, line: &str) -> Duration {
        let heard = self.heard.lock().unwrap();
        let last = heard.iter().rev().find(|(_, text)| text.lines().any(|heard| heard == line));
        last.map_or(Duration::ZERO, |(at, _)| at.elapsed())
    }
}

/// The daemon as a service manager starts it, with more variables.
fn start(bed: &Bed, more: &[String]) -> (Manager, Running) {
    let socket = bed.path("notify");
    let _ = fs::remove_file(&socket);
    let manager = Manager::at(&socket);
    let daemon = bed.command(&["run"]);
    let mut command = Command::new("env");
    command.arg(format!("NOTIFY_SOCKET={}", socket.display())).args(more);
    command.arg(daemon.get_program()).args(daemon.get_args());
    (manager, bed.spawn(command))
}

#[test]
fn it_is_ready_without_a_network_and_says_what_status_says() {
    let mut bed = Bed::new();
    bed.stop_emulator();
    bed.write("a", "a");
    let (manager, daemon) = start(&bed, &[]);
    manager.until_heard("READY=1", 1);
    manager.until_status("offline", |status| status.starts_with("offline: "));
    assert_eq!(bed.mirror()["state"], "offline");
    bed.start_emulator();
    bed.ends(&["retry"], 0);
    manager.until_status("current", |status| status == "current");
    assert_eq!(bed.mirror()["state"], "current");
    fs::rename(bed.root(), bed.path("elsewhere")).unwrap();
    manager.until_status("held", |status| status.starts_with("held: "));
    assert_eq!(bed.mirror()["state"], "held");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(manager.count("READY=1"), 1);
    assert!(manager.count("STOPPING=1") > 0, "{:?}", manager.lines());
}

#[test]
fn a_wrong_configuration_is_refused_and_a_right_one_applied() {
    let bed = Bed::new();
    let (manager, daemon) = start(&bed, &[]);
    manager.until_status("current", |status| status == "current");
    let good = fs::read_to_string(bed.path("config.toml")).unwrap();
    let mut reloads = 0;
    let mut reload = |text: &str| {
        fs::write(bed.path("config.toml"), text).unwrap();
        let before = bed.log().len();
        daemon.signal(Signal::HUP);
        reloads += 1;
        manager.until_heard("RELOADING=1", reloads);
        manager.until_heard("READY=1", reloads + 1);
        bed.log()[before..].to_owned()
    };
    // What is wrong, where, and what to do; all of it.
    let said = reload(&good.replace("settle =", "setle ="));
    assert!(
        said.contains("refused") && said.contains("setle") && said.contains("settle"),
        "{said}"
    );
    let state = format!("{:?}", bed.path("state"));
    let said = reload(&good.replace(&state, &format!("{:?}", bed.path("other"))));
    assert!(said.contains("state_dir") && said.contains("stop the daemon"), "{said}");
    assert!(!bed.path("other").exists());
    let missing =
        format!("{good}[[mirror]]\nname = \"more\"\nremote = \"more\"\nsettle = \"100ms\"\n");
    let more = format!("{missing}local = {:?}\n", bed.path("more"));
    let said = reload(&more);
    assert!(said.contains("refused") && said.contains("mirror.more.local"), "{said}");
    manager.until_status("refused", |status| status.contains("refused"));
    // The old one stays.
    bed.write("a", "a");
    bed.until_mirrored("a", "a");

    fs::create_dir(bed.path("more")).unwrap();
    fs::write(bed.path("more/b"), "b").unwrap();
    let said = reload(
        &more.replace("remote = \"backup\"\n", "remote = \"backup\"\nexclude = [\"*.no\"]\n"),
    );
    assert!(said.contains("in force"), "{said}");
    manager.until_status("current", |status| status == "all 2 mirrors current");
    assert_eq!(fs::read(bed.path("library/objects/more/b")).unwrap(), b"b");
    bed.write("left.no", "");
    bed.write("c", "c");
    bed.until_mirrored("c", "c");
    assert_eq!(bed.state_of("left.no"), "skipped");
    // The same again asks for nothing, and does not disturb the work.
    let said = reload(&fs::read_to_string(bed.path("config.toml")).unwrap());
    assert!(said.contains("did not change"), "{said}");
    let same = fs::read_to_string(bed.path("config.toml")).unwrap();
    let said = reload(&format!("{same}[log]\nlevel = \"debug\"\n"));
    assert!(said.contains("in force"), "{said}");
    bed.write("d", "d");
    until_or(|| bed.log(), || bed.log().contains("DEBUG").then_some(()));
    // Version 253 and newer ask for the time.
    let lines = manager.lines();
    let times = lines.iter().filter_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert_eq!(times.filter(|time| time.parse::<u64>().is_ok()).count(), reloads);
    assert_eq!(daemon.stop(), Some(0));
}

/// `ExecReload=` of the units is the command, and what it finds to be wrong is to be seen in the status too.
#[test]
fn a_reload_by_the_command_is_refused_by_the_daemon() {
    let bed = Bed::new();
    let (manager, daemon) = start(&bed, &[]);
    manager.until_status("current", |status| status == "current");
    bed.configure("setle = \"1s\"");
    let (_, err) = bed.ends(&["reload"], 78);
    assert!(err.contains("setle"), "{err}");
    manager.until_status("refused", |status| status.contains("refused"));
    assert!(bed.log().contains("setle"), "{}", bed.log());
    bed.configure("");
    bed.ends(&["reload"], 0);
    manager.until_status("current", |status| status == "current");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_long_start_asks_for_more_time() {
    let bed = Bed::new();
    bed.ends(&["sync"], 0);
    let journal = rusqlite::Connection::open(bed.path("state/journal.db")).unwrap();
    // Enough to read that it is not done before anything can be said.
    journal
        .execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             INSERT INTO skipped SELECT 999999, cast(i AS BLOB), 'x' FROM n",
        )
        .unwrap();
    drop(journal);
    let (manager, daemon) = start(&bed, &[]);
    manager.until_heard("READY=1", 1);
    let lines = manager.lines();
    let at = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted));
    assert!(at("EXTEND_TIMEOUT_USEC=30000000") < at("READY=1"), "{lines:?}");
    assert!(at("EXTEND_TIMEOUT_USEC=").is_some(), "{lines:?}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_stuck_work_loop_does_not_feed_the_watchdog() {
    let bed = Bed::new();
    let limit = Duration::from_millis(1500);
    let (manager, daemon) = start(&bed, &[format!("WATCHDOG_USEC={}", limit.as_micros())]);
    manager.until_status("current", |status| status == "current");
    let before = manager.count("WATCHDOG=1");
    manager.until_heard("WATCHDOG=1", before + 2);
    // Somebody has the journal: the turn that would write it waits. Everything else in the process works.
    let other = rusqlite::Connection::open(bed.path("state/journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    bed.write("a", "a");
    let silence = || format!("silence; heard {:#?}", manager.lines());
    until_or(silence, || (manager.silent_for("WATCHDOG=1") > limit).then_some(()));
    let before = manager.count("WATCHDOG=1");
    other.execute_batch("ROLLBACK").unwrap();
    manager.until_heard("WATCHDOG=1", before + 2);
    bed.until_mirrored("a", "a");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_stop_takes_less_than_ten_seconds_and_loses_nothing() {
    let bed = Bed::new();
    bed.fault(json!({"route": "cos.post", "effect": {"sip": 65_536}}));
    bed.write("large", noise(8 << 20, 1));
    bed.write("small", "small");
    let under_way =
        || until_or(|| "an upload under way".to_owned(), || (bed.open_uploads() > 0).then_some(()));
    // A second signal does not wait for anything.
    let (manager, daemon) = start(&bed, &[]);
    under_way();
    daemon.signal(Signal::TERM);
    manager.until_heard("STOPPING=1", 1);
    let began = now();
    assert_eq!(daemon.stop(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    let (manager, daemon) = start(&bed, &[]);
    manager.until_status("syncing", |status| status.starts_with("syncing: "));
    under_way();
    let began = now();
    assert_eq!(daemon.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    bed.no_faults();
    let daemon = bed.daemon_until_current();
    assert_eq!(bed.diff(), "");
    assert_eq!(bed.open_uploads(), 0);
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn a_wrong_configuration_ends_with_the_code_that_is_not_restarted() {
    let bed = Bed::new();
    bed.configure("colour = \"red\"");
    let (_, said) = bed.ends(&["run"], 78);
    assert!(said.contains("colour"), "{said}");
}

#[test]
fn a_credential_of_the_service_manager_lets_in() {
    let bed = Bed::new();
    let text = fs::read_to_string(bed.path("config.toml")).unwrap();
    let lines = text.lines().filter(|line| !line.contains("library_secret_file"));
    let without: String = lines.map(|line| format!("{line}\n")).collect();
    fs::write(bed.path("config.toml"), without).unwrap();
    let token = bed.admin();
    for (name, secret) in [("library-secret", "emulator-secret"), ("access-token", &token)] {
        let folder = bed.path(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), secret).unwrap();
        // As systemd leaves them: an access list, which looks as if a group might read it.
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o440)).unwrap();
        bed.write(name, name);
        let mut command = bed.command(&["sync"]);
        let output = command.env("CREDENTIALS_DIRECTORY", &folder).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        bed.until_mirrored(name, name);
    }
}
