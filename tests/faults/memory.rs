//! What the kernel says of the service's process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

pub(crate) const MIB: u64 = 1024 * 1024;

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> u64 {
    read(pid).expect("a live process")
}

/// None once the process has ended.
fn read(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()? * 1024)
}

/// Processor time that a process has used.
pub(crate) fn busy(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a live process");
    // The name in parentheses may hold blanks; what follows it does not. utime and stime come 12th and 13th.
    let rest = stat.rsplit_once(')').expect("a name").1;
    let ticks: u64 = rest.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Watches the resident memory of a process; the highest reading counts.
pub(crate) struct Peak {
    highest: Arc<AtomicU64>,
    before: u64,
    task: JoinHandle<()>,
}

impl Peak {
    pub(crate) fn watch(pid: u32) -> Self {
        let before = resident(pid);
        let highest = Arc::new(AtomicU64::new(before));
        let shared = Arc::clone(&highest);
        let task = tokio::spawn(async move {
            while let Some(now) = read(pid) {
                shared.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Self { highest, before, task }
    }

    /// By how many bytes memory has grown at the most.
    pub(crate) fn growth(self) -> u64 {
        self.task.abort();
        self.highest.load(Ordering::Relaxed) - self.before
    }
}
