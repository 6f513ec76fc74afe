//! The audit: one JSON line for each disconnect that a caller asked for, whatever became of it.
//!
//! Records go through a bounded queue to a thread of their own, so that neither a slow disk nor a full one holds up a
//! disconnect. What cannot be written is counted, and said once per episode.

mod file;
pub mod query;
mod record;
mod trail;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::config;
pub use record::{Record, now};
pub use trail::{Asked, Door, Pending, Trail};
use writer::{Message, Writer};

/// Records that may wait to be written; more are dropped and counted.
const QUEUE: usize = 8 * 1024;
/// An episode of failures is over once nothing has failed for so long.
const QUIET: Duration = Duration::from_secs(10);
/// Longest wait at the end of the process for what is still queued.
const LAST_WAIT: Duration = Duration::from_secs(3);
/// Refusals of callers that nobody knows, recorded per second: they must not push the real records out of the files.
const STRANGERS_PER_SECOND: u32 = 20;

/// Where records go. Cheap to clone; [`Audit::default`] is off.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    queue: SyncSender<Message>,
    health: Arc<Health>,
    strangers: Mutex<Strangers>,
}

/// What has been counted so far, for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditStats {
    /// Records that could not be written.
    pub failures: u64,
    /// Refusals of unknown callers that were left out because there were too many.
    pub suppressed: u64,
    /// Records written.
    pub written: u64,
    /// Whether records are being lost now.
    pub failing: bool,
}

impl Audit {
    /// Starts the writer. A target that cannot be written does not stop the service: it is tried again with each record.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn open(settings: &config::Audit) -> Result<Self, String> {
        Self::open_with(settings, QUEUE, QUIET)
    }

    fn open_with(settings: &config::Audit, queue: usize, quiet: Duration) -> Result<Self, String> {
        if settings.target == "off" {
            return Ok(Self(None));
        }
        let (sender, receiver) = sync_channel(queue);
        let health = Arc::new(Health::new(quiet));
        let writer = Writer::new(settings, Arc::clone(&health));
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|e| format!("audit: no thread to write with ({e})"))?;
        Ok(Self(Some(Arc::new(Inner { queue: sender, health, strangers: Mutex::default() }))))
    }

    /// Hands a record to the writer. Never waits.
    pub fn write(&self, record: Box<Record>) {
        let Some(inner) = &self.0 else { return };
        if record.caller.is_none() && !inner.admits_stranger() {
            inner.health.suppressed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        match inner.queue.try_send(Message::Record(record)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => inner.health.failed("the writer cannot keep up and its queue is full"),
            Err(TrySendError::Disconnected(_)) => inner.health.failed("the writer has ended already"),
        }
    }

    /// Opens the file anew, for those who rotate it from outside. Says whether there was anything to open.
    pub fn reopen(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.queue.try_send(Message::Reopen).is_ok())
    }

    /// Writes what is queued and forces it to the disk, for a bounded time. Call last; later records are lost.
    pub async fn close(&self) {
        let Some(inner) = &self.0 else { return };
        let (done, written) = oneshot::channel();
        let mut message = Message::Close(done);
        let close = async {
            while let Err(TrySendError::Full(again)) = inner.queue.try_send(message) {
                message = again;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            written.await
        };
        if tokio::time::timeout(LAST_WAIT, close).await.is_err() {
            tracing::error!(event = "audit_incomplete", "the audit's last records were not written in time");
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> AuditStats {
        let Some(inner) = &self.0 else { return AuditStats::default() };
        let health = &inner.health;
        AuditStats {
            failures: health.failures.load(Ordering::Relaxed),
            suppressed: health.suppressed.load(Ordering::Relaxed),
            written: health.written.load(Ordering::Relaxed),
            failing: health.failing.load(Ordering::Relaxed),
        }
    }
}

/// Refusals of unknown callers within the current second.
#[derive(Debug, Default)]
struct Strangers {
    since: Option<Instant>,
    count: u32,
}

impl Inner {
    fn admits_stranger(&self) -> bool {
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if strangers.since.is_none_or(|since| since.elapsed() >= Duration::from_secs(1)) {
            *strangers = Strangers { since: Some(Instant::now()), count: 0 };
        }
        strangers.count += 1;
        strangers.count <= STRANGERS_PER_SECOND
    }
}

/// Counts, and says once per episode what is wrong.
#[derive(Debug)]
struct Health {
    origin: Instant,
    quiet: Duration,
    failures: AtomicU64,
    suppressed: AtomicU64,
    written: AtomicU64,
    failing: AtomicBool,
    /// When the last failure was, in ms since `origin`.
    last_failure_ms: AtomicI64,
}

impl Health {
    fn new(quiet: Duration) -> Self {
        Self {
            origin: Instant::now(),
            quiet,
            failures: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
            written: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            last_failure_ms: AtomicI64::new(0),
        }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.origin.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// A record is lost.
    fn failed(&self, cause: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.trouble(cause);
    }

    /// Something is wrong, whether or not a record is lost by it.
    fn trouble(&self, cause: &str) {
        self.last_failure_ms.store(self.now_ms(), Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                event = "audit_failing",
                cause,
                "audit records are being lost; disconnects go on. Check audit.target, its permissions and the disk"
            );
        }
    }

    /// Ends the episode when nothing has failed for a while.
    fn recovered(&self) {
        let quiet = i64::try_from(self.quiet.as_millis()).unwrap_or(i64::MAX);
        let over = self.now_ms() - self.last_failure_ms.load(Ordering::Relaxed) >= quiet;
        if over && self.failing.swap(false, Ordering::Relaxed) {
            let lost = self.failures.load(Ordering::Relaxed);
            tracing::warn!(event = "audit_recovered", lost_total = lost, "audit records are written again");
        }
    }
}

#[cfg(test)]
mod tests;
