//! The shared harness: a folder, an emulator and the real binary, all in one temporary place.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Nothing that is waited for takes longer, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smh-mirror"));
    command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// A child that does not outlive its test.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Asks to stop, and gives the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for an end that comes by itself, and gives the exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.wait()
    }

    /// Waits for the end, and gives the exit code.
    fn wait(&mut self) -> Option<i32> {
        let began = now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(began.elapsed() < PATIENCE, "does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "deadlines of tests are real time")]
fn now() -> Instant {
    Instant::now()
}

/// Bytes that differ from place to place and from seed to seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Looks until `look` gives something.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(|| what.to_owned(), look)
}

/// The same; what was waited for is told as it is in the end.
pub(crate) fn until_or<T>(what: impl FnOnce() -> String, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same, for as long as that.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: impl FnOnce() -> String,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let began = now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        if began.elapsed() > patience {
            panic!("waited in vain for: {}", what());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
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

/// The body of a form POST, as a browser would send it.
pub(crate) fn form_body(form: &Value, content: &[u8], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in form["form"].as_object().unwrap() {
        let value = value.as_str().unwrap();
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
            .as_bytes(),
        );
    }
    body.extend_from_slice(
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
        )
        .as_bytes(),
    );
    body.extend_from_slice(content);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

/// An answer of somebody else than the emulator.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    /// The content type.
    pub(crate) kind: String,
    pub(crate) text: String,
}

async fn fetched(request: reqwest::RequestBuilder) -> Fetched {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    Fetched { status, kind, text: response.text().await.unwrap() }
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

    pub(crate) fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.endpoint));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            (status, serde_json::from_str(&text).unwrap_or(Value::Null))
        })
    }

    /// Asks somebody else than the emulator.
    pub(crate) fn fetch(&self, method: &str, url: &str) -> Fetched {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.runtime.block_on(fetched(self.http.request(method, url)))
    }

    /// The same of several at the same time.
    pub(crate) fn fetch_all(&self, urls: &[String]) -> Vec<Fetched> {
        let all = urls.iter().map(|url| fetched(self.http.get(url)));
        self.runtime.block_on(futures_util::future::join_all(all))
    }

    /// A call that may be cut: then `None`.
    pub(crate) fn try_call(&self, method: &str, path: &str) -> Option<u16> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.http.request(method, format!("{}{path}", self.endpoint));
        self.runtime.block_on(async { request.send().await.ok().map(|r| r.status().as_u16()) })
    }

    /// Posts a form; gives the status, the headers, and the code of an XML error as `xml-code`.
    pub(crate) fn post(&self, form: &Value, content: &[u8]) -> (u16, Value) {
        let body = form_body(form, content, "B");
        let url = format!(
            "http://{}{}",
            form["domain"].as_str().unwrap(),
            form["path"].as_str().unwrap()
        );
        let request = self
            .http
            .post(url)
            .header("content-type", "multipart/form-data; boundary=B")
            .body(body);
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let mut headers = serde_json::Map::new();
            for (name, value) in response.headers() {
                headers.insert(name.to_string(), Value::from(value.to_str().unwrap()));
            }
            let text = response.text().await.unwrap();
            if let Some((_, rest)) = text.split_once("<Code>") {
                headers.insert("xml-code".into(), Value::from(rest.split('<').next().unwrap()));
            }
            (status, Value::Object(headers))
        })
    }

    /// Sends content with the signed headers of a task.
    pub(crate) fn put(&self, task: &Value, query: &str, content: &[u8]) -> u16 {
        let url = format!(
            "http://{}{}{query}",
            task["domain"].as_str().unwrap(),
            task["path"].as_str().unwrap()
        );
        let mut request = self.http.put(url).body(content.to_vec());
        for (name, value) in task["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        self.runtime.block_on(async { request.send().await.unwrap().status().as_u16() })
    }

    pub(crate) fn fault(&self, rule: Value) {
        assert_eq!(self.call("POST", "/_emulator/faults", Some(rule)).0, 204);
    }

    /// How often rules of this route and effect hit.
    pub(crate) fn hits(&self, route: &str, effect: &Value) -> u64 {
        self.hits_where(effect, |rule| rule["route"] == route)
    }

    /// How often rules of this effect hit, whatever the route.
    pub(crate) fn hits_of(&self, effect: &Value) -> u64 {
        self.hits_where(effect, |_| true)
    }

    fn hits_where(&self, effect: &Value, wanted: impl Fn(&Value) -> bool) -> u64 {
        let (_, rules) = self.call("GET", "/_emulator/faults", None);
        let effect = effect.as_object().unwrap();
        rules
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| wanted(rule))
            .filter(|rule| effect.iter().all(|(name, value)| rule["effect"][name] == *value))
            .map(|rule| rule["hits"].as_u64().unwrap())
            .sum()
    }

    /// What the library holds below the mirror's folder: path, and size of a file.
    fn held(&self) -> BTreeMap<String, Option<u64>> {
        let (_, tree) = self.call("GET", "/_emulator/tree", None);
        tree["entries"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|entry| {
                let path = entry["path"].as_str().unwrap().strip_prefix("backup/")?.to_owned();
                Some((path, entry["size"].as_u64()))
            })
            .collect()
    }

    /// Entries of the folder that the library does not hold as they are.
    pub(crate) fn missing(&self) -> Vec<String> {
        let held = self.held();
        walk(&self.root())
            .into_iter()
            .filter(|(path, content)| match (content, held.get(path)) {
                (None, Some(None)) => false,
                (Some(content), Some(Some(size))) => {
                    *size != content.len() as u64
                        || fs::read(self.objects().join(path)).ok().as_ref() != Some(content)
                }
                _ => true,
            })
            .map(|(path, _)| path)
            .collect()
    }

    /// Entries of the library that the folder does not have.
    pub(crate) fn extra(&self) -> Vec<String> {
        let here = walk(&self.root());
        self.held().into_keys().filter(|path| !here.contains_key(path)).collect()
    }

    /// Uploads that were started and neither confirmed nor cancelled.
    pub(crate) fn open_uploads(&self) -> u64 {
        self.call("GET", "/_emulator/tree", None).1["openUploads"].as_u64().unwrap()
    }

    pub(crate) fn no_faults(&self) {
        self.call("DELETE", "/_emulator/faults", None);
    }

    pub(crate) fn forget_requests(&self) {
        self.call("DELETE", "/_emulator/log", None);
    }

    /// Requests to a route so far, whatever came of them.
    pub(crate) fn requests(&self, route: &str) -> u64 {
        let (_, sums) = self.call("GET", "/_emulator/log?summary=1", None);
        sums[route].as_object().map_or(0, |by| by.values().filter_map(Value::as_u64).sum())
    }

    /// All requests but those for tokens.
    pub(crate) fn all_requests(&self) -> u64 {
        self.requests_where(|route| !route.starts_with("token."))
    }

    /// All requests, those for tokens too.
    pub(crate) fn everything_asked(&self) -> u64 {
        self.requests_where(|_| true)
    }

    fn requests_where(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        let (_, sums) = self.call("GET", "/_emulator/log?summary=1", None);
        sums.as_object()
            .unwrap()
            .iter()
            .filter(|(route, _)| wanted(route))
            .flat_map(|(_, by)| by.as_object().unwrap().values())
            .filter_map(Value::as_u64)
            .sum()
    }

    /// Paths of the requests to a route, in their order. Not of the content itself, which is sent to a key.
    pub(crate) fn asked_about(&self, route: &str) -> Vec<String> {
        let (_, lines) = self.call("GET", "/_emulator/log", None);
        let lines = lines.as_array().unwrap().iter().filter(|line| line["route"] == route);
        lines.map(|line| line["path"].as_str().unwrap().to_owned()).collect()
    }

    /// How often an upload of `name` was started.
    pub(crate) fn starts_of(&self, name: &str) -> usize {
        let wanted = format!("backup/{name}");
        self.asked_about("file.start").iter().filter(|path| **path == wanted).count()
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

    /// A token that may do everything, for meddling with the library.
    pub(crate) fn admin(&self) -> String {
        self.token_for("emulator-secret")
    }

    /// The same, of a library with this secret.
    pub(crate) fn token_for(&self, secret: &str) -> String {
        let path =
            format!("/api/v1/token?library_id=smhemulator&library_secret={secret}&grant=admin");
        self.call("POST", &path, None).1["accessToken"].as_str().unwrap().to_owned()
    }

    /// What differs between the folder and its copy, as `diff -r` says it.
    pub(crate) fn diff(&self) -> String {
        diff(&self.root(), &self.objects())
    }
}

/// Everything below `folder` by its path; directories have no content.
pub(crate) fn walk(folder: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(dir) = folders.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(name, None);
                folders.push(path);
            } else {
                found.insert(name, Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

pub(crate) fn diff(one: &Path, other: &Path) -> String {
    let output = Command::new("diff")
        .arg("-r")
        .arg("--no-dereference")
        .arg(one)
        .arg(other)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
