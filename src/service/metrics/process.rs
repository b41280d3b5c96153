//! What every process tells of itself, under the names that are usual for it. Linux only; what cannot be read is left out.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

type Real = std::sync::atomic::AtomicU64;

/// What the system says of this process.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Process {
    usage: Option<Usage>,
    open_fds: Option<usize>,
    max_fds: Option<u64>,
}

/// A line of `/proc/PID/stat`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    /// In clock ticks.
    cpu: u64,
    threads: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Process {
    pub(super) fn now() -> Process {
        let stat = std::fs::read_to_string("/proc/self/stat").ok();
        // The one that reads the directory is among them.
        let fds = std::fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1));
        Process {
            usage: stat.as_deref().and_then(usage),
            open_fds: fds,
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// Reads a line of `/proc/PID/stat` (proc(5)). The name of the process stands in parentheses and may hold anything.
fn usage(stat: &str) -> Option<Usage> {
    let (_, rest) = stat.rsplit_once(')')?;
    // From the third field on.
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
    Some(Usage {
        cpu: field(14)?.saturating_add(field(15)?),
        threads: field(20)?,
        virtual_bytes: field(23)?,
        resident_pages: field(24)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "exact as far as any machine goes")]
pub(super) fn register(registry: &mut Registry, process: Process, began_ms: i64) {
    let mut gauge = |name: &str, help: &str, unit: Option<Unit>, value: f64| {
        let gauge = Gauge::<f64, Real>::default();
        gauge.set(value);
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, gauge),
            None => registry.register(name, help, gauge),
        }
    };
    gauge(
        "process_start_time",
        "When the process began, in seconds since the Unix epoch",
        Some(Unit::Seconds),
        began_ms as f64 / 1000.0,
    );
    if let Some(usage) = process.usage {
        let resident = usage.resident_pages.saturating_mul(page_size() as u64) as f64;
        gauge("process_resident_memory", "Memory that is in RAM", Some(Unit::Bytes), resident);
        let virtual_memory = usage.virtual_bytes as f64;
        gauge("process_virtual_memory", "Address space", Some(Unit::Bytes), virtual_memory);
        gauge("process_threads", "Threads", None, usage.threads as f64);
    }
    if let Some(open) = process.open_fds {
        gauge("process_open_fds", "Open descriptors", None, open as f64);
    }
    if let Some(most) = process.max_fds {
        gauge("process_max_fds", "Most descriptors that may be open", None, most as f64);
    }
    if let Some(usage) = process.usage {
        let cpu = Counter::<f64, Real>::default();
        cpu.inc_by(usage.cpu as f64 / clock_ticks_per_second() as f64);
        registry.register_with_unit("process_cpu", "Time on processors", Unit::Seconds, cpu);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_name_is() {
        let rest = "S 1 12 12 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 7 0 1234 104857600 2560 18446744073709551615";
        for name in ["smh-mirror", "a) b (c", ""] {
            let read = usage(&format!("12 ({name}) {rest}"));
            let expected =
                Usage { cpu: 300, threads: 7, virtual_bytes: 104_857_600, resident_pages: 2560 };
            assert_eq!(read, Some(expected), "{name}");
        }
        assert_eq!(usage("12 (short) S 1"), None);
        assert!(Process::now().usage.is_some_and(|usage| usage.resident_pages > 0));
    }
}
