//! What the kernel says of a process, and of the machine.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// The kernel counts CPU time in hundredths of a second.
const TICKS: f64 = 100.0;
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A child that does not outlive the benchmark.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process cost from its start to its end.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_mib: f64,
}

impl Process {
    pub(crate) fn new(child: Child) -> Process {
        Process(child)
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0.id()))
    }

    fn number(&self, file: &str, key: &str) -> f64 {
        let text = fs::read_to_string(self.file(file)).unwrap();
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0.0)
    }

    /// Most memory that was resident, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.number("status", "VmHWM:") / 1024.0
    }

    /// Memory that is resident, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.number("status", "VmRSS:") / 1024.0
    }

    /// Bytes that it had written to a disk.
    pub(crate) fn written(&self) -> f64 {
        self.number("io", "write_bytes:")
    }

    /// CPU seconds so far, to the nanosecond: the sum over the threads that live.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.threads("schedstat", |text| text.split_whitespace().next()?.parse().ok()) / 1e9
    }

    /// How often a thread of it was put to sleep by its own will: how often it was awake.
    pub(crate) fn switches(&self) -> f64 {
        self.threads("status", |text| {
            let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches:"))?;
            line.split_whitespace().nth(1)?.parse().ok()
        })
    }

    fn threads(&self, file: &str, read: impl Fn(&str) -> Option<f64>) -> f64 {
        let tasks = fs::read_dir(self.file("task")).unwrap();
        // A thread may end while it is looked at.
        tasks
            .filter_map(|task| fs::read_to_string(task.ok()?.path().join(file)).ok())
            .filter_map(|text| read(&text))
            .sum()
    }

    /// Waits for the end, and says what it cost. Whether it was a good end is for the caller to ask.
    pub(crate) fn cost(mut self, began: Instant) -> (Cost, bool) {
        let mut peak_mib = 0.0_f64;
        // Until it is a zombie: then its times are complete and still there.
        let ticks = loop {
            peak_mib = peak_mib.max(self.peak_mib());
            let stat = fs::read_to_string(self.file("stat")).unwrap();
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
            if fields[0] == "Z" {
                break fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let seconds = began.elapsed().as_secs_f64();
        let good = self.0.wait().unwrap().success();
        (Cost { seconds, cpu_seconds: ticks / TICKS, peak_mib }, good)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.0.wait().unwrap();
    }
}

/// Looks until `look` gives something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processors and how busy they are: whoever reads the numbers wants to know.
pub(crate) fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    format!("{cpus} CPUs ({model}), Linux {}, load {load}", kernel.trim())
}
