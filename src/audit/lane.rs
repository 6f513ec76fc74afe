//! The way of records to one sink: a bounded queue, and a thread that writes.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::Thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::health::Health;
use super::record::Record;
use super::sink::Sink;
use super::writer::{AuditWriter, Message};
use crate::config::Fsync;

/// The service's limits; tests use others.
pub(super) const LIMITS: Limits =
    Limits { queue: 8 * 1024, quiet: Duration::from_secs(10), longest_wait: Duration::from_millis(250) };

/// Limits of a writer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Records that may wait for a sink; more are dropped and counted.
    pub(super) queue: usize,
    /// An episode of failures is over once nothing has failed for this long.
    pub(super) quiet: Duration,
    /// How long a record may wait for others to be written with it. In the store, at 50 records a second, this saves a fifth of what a
    /// record costs.
    pub(super) longest_wait: Duration,
}

/// What it takes to reach one sink's writer.
#[derive(Debug)]
pub(super) struct Lane {
    queue: SyncSender<Message>,
    thread: Thread,
    health: Arc<Health>,
    reopens: bool,
}

impl Lane {
    /// Starts a writer for this sink.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(sink: Box<dyn Sink>, fsync: Fsync, limits: Limits) -> Result<Self, String> {
        let reopens = sink.reopens();
        let (queue, receiver) = sync_channel(limits.queue);
        let health = Arc::new(Health::new(limits.quiet));
        let writer = AuditWriter::new(sink, fsync, Arc::clone(&health), limits.longest_wait);
        let writing = std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|e| format!("audit: the writer's thread cannot be started ({e})"))?;
        Ok(Self { queue, thread: writing.thread().clone(), health, reopens })
    }

    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Hands a record to the writer, or counts it as lost. Never waits.
    pub(super) fn send(&self, record: &Arc<Record>) {
        match self.queue.try_send(Message::Record(Arc::clone(record))) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.health.lost_record("the writer cannot keep up and its queue is full"),
            Err(TrySendError::Disconnected(_)) => self.health.lost_record("the writer has already ended"),
        }
    }

    /// Has the sink opened again. Says whether it has something to open.
    pub(super) fn reopen(&self) -> bool {
        self.reopens && self.queue.try_send(Message::Reopen).is_ok()
    }

    /// Waits until all that was sent is written, and ends the writer.
    pub(super) async fn close(&self) {
        let (done, written) = oneshot::channel();
        let mut message = Message::Close(done);
        while let Err(TrySendError::Full(again)) = self.queue.try_send(message) {
            message = again;
            self.thread.unpark();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The writer may be pausing to let records gather.
        self.thread.unpark();
        // A writer that an earlier call has closed does not answer.
        let _ = written.await;
    }
}
