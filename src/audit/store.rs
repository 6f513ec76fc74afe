//! The store as a sink. While it is out of reach, records wait here and in the queue; what no longer fits is lost and counted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::record::Record;
use super::sink::Sink;
use crate::store::{AuditRow, Store, StoreError};

/// Between two tries to reach the store.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Writes records into the table `audit`.
#[derive(Debug)]
pub(super) struct StoreSink {
    store: Store,
    runtime: Handle,
}

impl StoreSink {
    pub(super) fn new(store: Store, runtime: Handle) -> Self {
        Self { store, runtime }
    }

    /// What the store says; `None` when the runtime has ended, in which a timer of `block_on` would panic.
    fn append(&self, rows: Vec<AuditRow>) -> Option<Result<(), StoreError>> {
        let (store, (tell, told)) = (self.store.clone(), oneshot::channel());
        self.runtime.spawn(async move {
            // The writer waits for it as long as the process lives.
            let _ = tell.send(store.append_audit(rows).await);
        });
        told.blocking_recv().ok()
    }
}

impl Sink for StoreSink {
    fn write(&mut self, records: &[Arc<Record>]) -> io::Result<()> {
        loop {
            let rows = records.iter().map(|record| row(record)).collect();
            match self.append(rows) {
                Some(Ok(())) => return Ok(()),
                // Retrying does not help: a record may be at fault, or the disk full.
                Some(Err(StoreError::Refused(cause))) => return Err(io::Error::other(cause)),
                // Safe to repeat: the store keeps a record that it already has.
                Some(Err(_)) => std::thread::park_timeout(RETRY_AFTER),
                None => return Err(io::Error::other("the service has ended")),
            }
        }
    }
}

/// The record as a row of the table.
pub(super) fn row(record: &Record) -> AuditRow {
    let time = OffsetDateTime::parse(&record.time, &Rfc3339).unwrap_or_else(|_| OffsetDateTime::now_utc());
    AuditRow {
        id: record.id.to_string(),
        time: i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0),
        event: record.event.name().to_owned(),
        caller: record.caller.as_deref().map(str::to_owned),
        job: record.job.as_deref().map(str::to_owned),
        conversation: record.conversation_id.map(|id| id.to_string()),
        participant: record.participant_id.map(|id| id.to_string()),
        outcome: record.outcome.to_string(),
        code: record.code.as_deref().map(str::to_owned),
        record: record.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Event;
    use super::super::source::Source;
    use super::*;

    #[test]
    fn writing_after_the_runtime_has_ended_is_an_error() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut sink = StoreSink::new(Store::memory().unwrap(), runtime.handle().clone());
        drop(runtime);
        sink.write(&[Arc::new(Record::begin(Event::Reloaded, &Source::default()))]).unwrap_err();
    }
}
