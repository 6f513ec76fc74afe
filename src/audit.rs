//! The audit: one record for each disconnect that a caller asked for, whatever its outcome, and for each other [`Event`].
//!
//! Records go to one or more sinks ([`Sink`]), each with a bounded queue and a thread of its own, so that a slow or full disk
//! holds up neither disconnects nor other sinks. Lost records are counted, and logged once per episode of failures.

mod denials;
mod file;
mod health;
mod lane;
mod line;
pub mod query;
mod record;
mod redact;
mod scope;
mod sink;
mod source;
mod store;
mod target;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config;
use crate::problem::{Code, Problem};
use crate::store::Store;
use denials::Denials;
use lane::{LIMITS, Lane, Limits};
pub use record::{Event, Record, now};
use redact::Redaction;
pub use redact::recorded_as;
pub use scope::{AuditScope, EntryPoint, Pending, RequestedDisconnect};
pub use sink::Sink;
pub use source::Source;

/// How long shutdown waits for queued records.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How often denials that were held back are written.
const DENIALS_EVERY: Duration = Duration::from_secs(1);

/// Where records go. Cheap to clone; [`Audit::default`] is off.
#[derive(Debug, Clone, Default)]
pub struct Audit(Option<Arc<AuditInner>>);

#[derive(Debug)]
struct AuditInner {
    instance: Arc<str>,
    lanes: Vec<Lane>,
    redact: Redaction,
    /// Whether one of the sinks is the store.
    in_store: bool,
    /// With `audit.required`: the store that must have an intent before anything is sent.
    required: Option<Store>,
    denials: Mutex<Denials>,
}

/// What has been counted so far, for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuditStats {
    /// Records that could not be written, summed over the sinks.
    pub failures: u64,
    /// Denials without a record of their own: another record counts them.
    pub suppressed: u64,
    /// Records written by the sink that has written most.
    pub written: u64,
    /// Whether records are being lost now.
    pub failing: bool,
}

impl Audit {
    /// Starts a writer for each target. A target that cannot be written does not stop the service: it is tried again with
    /// each record. `instance` names this process in its records.
    ///
    /// # Errors
    /// A thread cannot be started, or a sink needs the async runtime and there is none.
    pub fn open(settings: &config::Audit, instance: &Arc<str>, store: &Store) -> Result<Self, String> {
        let required = settings.required.then(|| store.clone());
        Self::start(target::of(settings, store)?, settings, required, instance, LIMITS)
    }

    fn start(
        sinks: Vec<Box<dyn Sink>>,
        settings: &config::Audit,
        required: Option<Store>,
        instance: &Arc<str>,
        limits: Limits,
    ) -> Result<Self, String> {
        if sinks.is_empty() {
            return Ok(Self(None));
        }
        let start = |sink| Lane::start(sink, settings.fsync, limits);
        let lanes = sinks.into_iter().map(start).collect::<Result<_, String>>()?;
        let redact = Redaction::of(settings);
        let in_store = settings.target.0.iter().any(|target| target == "store");
        let (instance, denials) = (Arc::clone(instance), Mutex::default());
        Ok(Self(Some(Arc::new(AuditInner { instance, lanes, redact, in_store, required, denials }))))
    }

    /// Whether records go to the store, from where they can be read back.
    #[must_use]
    pub fn is_in_store(&self) -> bool {
        self.0.as_ref().is_some_and(|inner| inner.in_store)
    }

    /// Writes a record of something that operators or the service itself did. `outcome` is one word, `reason` gives details.
    pub fn event(&self, event: Event, outcome: &'static str, reason: String) {
        if self.0.is_some() {
            let mut record = Box::new(Record::begin(event, &Source::default()));
            record.outcome = outcome.into();
            record.reason = Some(reason);
            self.write(record);
        }
    }

    /// Writes a record of a job that changed by itself, and why.
    pub fn job_changed(&self, job: &str, outcome: &'static str, reason: String) {
        if self.0.is_some() {
            let source = Source { job: Some(job.into()), ..Source::default() };
            let mut record = Box::new(Record::begin(Event::JobChanged, &source));
            record.outcome = outcome.into();
            record.reason = Some(reason);
            self.write(record);
        }
    }

    /// Writes a record of an export of records.
    pub fn exported(&self, caller: &Arc<str>, what: String) {
        if self.0.is_some() {
            let mut record = Box::new(Record::begin(Event::Exported, &Source::default()));
            record.set_caller(Some(Arc::clone(caller)));
            record.outcome = "exported".into();
            record.reason = Some(what);
            self.write(record);
        }
    }

    /// Commits to the store what is about to be done, if `audit.required`.
    async fn intend(&self, record: &mut Record) -> Result<(), Problem> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let Some(store) = &inner.required else { return Ok(()) };
        // Boxed: few services set `audit.required`, and inline it would enlarge the future of every disconnect.
        Box::pin(inner.commit_intent(store, record)).await
    }

    /// Hands a record to the writers. Never waits.
    fn write(&self, mut record: Box<Record>) {
        let Some(inner) = &self.0 else { return };
        record.time = now();
        record.instance = Arc::clone(&inner.instance);
        if record.id.is_nil() {
            // Version 7 begins with the time, so that the store appends each record to its index.
            record.id = Uuid::now_v7();
        }
        if record.is_denial() {
            let admitted = inner.denials.lock().admit(*record);
            admitted.into_iter().for_each(|record| inner.send(Box::new(record)));
        } else {
            inner.send(record);
        }
    }

    /// Writes denials that were held back, once their second is over, until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let Some(inner) = &self.0 else { return };
        let each_second = async {
            loop {
                tokio::time::sleep(DENIALS_EVERY).await;
                inner.send_due(false);
            }
        };
        stop.run_until_cancelled(each_second).await;
    }

    /// Reopens files that another program has rotated. Returns whether there was anything to reopen.
    pub fn reopen(&self) -> bool {
        let Some(inner) = &self.0 else { return false };
        inner.lanes.iter().filter(|lane| lane.reopen()).count() > 0
    }

    /// Writes what is queued and syncs it to the disk, within a bounded time. Call it last: later records are lost.
    pub async fn close(&self) {
        let Some(inner) = &self.0 else { return };
        inner.send_due(true);
        let closing = futures_util::future::join_all(inner.lanes.iter().map(Lane::close));
        if tokio::time::timeout(CLOSE_TIMEOUT, closing).await.is_err() {
            tracing::error!(event = "audit_incomplete", "the audit's last records were not written in time");
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> AuditStats {
        let Some(inner) = &self.0 else { return AuditStats::default() };
        let mut stats = AuditStats { suppressed: inner.denials.lock().suppressed(), ..AuditStats::default() };
        for lane in &inner.lanes {
            let health = lane.health();
            stats.failures += health.failures();
            stats.written = stats.written.max(health.written());
            stats.failing |= health.is_failing();
        }
        stats
    }
}

impl AuditInner {
    async fn commit_intent(&self, store: &Store, record: &mut Record) -> Result<(), Problem> {
        record.id = Uuid::now_v7();
        let mut intent = record.clone();
        (intent.time, intent.instance, intent.outcome) = (now(), Arc::clone(&self.instance), "intended".into());
        self.redact.apply(&mut intent);
        store.append_audit(vec![store::row(&intent)]).await.map_err(|_| {
            let detail = "audit.required is set and the store cannot take the record of this request; nobody was disconnected. Repeat it";
            Problem::new(Code::AuditUnavailable, detail)
        })
    }

    fn send(&self, mut record: Box<Record>) {
        self.redact.apply(&mut record);
        let record = Arc::<Record>::from(record);
        self.lanes.iter().for_each(|lane| lane.send(&record));
    }

    fn send_due(&self, all: bool) {
        let due = self.denials.lock().due(all);
        due.into_iter().for_each(|record| self.send(Box::new(record)));
    }
}

#[cfg(test)]
mod tests;
