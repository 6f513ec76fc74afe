//! The writer: a thread that takes records from the queue and puts them into the target.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Health;
use super::file::File;
use super::record::Record;
use crate::config::{self, Fsync};

/// How often the disk is forced with `fsync = "interval"`, and how often an episode of failures is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Records written between two looks at the clock.
const BATCH: usize = 256;

#[derive(Debug)]
pub(super) enum Message {
    Record(Box<Record>),
    Reopen,
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
enum Target {
    Stdout,
    File(File),
}

#[derive(Debug)]
pub(super) struct Writer {
    target: Target,
    fsync: Fsync,
    health: Arc<Health>,
    /// Since when something written has not been forced to the disk.
    unsynced: Option<Instant>,
}

impl Writer {
    pub(super) fn new(settings: &config::Audit, health: Arc<Health>) -> Self {
        let target = match settings.target.as_str() {
            "stdout" => Target::Stdout,
            path => Target::File(File::new(path.into(), settings.max_size.as_u64(), settings.keep)),
        };
        Self { target, fsync: settings.fsync, health, unsynced: None }
    }

    /// Writes until it is told to close, or everybody who could send has gone.
    pub(super) fn run(mut self, queue: Receiver<Message>) {
        self.reopen();
        loop {
            let message = match self.wait() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => queue.recv_timeout(wait),
            };
            match message {
                Ok(message) => {
                    if let Some(done) = self.take_batch(message, &queue) {
                        // From here on, who still sends is told that nobody listens.
                        drop(queue);
                        let _ = done.send(());
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.sync();
                    return;
                }
            }
            let due = self.unsynced.is_some_and(|since| since.elapsed() >= INTERVAL);
            if self.fsync == Fsync::Always || (self.fsync == Fsync::Interval && due) {
                self.sync();
            }
            self.health.recovered();
        }
    }

    /// How long nothing has to be done without a message.
    fn wait(&self) -> Option<Duration> {
        let sync = self.unsynced.filter(|_| self.fsync == Fsync::Interval);
        let sync = sync.map(|since| INTERVAL.saturating_sub(since.elapsed()));
        sync.or_else(|| self.health.failing.load(Ordering::Relaxed).then_some(INTERVAL))
    }

    /// Takes this message and what else has come. Gives whom to tell, when it was the last.
    fn take_batch(&mut self, first: Message, queue: &Receiver<Message>) -> Option<oneshot::Sender<()>> {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(message) = next {
            match message {
                Message::Record(record) => self.write(&record),
                Message::Reopen => self.reopen(),
                Message::Close(done) => {
                    self.sync();
                    return Some(done);
                }
            }
            taken += 1;
            // Nothing is taken out of the queue that is not written.
            next = if taken < BATCH { queue.try_recv().ok() } else { None };
        }
        None
    }

    fn write(&mut self, record: &Record) {
        let written = serde_json::to_vec(record).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            match &mut self.target {
                Target::Stdout => {
                    let mut out = io::stdout().lock();
                    out.write_all(&line).and_then(|()| out.flush())
                }
                Target::File(file) => file.append(&line),
            }
        });
        match written {
            Ok(()) => {
                self.health.written.fetch_add(1, Ordering::Relaxed);
                self.unsynced.get_or_insert_with(Instant::now);
            }
            Err(cause) => self.health.failed(&cause.to_string()),
        }
        if let Target::File(file) = &mut self.target
            && let Some(cause) = file.rotation_trouble()
        {
            self.health.trouble(&cause);
        }
    }

    fn sync(&mut self) {
        if self.unsynced.take().is_some()
            && let Target::File(file) = &self.target
            && let Err(cause) = file.sync()
        {
            self.health.trouble(&format!("forcing the records to the disk: {cause}"));
        }
    }

    fn reopen(&mut self) {
        self.sync();
        if let Target::File(file) = &mut self.target
            && let Err(cause) = file.reopen()
        {
            self.health.trouble(&cause.to_string());
        }
    }
}
