//! The records of one request, from its arrival to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::Audit;
use super::record::{Event, Record};
use super::source::Source;
use crate::ids::{ConversationId, ParticipantId};
use crate::outcome::Settled;
use crate::problem::{Code, Problem};

/// The endpoints whose requests are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum EntryPoint {
    Disconnect,
    Selector,
    Teardown,
    DropIn,
    Job,
    /// `POST /jobs` and the controls of jobs.
    Jobs,
    Mode,
}

impl EntryPoint {
    /// The word in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Selector => "selector",
            Self::Teardown => "teardown",
            Self::DropIn => "drop-in",
            Self::Job => "job",
            Self::Jobs => "jobs",
            Self::Mode => "mode",
        }
    }

    fn event(self) -> Event {
        match self {
            Self::Mode => Event::ModeChanged,
            Self::Jobs => Event::JobChanged,
            Self::Disconnect | Self::Selector | Self::Teardown | Self::DropIn | Self::Job => Event::Disconnect,
        }
    }
}

/// One request that is recorded. Cheap to clone; [`AuditScope::default`] records nothing.
#[derive(Debug, Clone, Default)]
pub struct AuditScope(Option<Arc<ScopeInner>>);

#[derive(Debug)]
struct ScopeInner {
    audit: Audit,
    entry: EntryPoint,
    source: Source,
    started: Instant,
    recorded: AtomicBool,
}

/// What a disconnect was asked to do.
#[derive(Debug, Clone)]
pub struct RequestedDisconnect<'a> {
    /// Who asks: `key:ivr`.
    pub caller: &'a Arc<str>,
    /// The conversation.
    pub conversation: ConversationId,
    /// The participant, unless all are meant.
    pub participant: Option<ParticipantId>,
    /// Why.
    pub reason: &'a str,
    /// What led to it.
    pub cause: Option<&'a str>,
    /// Nothing is to be changed upstream.
    pub dry_run: bool,
}

impl AuditScope {
    /// The scope of a request that has just arrived.
    #[must_use]
    pub fn new(audit: &Audit, entry: EntryPoint, source: Source) -> Self {
        if audit.0.is_none() {
            return Self(None);
        }
        let (started, recorded) = (Instant::now(), AtomicBool::new(false));
        Self(Some(Arc::new(ScopeInner { audit: audit.clone(), entry, source, started, recorded })))
    }

    /// On whose behalf the request says that it was sent.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.0.as_ref()?.source.actor.as_deref()
    }

    /// Begins a disconnect: from here on there will be a record, even if the caller leaves.
    #[must_use]
    pub fn begin(&self, asked: &RequestedDisconnect<'_>) -> Pending {
        let record = self.0.as_ref().map(|inner| {
            inner.recorded.store(true, Ordering::Relaxed);
            let mut record = inner.record();
            record.set_caller(Some(Arc::clone(asked.caller)));
            record.conversation_id = Some(asked.conversation);
            record.participant_id = asked.participant;
            record.reason = Some(asked.reason.to_owned());
            record.cause = asked.cause.map(str::to_owned);
            record.dry_run = asked.dry_run;
            record
        });
        Pending { scope: self.clone(), record }
    }

    /// Records a request that was answered before a disconnect began: it was denied, reached no participant, or was about something
    /// else. Does nothing if there is a record already.
    pub fn answered(&self, fill: impl FnOnce(&mut Record)) {
        let Some(inner) = &self.0 else { return };
        if inner.recorded.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut record = inner.record();
        fill(&mut record);
        inner.send(record);
    }

    /// Records that a read after an accepted disconnect found the participant still there.
    pub fn unconfirmed(&self, caller: &Arc<str>, conversation: ConversationId, participant: ParticipantId) {
        let Some(inner) = &self.0 else { return };
        let mut record = inner.record();
        record.set_caller(Some(Arc::clone(caller)));
        record.conversation_id = Some(conversation);
        record.participant_id = Some(participant);
        record.outcome = "unconfirmed".into();
        record.verified = true;
        inner.send(record);
    }
}

impl ScopeInner {
    /// Boxed, because it is moved several times.
    fn record(&self) -> Box<Record> {
        let mut record = Box::new(Record::begin(self.entry.event(), &self.source));
        record.endpoint = Some(self.entry.name().into());
        record
    }

    fn send(&self, mut record: Box<Record>) {
        record.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.audit.write(record);
    }
}

/// A disconnect under way. If it is dropped before it was closed, as by a panic, it is recorded as failed with unknown effect.
#[derive(Debug)]
pub struct Pending {
    scope: AuditScope,
    record: Option<Box<Record>>,
}

impl Pending {
    /// Commits what is about to be done, if `audit.required`. Call it before anything is sent.
    ///
    /// # Errors
    /// `audit_unavailable`: the store did not take it, so nothing may be sent.
    pub async fn intend(&mut self) -> Result<(), Problem> {
        match (&self.scope.0, &mut self.record) {
            (Some(inner), Some(record)) if !record.dry_run => inner.audit.intend(record).await,
            _ => Ok(()),
        }
    }

    /// Records how the disconnect ended.
    pub fn close(mut self, result: &Result<Settled, Problem>) {
        self.send(|record| match result {
            Ok(settled) => record.settled(settled),
            Err(problem) => record.problem(problem),
        });
    }

    /// Records that the disconnect was given up at the end of the drain time.
    pub fn abandon(mut self, problem: &Problem) {
        self.send(|record| {
            record.problem(problem);
            record.outcome = "abandoned".into();
        });
    }

    fn send(&mut self, fill: impl FnOnce(&mut Record)) {
        let (Some(inner), Some(mut record)) = (&self.scope.0, self.record.take()) else { return };
        fill(&mut record);
        inner.send(record);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.send(|record| {
            record.outcome = "failed".into();
            record.code = Some(Code::Internal.name().into());
            record.effect = Some("unknown".into());
        });
    }
}
