//! The writer: a thread that takes records from the queue and puts them into a sink.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::health::Health;
use super::record::Record;
use super::sink::Sink;
use crate::config::Fsync;
use crate::flush_pacer::FlushPacer;

/// How often the disk is forced with `fsync = "interval"`, and how often an episode of failures is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Records written at once, and between two looks at the clock.
const MAX_BATCH: usize = 256;

#[derive(Debug)]
pub(super) enum Message {
    Record(Arc<Record>),
    Reopen,
    Close(oneshot::Sender<()>),
}

/// What was taken from the queue.
enum Batch {
    /// All that was there.
    All,
    /// As much as is written at once; there may be more.
    More,
    /// The last message; the sender waits for an answer on this channel.
    Last(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(super) struct AuditWriter {
    sink: Box<dyn Sink>,
    fsync: Fsync,
    health: Arc<Health>,
    /// Records on their way.
    records: Vec<Arc<Record>>,
    pacer: FlushPacer,
    /// Since when something written has not been forced to the disk.
    unsynced: Option<Instant>,
}

impl AuditWriter {
    pub(super) fn new(sink: Box<dyn Sink>, fsync: Fsync, health: Arc<Health>, longest_wait: Duration) -> Self {
        let pacer = FlushPacer::new(longest_wait);
        Self { sink, fsync, health, records: Vec::new(), pacer, unsynced: None }
    }

    /// Writes until it receives the close message, or every sender is gone.
    pub(super) fn run(mut self, queue: Receiver<Message>) {
        self.reopen();
        loop {
            let message = match self.time_to_next_task() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => queue.recv_timeout(wait),
            };
            match message {
                Ok(message) => {
                    let batch = self.take_batch(message, &queue);
                    if let Batch::Last(done) = batch {
                        // From here on, later records are counted as lost.
                        drop(queue);
                        let _ = done.send(());
                        return;
                    }
                    // With "always", each record must reach the disk as soon as possible.
                    if matches!(batch, Batch::All) && self.fsync != Fsync::Always {
                        self.pacer.rest();
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
            self.health.end_episode_if_quiet();
        }
    }

    /// How long there is nothing to do unless a message comes; `None` for ever.
    fn time_to_next_task(&self) -> Option<Duration> {
        let sync = self.unsynced.filter(|_| self.fsync == Fsync::Interval);
        let sync = sync.map(|since| INTERVAL.saturating_sub(since.elapsed()));
        sync.or_else(|| self.health.is_failing().then_some(INTERVAL))
    }

    /// Takes this message and what else has come.
    fn take_batch(&mut self, first: Message, queue: &Receiver<Message>) -> Batch {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(message) = next {
            match message {
                Message::Record(record) => self.records.push(record),
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
            // All that is taken is written below, so no more may be taken than is written at once.
            next = if taken < MAX_BATCH { queue.try_recv().ok() } else { None };
        }
        self.write();
        self.pacer.count(taken);
        if taken < MAX_BATCH { Batch::All } else { Batch::More }
    }

    /// Writes the records at once; where that fails, one by one, so that as few as possible are lost.
    fn write(&mut self) {
        let records = std::mem::take(&mut self.records);
        match (self.try_write(&records), records.len()) {
            (Ok(()), _) => {}
            (Err(cause), 1) => self.health.lost_record(&cause),
            (Err(_), _) => {
                for record in records.chunks(1) {
                    if let Err(cause) = self.try_write(record) {
                        self.health.lost_record(&cause);
                    }
                }
            }
        }
    }

    fn try_write(&mut self, records: &[Arc<Record>]) -> Result<(), String> {
        if records.is_empty() {
            return Ok(());
        }
        let written = self.sink.write(records);
        if let Some(cause) = self.sink.trouble() {
            self.health.trouble(&cause);
        }
        written.map_err(|cause| cause.to_string())?;
        self.health.wrote(records.len() as u64);
        self.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync(&mut self) {
        if self.unsynced.take().is_some()
            && let Err(cause) = self.sink.sync()
        {
            self.health.trouble(&format!("syncing the records to the disk: {cause}"));
        }
    }

    fn reopen(&mut self) {
        self.sync();
        if let Err(cause) = self.sink.reopen() {
            self.health.trouble(&cause.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Sender, channel};

    use super::super::lane::{LIMITS, Limits};
    use super::super::{Audit, Event};
    use super::*;
    use crate::config::Config;

    /// Tells how many records were written at once.
    #[derive(Debug)]
    struct Counting(Sender<usize>);

    impl Sink for Counting {
        fn write(&mut self, records: &[Arc<Record>]) -> io::Result<()> {
            self.0.send(records.len()).map_err(io::Error::other)
        }
    }

    #[tokio::test]
    async fn closing_does_not_wait_until_the_writer_has_paused() {
        let (sender, written) = channel();
        let limits = Limits { longest_wait: Duration::from_secs(3600), ..LIMITS };
        let sink = Box::new(Counting(sender));
        let audit = Audit::start(vec![sink], &Config::defaults().audit, None, &"host-1".into(), limits).unwrap();
        audit.event(Event::Reloaded, "first", String::new());
        assert_eq!(written.recv().unwrap(), 1);
        audit.event(Event::Reloaded, "second", String::new());
        audit.close().await;
        assert_eq!(written.try_recv(), Ok(1));
    }
}
