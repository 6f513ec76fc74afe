//! What a test logs, to be looked at.

use std::io;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt as _;

/// While only one subscriber exists, `tracing` asks only the thread that meets an event first whether anything listens, and believes it
/// for all others: a test elsewhere that captures nothing would then silence the event here. With a second one, it asks them all.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// The lines that were logged on this thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl CapturedLog {
    /// Captures what is logged on this thread until the guard is dropped.
    pub(crate) fn here() -> (Self, tracing::subscriber::DefaultGuard) {
        LazyLock::force(&ANOTHER);
        let log = Self::default();
        let sink = log.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || sink.clone());
        (log, tracing::subscriber::set_default(tracing_subscriber::registry().with(layer)))
    }

    /// How many events of this name were logged.
    pub(crate) fn count(&self, event: &str) -> usize {
        String::from_utf8_lossy(&self.0.lock()).matches(&format!("{event}\"")).count()
    }
}
