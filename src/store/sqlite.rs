//! The embedded database: in a file, or in memory.
//!
//! A file has two threads. One writes, and commits all waiting batches together, because each commit costs a flush of the disk. The
//! other reads, so that listing the audit does not hold up a claim. In memory, the calling task does the work itself.

mod file;
#[cfg(test)]
pub(in crate::store) mod simulated;
mod work;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::engine::{Batch, Engine, Rows};
use super::error::StoreError;
pub(super) use file::default_path;
use work::{SqliteClock, Work};

/// Batches that may wait for a thread; more are refused.
const MAX_QUEUE: usize = 4096;
/// Batches in one commit.
const MAX_GROUP: usize = 256;

/// A database in a file.
#[derive(Debug)]
pub(super) struct Sqlite {
    writer: SyncSender<Work>,
    reader: SyncSender<Work>,
    timeout: Duration,
}

impl Sqlite {
    /// Opens the file, which is created if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// A text for the operator, which does not name the setting.
    pub(super) fn open(path: &Path, timeout: Duration) -> Result<Self, String> {
        let path = file::prepare(path)?;
        let unusable = |e: rusqlite::Error| file::explain(&path, &e);
        let writing = file::connect(&path, timeout).map_err(unusable)?;
        file::check(&writing, &path)?;
        work::migrate(&writing).map_err(|e| e.to_string())?;
        let reading = file::connect(&path, timeout).map_err(unusable)?;
        for connection in [&writing, &reading] {
            work::keep_plans(connection).map_err(unusable)?;
        }
        reading.pragma_update(None, "query_only", true).map_err(unusable)?;
        Ok(Self {
            writer: thread("store-writer", writing, work::commit_group)?,
            reader: thread("store-reader", reading, work::commit_group)?,
            timeout,
        })
    }

    async fn ask(&self, batch: Batch) -> Result<Vec<Rows>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let thread = if batch.writes() { &self.writer } else { &self.reader };
        thread.try_send(Work { batch, reply }).map_err(|e| match e {
            TrySendError::Full(_) => {
                StoreError::OutOfReach("too many batches are waiting; the disk may be slow".to_owned())
            }
            TrySendError::Disconnected(_) => StoreError::OutOfReach("its thread has ended".to_owned()),
        })?;
        match tokio::time::timeout(self.timeout, answer).await {
            Err(_) => Err(StoreError::TimedOut),
            Ok(Err(_)) => Err(StoreError::OutOfReach("its thread has ended".to_owned())),
            Ok(Ok(result)) => result,
        }
    }
}

impl Engine for Sqlite {
    fn run(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Rows>, StoreError>> {
        self.ask(batch).boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        // This was done when the file was opened.
        std::future::ready(Ok(())).boxed()
    }
}

/// Starts a thread that takes what waits, at most [`MAX_GROUP`] at once.
fn thread(
    name: &str,
    connection: Connection,
    carry_out: fn(&Connection, SqliteClock, Vec<Work>),
) -> Result<SyncSender<Work>, String> {
    let (sender, queue): (_, Receiver<Work>) = sync_channel(MAX_QUEUE);
    let run = move || {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            group.extend(queue.try_iter().take(MAX_GROUP - 1));
            // Callers that have given up were told that the result is unknown; then it is better to do nothing.
            group.retain(|command| !command.reply.is_closed());
            carry_out(&connection, SqliteClock::Wall, group);
        }
    };
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|e| format!("the store's thread cannot be started ({e})"))?;
    Ok(sender)
}

/// A database that ends with the process. Its clock is the runtime's, which tests can pause.
#[derive(Debug)]
pub(super) struct InMemory {
    connection: Mutex<Connection>,
    clock: SqliteClock,
}

impl InMemory {
    pub(super) fn open() -> Result<Self, String> {
        let connection = Connection::open_in_memory().map_err(|e| e.to_string())?;
        work::keep_plans(&connection).map_err(|e| e.to_string())?;
        work::migrate(&connection).map_err(|e| e.to_string())?;
        Ok(Self { connection: Mutex::new(connection), clock: SqliteClock::of_the_runtime() })
    }
}

impl Engine for InMemory {
    fn run(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Rows>, StoreError>> {
        let connection = self.connection.lock();
        std::future::ready(work::commit(&connection, self.clock, &batch)).boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        std::future::ready(Ok(())).boxed()
    }
}
