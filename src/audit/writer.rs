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
use crate::pause::Pause;
use crate::text::escape_unprintable;

/// How often the disk is forced with `fsync = "interval"`, and how often an episode of failures is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Records written at once, and between two looks at the clock.
const BATCH: usize = 256;

#[derive(Debug)]
pub(super) enum Message {
    Record(Box<Record>),
    Reopen,
    Close(oneshot::Sender<()>),
}

/// What was taken from the queue.
enum Batch {
    /// All that was there.
    All,
    /// As much as is written at once; there may be more.
    More,
    /// The last message; this one is to be told.
    Last(oneshot::Sender<()>),
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
    /// Records on their way, a line each.
    lines: String,
    /// How many.
    records: u64,
    pause: Pause,
    /// Since when something written has not been forced to the disk.
    unsynced: Option<Instant>,
}

impl Writer {
    pub(super) fn new(settings: &config::Audit, health: Arc<Health>) -> Self {
        let target = match settings.target.as_str() {
            "stdout" => Target::Stdout,
            path => Target::File(File::new(path.into(), settings.max_size.as_u64(), settings.keep)),
        };
        Self {
            target,
            fsync: settings.fsync,
            health,
            lines: String::new(),
            records: 0,
            pause: Pause::default(),
            unsynced: None,
        }
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
                    let batch = self.take_batch(message, &queue);
                    if let Batch::Last(done) = batch {
                        // From here on, who still sends is told that nobody listens.
                        drop(queue);
                        let _ = done.send(());
                        return;
                    }
                    // With "always" each is to be on the disk as soon as can be.
                    if matches!(batch, Batch::All) && self.fsync != Fsync::Always {
                        self.pause.rest();
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

    /// Takes this message and what else has come.
    fn take_batch(&mut self, first: Message, queue: &Receiver<Message>) -> Batch {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(message) = next {
            match message {
                Message::Record(record) => {
                    record.write(&mut self.lines);
                    self.records += 1;
                }
                Message::Reopen => {
                    self.write();
                    self.reopen();
                }
                Message::Close(done) => {
                    self.write();
                    self.sync();
                    return Batch::Last(done);
                }
            }
            taken += 1;
            // Nothing is taken out of the queue that is not written.
            next = if taken < BATCH { queue.try_recv().ok() } else { None };
        }
        self.write();
        self.pause.count(taken);
        if taken < BATCH { Batch::All } else { Batch::More }
    }

    /// Writes the lines at once; where that fails, one by one, so that as many as can be are kept.
    fn write(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        escape_unprintable(&mut lines);
        let records = std::mem::take(&mut self.records);
        if records > 0 {
            match self.append(lines.as_bytes()) {
                Ok(()) => self.written(records),
                Err(cause) if records == 1 => self.health.failed(&cause.to_string()),
                Err(_) => {
                    for line in lines.split_inclusive('\n') {
                        match self.append(line.as_bytes()) {
                            Ok(()) => self.written(1),
                            Err(cause) => self.health.failed(&cause.to_string()),
                        }
                    }
                }
            }
        }
        self.lines = lines;
        self.lines.clear();
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = match &mut self.target {
            Target::File(file) => file,
            Target::Stdout => {
                let mut out = io::stdout().lock();
                return out.write_all(lines).and_then(|()| out.flush());
            }
        };
        let appended = file.append(lines);
        if let Some(cause) = file.rotation_trouble() {
            self.health.trouble(&cause);
        }
        appended
    }

    fn written(&mut self, records: u64) {
        self.health.written.fetch_add(records, Ordering::Relaxed);
        self.unsynced.get_or_insert_with(Instant::now);
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
