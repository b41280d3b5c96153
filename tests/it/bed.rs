//! The shared harness: a folder, an emulator and the real binary, all in one temporary place.

mod compare;
mod library;
mod running;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) use compare::{diff, walk};
pub(crate) use library::form_body;
pub(crate) use running::{Running, until, until_or, until_within};

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smh-mirror"));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn emulator(tmp: &Path, listen: &str, args: &[String]) -> (Running, String) {
    let mut child = binary()
        .args(["emulator", "--listen", listen, "--data"])
        .arg(tmp.join("library"))
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoint = line.split_whitespace().nth(2).unwrap().trim_end_matches(',').to_owned();
    (Running(child), endpoint)
}

/// A folder to mirror, an emulator to mirror it into, a configuration that joins them.
pub(crate) struct Bed {
    pub(crate) tmp: TempDir,
    pub(crate) endpoint: String,
    emulator: Option<Running>,
    emulator_args: Vec<String>,
    runtime: Runtime,
    http: reqwest::Client,
}

impl Bed {
    pub(crate) fn new() -> Bed {
        Bed::with(&[])
    }

    /// With more arguments for the emulator.
    pub(crate) fn with(emulator_args: &[&str]) -> Bed {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("root")).unwrap();
        let args: Vec<String> = emulator_args.iter().map(|arg| (*arg).to_owned()).collect();
        let (emulator, endpoint) = emulator(tmp.path(), "127.0.0.1:0", &args);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bed = Bed {
            tmp,
            endpoint,
            emulator: Some(emulator),
            emulator_args: args,
            runtime,
            http: reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap(),
        };
        bed.secret("emulator-secret");
        bed.configure("");
        bed
    }

    /// Stops the emulator and starts it on the same data and port.
    pub(crate) fn restart_emulator(&mut self) {
        self.stop_emulator();
        self.start_emulator();
    }

    pub(crate) fn stop_emulator(&mut self) {
        assert_eq!(self.emulator.take().unwrap().stop(), Some(0));
    }

    /// On the same data and port.
    pub(crate) fn start_emulator(&mut self) {
        let listen = self.endpoint.trim_start_matches("http://").to_owned();
        let (again, _) = emulator(self.tmp.path(), &listen, &self.emulator_args);
        self.emulator = Some(again);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.tmp.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.path("library/objects/backup")
    }

    pub(crate) fn secret(&self, secret: &str) {
        let file = self.path("secret");
        fs::write(&file, secret).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the configuration; `more` goes into the mirror.
    pub(crate) fn configure(&self, more: &str) {
        self.configure_for(&self.endpoint, more);
    }

    pub(crate) fn configure_for(&self, endpoint: &str, more: &str) {
        let text = format!(
            "state_dir = {:?}\n[remote]\nendpoint = {endpoint:?}\nlibrary_id = \"smhemulator\"\n\
             [remote.auth]\nlibrary_secret_file = {:?}\n\
             [[mirror]]\nname = \"docs\"\nlocal = {:?}\nremote = \"backup\"\nsettle = \"100ms\"\n{more}\n",
            self.path("state"),
            self.path("secret"),
            self.root(),
        );
        fs::write(self.path("config.toml"), text).unwrap();
    }

    /// Has the daemon use this token instead of making its own.
    pub(crate) fn token_instead_of_secret(&self, token: &str) {
        self.secret(token);
        let file = self.path("config.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("library_secret_file", "access_token_file")).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = binary();
        command.arg("-c").arg(self.path("config.toml")).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must end with `code`, and gives what it said on stdout and stderr.
    pub(crate) fn ends(&self, args: &[&str], code: i32) -> (String, String) {
        let output = self.run(args);
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
        (out, err)
    }

    /// A command in the background; what it says is kept in `said`.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let open =
            || fs::File::options().create(true).append(true).open(self.path("said")).unwrap();
        Running(self.command(args).stdout(open()).stderr(open()).spawn().unwrap())
    }

    /// The daemon, in the background, with its log in a file.
    pub(crate) fn daemon(&self) -> Running {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        Running(self.command(&["run"]).stderr(log).spawn().unwrap())
    }

    /// The daemon, when it has scanned everything and says that all is mirrored.
    pub(crate) fn daemon_until_current(&self) -> Running {
        let before = self.log().len();
        let daemon = self.daemon();
        let what = || format!("current after a scan: {}\n{}", self.mirror(), &self.log()[before..]);
        until_or(what, || {
            // What the journal says before the first scan is the word of the daemon before.
            let scanned = self.log()[before..].contains("scan complete");
            (scanned && self.mirror()["state"] == "current").then_some(())
        });
        daemon
    }

    /// A command in the background, just as it is.
    pub(crate) fn child(&self, mut command: Command) -> Running {
        Running(command.spawn().unwrap())
    }

    /// The daemon, by a command of another making.
    pub(crate) fn spawn(&self, mut command: Command) -> Running {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        Running(command.stderr(log).spawn().unwrap())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Journals that were set aside.
    pub(crate) fn set_aside(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("state"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| {
                name.contains(".damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
            })
            .collect();
        names.sort();
        names
    }

    pub(crate) fn status(&self) -> Value {
        let (out, _) = self.ends(&["status", "--json"], 0);
        serde_json::from_str(&out).unwrap()
    }

    /// State and counts of the one mirror.
    pub(crate) fn mirror(&self) -> Value {
        self.status()["mirrors"][0].clone()
    }

    pub(crate) fn until_current(&self) {
        until("state current", || (self.mirror()["state"] == "current").then_some(()));
    }

    /// Waits until the copy of `name` has this content.
    pub(crate) fn until_mirrored(&self, name: &str, content: impl AsRef<[u8]>) {
        let copy = self.objects().join(name);
        until(&format!("{name} mirrored; log:\n{}", self.log()), || {
            (fs::read(&copy).ok()? == content.as_ref()).then_some(())
        });
    }

    /// What is left out, with the reason.
    pub(crate) fn skipped(&self) -> BTreeMap<String, String> {
        let (out, _) = self.ends(&["status", "--skipped", "--json"], 0);
        let value: Value = serde_json::from_str(&out).unwrap();
        let entries = value["skipped"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        entries.map(|entry| (text(&entry["path"]), text(&entry["reason"]))).collect()
    }

    /// The program as messages name it to who asked with `-c`.
    pub(crate) fn program(&self) -> String {
        format!("smh-mirror -c {}", self.path("config.toml").display())
    }

    /// The word for a file.
    pub(crate) fn state_of(&self, name: &str) -> String {
        let path = self.root().join(name);
        let (out, _) = self.ends(&["status", "--json", path.to_str().unwrap()], 0);
        let value: Value = serde_json::from_str(&out).unwrap();
        value["files"][0]["state"].as_str().unwrap().to_owned()
    }

    /// The binary without the rights of root to read everything, as if another user had started it.
    pub(crate) fn powerless(&self, args: &[&str]) -> Command {
        let inner = self.command(args);
        if !rustix::process::geteuid().is_root() {
            return inner;
        }
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        command.arg("--bounding-set=-dac_override,-dac_read_search").arg(inner.get_program());
        command.args(inner.get_args());
        command
    }
}
