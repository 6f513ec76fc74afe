//! The health of a sink: counts, and one log line per episode of failures.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Health {
    origin: Instant,
    quiet: Duration,
    failures: AtomicU64,
    written: AtomicU64,
    failing: AtomicBool,
    /// When the last failure was, in ms since `origin`.
    last_failure_ms: AtomicI64,
}

impl Health {
    /// An episode of failures is over once nothing has failed for `quiet`.
    pub(super) fn new(quiet: Duration) -> Self {
        Self {
            origin: Instant::now(),
            quiet,
            failures: AtomicU64::new(0),
            written: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            last_failure_ms: AtomicI64::new(0),
        }
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(super) fn wrote(&self, records: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
    }

    /// Counts a record as lost.
    pub(super) fn lost_record(&self, cause: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.trouble(cause);
    }

    /// Begins or prolongs an episode. By itself, it counts no record as lost.
    pub(super) fn trouble(&self, cause: &str) {
        self.last_failure_ms.store(self.now_ms(), Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                event = "audit_failing",
                cause,
                "audit records are lost or may be; disconnects go on. Check audit.target, its permissions and the disk"
            );
        }
    }

    /// Ends the episode if nothing has failed for `quiet`.
    pub(super) fn end_episode_if_quiet(&self) {
        let quiet = i64::try_from(self.quiet.as_millis()).unwrap_or(i64::MAX);
        let over = self.now_ms() - self.last_failure_ms.load(Ordering::Relaxed) >= quiet;
        if over && self.failing.swap(false, Ordering::Relaxed) {
            tracing::warn!(event = "audit_recovered", lost_total = self.failures(), "audit records are written again");
        }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}
