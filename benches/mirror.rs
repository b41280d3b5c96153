//! The first mirror of 10,000 files of 4 KiB, and of 1 GB in 100 files, into an emulator in its own
//! process: files/s, MB/s, and what it costs the mirroring process in CPU seconds and peak memory.
//!
//! `cargo bench --bench mirror`; `SMH_BENCH_SCALE=10` makes a tenth of it.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool: it stops at the first surprise, prints, and reads the clock"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The kernel counts CPU time in hundredths of a second.
const TICKS: f64 = 100.0;

struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Cost {
    seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
}

fn main() {
    let scale: usize =
        std::env::var("SMH_BENCH_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    println!(
        "{:<28} {:>9} {:>9} {:>8} {:>8} {:>9}",
        "", "files/s", "MB/s", "seconds", "CPU s", "peak MiB"
    );
    run("10,000 files of 4 KiB", 10_000 / scale, 4096);
    run("1 GB in 100 files", 100 / scale, 10_000_000);
}

fn run(name: &str, files: usize, size: usize) {
    let tmp = tempfile::tempdir().unwrap();
    let root = tmp.path().join("root");
    let mut content = vec![0; size];
    let mut dice = fastrand::Rng::with_seed(1);
    for n in 0..files {
        // One directory for a hundred files, as people have them.
        let dir = root.join(format!("d{}", n / 100));
        fs::create_dir_all(&dir).unwrap();
        dice.fill(&mut content);
        fs::write(dir.join(format!("f{n}")), &content).unwrap();
    }
    let (emulator, endpoint) = emulator(tmp.path());
    configure(tmp.path(), &root, &endpoint);
    let first = sync(tmp.path());
    report(name, files, size, &first);
    let again = sync(tmp.path());
    report("  again, nothing changed", files, 0, &again);
    drop(emulator);
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
fn report(name: &str, files: usize, size: usize, cost: &Cost) {
    println!(
        "{name:<28} {:>9.0} {:>9.1} {:>8.2} {:>8.2} {:>9.1}",
        files as f64 / cost.seconds,
        (files * size) as f64 / 1e6 / cost.seconds,
        cost.seconds,
        cost.cpu_seconds,
        cost.peak_mib
    );
}

fn emulator(tmp: &Path) -> (Emulator, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_smh-mirror"))
        .args(["emulator", "--listen", "127.0.0.1:0", "--data"])
        .arg(tmp.join("library"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let endpoint = line.split_whitespace().nth(2).unwrap().trim_end_matches(',').to_owned();
    (Emulator(child), endpoint)
}

fn configure(tmp: &Path, root: &Path, endpoint: &str) {
    let secret = tmp.join("secret");
    fs::write(&secret, "emulator-secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "state_dir = {:?}\n[remote]\nendpoint = {endpoint:?}\nlibrary_id = \"smhemulator\"\n\
         [remote.auth]\nlibrary_secret_file = {secret:?}\n\
         [[mirror]]\nname = \"bench\"\nlocal = {root:?}\nremote = \"backup\"\nsettle = \"50ms\"\n",
        tmp.join("state"),
    );
    fs::write(tmp.join("config.toml"), text).unwrap();
}

/// One pass as a process of its own, watched through `/proc`.
fn sync(tmp: &Path) -> Cost {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_smh-mirror"))
        .arg("-c")
        .arg(tmp.join("config.toml"))
        .args(["sync", "--quiet"])
        .stdout(fs::File::create(tmp.join("said")).unwrap())
        .spawn()
        .unwrap();
    let proc = Path::new("/proc").join(child.id().to_string());
    let mut peak_kib = 0.0_f64;
    // Until it is a zombie: then its times are complete and still there.
    let ticks = loop {
        let status = fs::read_to_string(proc.join("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let seen = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        peak_kib = peak_kib.max(seen.unwrap_or(0.0));
        let stat = fs::read_to_string(proc.join("stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        if fields[0] == "Z" {
            break fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = began.elapsed().as_secs_f64();
    let said = fs::read_to_string(tmp.join("said")).unwrap();
    assert!(child.wait().unwrap().success(), "the pass failed: {said}");
    Cost { seconds, cpu_seconds: ticks / TICKS, peak_mib: peak_kib / 1024.0 }
}
