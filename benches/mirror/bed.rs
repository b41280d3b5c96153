//! A folder, an emulator in its own process, and the binary, in one temporary place.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use super::peers::Connection;
use super::process::{Cost, Process, until};

/// A file rests this long before it is read, in milliseconds.
pub(crate) const SETTLE_MS: u64 = 200;

/// The binary of this build, or another one that it is to be compared with.
fn binary() -> OsString {
    std::env::var_os("SMH_BENCH_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_smh-mirror").into())
}

pub(crate) struct Bed {
    pub(crate) tmp: tempfile::TempDir,
    /// What the emulator keeps. In memory, where the system has a place for that: a disk on which thousands of files were
    /// just deleted is slow to make new ones, and this is about the daemon. What that reads and writes is on the disk.
    library: tempfile::TempDir,
    /// Host and port of the emulator.
    pub(crate) address: String,
    _emulator: Process,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("root")).unwrap();
        let library = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut child = Command::new(binary())
            .args(["emulator", "--listen", "127.0.0.1:0", "--data"])
            .arg(library.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let endpoint = line.split_whitespace().nth(2).unwrap().trim_end_matches(',').to_owned();
        let address = endpoint.trim_start_matches("http://").to_owned();
        let bed = Bed { tmp, library, address, _emulator: Process::new(child) };
        bed.configure(&endpoint);
        bed
    }

    fn configure(&self, endpoint: &str) {
        let secret = self.path("secret");
        fs::write(&secret, "emulator-secret").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let text = format!(
            "state_dir = {:?}\n[remote]\nendpoint = {endpoint:?}\nlibrary_id = \"smhemulator\"\n\
             [remote.auth]\nlibrary_secret_file = {secret:?}\n\
             [[mirror]]\nname = \"bench\"\nlocal = {:?}\nremote = \"backup\"\nsettle = \"{SETTLE_MS}ms\"\n",
            self.path("state"),
            self.root(),
        );
        fs::write(self.path("config.toml"), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Where the emulator keeps the copies, as plain files.
    pub(crate) fn copies(&self) -> PathBuf {
        self.library.path().join("objects/backup")
    }

    /// Bytes of the journal on disk.
    pub(crate) fn journal_bytes(&self) -> u64 {
        fs::metadata(self.path("state/journal.db")).unwrap().len()
    }

    /// From now on every reply of the emulator comes so much later.
    pub(crate) fn delay(&self, delay_ms: u64) {
        let rule = json!({"effect": {"delay_ms": delay_ms}});
        let mut control = Connection::open(&self.address);
        let (status, _) = control.call("POST", "/_emulator/faults", rule.to_string().as_bytes());
        assert_eq!(status, 204);
    }

    /// How often each route was asked so far.
    pub(crate) fn requests(&self) -> u64 {
        let mut control = Connection::open(&self.address);
        let (_, sums) = control.call("GET", "/_emulator/log?summary=1", b"");
        let sums: Value = serde_json::from_slice(&sums).unwrap();
        let routes = sums.as_object().unwrap().iter();
        routes
            .filter(|(route, _)| !route.starts_with("token."))
            .flat_map(|(_, by)| by.as_object().unwrap().values())
            .filter_map(Value::as_u64)
            .sum()
    }

    pub(crate) fn forget_requests(&self) {
        Connection::open(&self.address).call("DELETE", "/_emulator/log", b"");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.arg("-c").arg(self.path("config.toml")).args(args);
        command
    }

    /// One pass as a process of its own.
    pub(crate) fn sync(&self) -> Cost {
        let began = Instant::now();
        let said = fs::File::create(self.path("said")).unwrap();
        let mut command = self.command(&["sync", "--quiet"]);
        let child = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        let (cost, good) = Process::new(child).cost(began);
        assert!(good, "the pass failed: {}", fs::read_to_string(self.path("said")).unwrap());
        cost
    }

    /// The daemon. What it says goes into a new file.
    pub(crate) fn daemon(&self) -> Process {
        let log = fs::File::create(self.path("log")).unwrap();
        Process::new(self.command(&["run"]).stderr(log).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Waits until the daemon that was just started has looked at everything, and says so.
    pub(crate) fn until_scanned(&self) {
        until("the first scan", || {
            fs::read_to_string(self.path("log")).ok()?.contains("scan complete").then_some(())
        });
    }

    /// What `status` says of the mirror.
    pub(crate) fn status(&self) -> Value {
        let output = self.command(&["status", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        status["mirrors"][0].clone()
    }

    pub(crate) fn until_current(&self, files: usize) {
        until("everything to be current", || {
            let mirror = self.status();
            let all = mirror["files"]["synced"].as_u64() == Some(files as u64);
            (all && mirror["state"] == "current").then_some(())
        });
    }
}

/// Files of `size` bytes that all differ, `in_dir` of them in each directory.
pub(crate) fn fill(root: &Path, files: usize, in_dir: usize, size: usize) {
    let mut content = vec![0; size];
    let mut dice = fastrand::Rng::with_seed(1);
    for n in 0..files {
        let dir = root.join(format!("d{}", n / in_dir));
        if n % in_dir == 0 {
            fs::create_dir_all(&dir).unwrap();
        }
        dice.fill(&mut content);
        fs::write(dir.join(format!("f{n}")), &content).unwrap();
    }
}
