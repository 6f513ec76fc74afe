//! What one request leaves in the audit, from its first line to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::Audit;
use super::record::{Record, now};
use crate::disconnect::outcome::Settled;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Effect, Problem};

/// The doors through which somebody can be disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Door {
    Mission,
    Selector,
    Teardown,
    DropIn,
}

impl Door {
    /// The word in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mission => "mission",
            Self::Selector => "selector",
            Self::Teardown => "teardown",
            Self::DropIn => "drop-in",
        }
    }
}

/// One request that asks to disconnect somebody. Cheap to clone; [`Trail::default`] leaves nothing.
#[derive(Debug, Clone, Default)]
pub struct Trail(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    audit: Audit,
    door: Door,
    addr: IpAddr,
    request_id: Arc<str>,
    trace_id: Option<String>,
    started: Instant,
    recorded: AtomicBool,
}

/// What a mission was asked to do.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Name of the caller's key.
    pub caller: &'a Arc<str>,
    /// The conversation.
    pub conversation: ConversationId,
    /// The participant, unless everybody is meant.
    pub participant: Option<ParticipantId>,
    /// Why.
    pub reason: &'a str,
    /// Nothing is to be written upstream.
    pub dry_run: bool,
}

impl Trail {
    /// The trail of a request that came in just now.
    #[must_use]
    pub fn new(audit: &Audit, door: Door, addr: IpAddr, request_id: &Arc<str>, trace_id: Option<&str>) -> Self {
        if audit.0.is_none() {
            return Self(None);
        }
        Self(Some(Arc::new(Inner {
            audit: audit.clone(),
            door,
            addr,
            request_id: Arc::clone(request_id),
            trace_id: trace_id.map(str::to_owned),
            started: Instant::now(),
            recorded: AtomicBool::new(false),
        })))
    }

    /// A mission begins: from here on there is a record, also when nobody is left to answer.
    #[must_use]
    pub fn begin(&self, asked: &Asked<'_>) -> Pending {
        let record = self.0.as_ref().map(|inner| {
            inner.recorded.store(true, Ordering::Relaxed);
            let mut record = inner.record();
            record.caller = Some(Arc::clone(asked.caller));
            record.conversation_id = Some(asked.conversation);
            record.participant_id = asked.participant;
            record.reason = Some(asked.reason.to_owned());
            record.dry_run = asked.dry_run;
            Box::new(record)
        });
        Pending { trail: self.clone(), record }
    }

    /// The request was answered and no mission had begun: it was denied, or there was nobody to disconnect.
    pub fn answered(&self, fill: impl FnOnce(&mut Record)) {
        let Some(inner) = &self.0 else { return };
        if inner.recorded.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut record = inner.record();
        fill(&mut record);
        inner.send(Box::new(record));
    }

    /// Somebody looked after an accepted disconnect, and the participant was still there.
    pub fn unconfirmed(&self, caller: &Arc<str>, conversation: ConversationId, participant: ParticipantId) {
        let Some(inner) = &self.0 else { return };
        let mut record = inner.record();
        record.caller = Some(Arc::clone(caller));
        record.conversation_id = Some(conversation);
        record.participant_id = Some(participant);
        record.outcome = "unconfirmed".into();
        record.verified = true;
        inner.send(Box::new(record));
    }
}

impl Inner {
    fn record(&self) -> Record {
        Record::begin(self.door.name().into(), self.addr, Arc::clone(&self.request_id), self.trace_id.clone())
    }

    fn send(&self, mut record: Box<Record>) {
        record.time = now();
        record.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.audit.write(record);
    }
}

impl Record {
    /// Adds a problem: `denied` when it was ours to refuse, else `failed`.
    pub fn problem(&mut self, problem: &Problem) {
        self.outcome = if denies(problem.code) { "denied" } else { "failed" }.into();
        self.code = Some(problem.code.name().into());
        self.effect = Some(if problem.effect == Effect::Unknown { "unknown" } else { "none" }.into());
        if let Some(upstream) = &problem.upstream {
            self.upstream_status = Some(upstream.status);
            self.upstream_code.clone_from(&upstream.code);
            self.correlation_id.clone_from(&upstream.correlation_id);
        }
    }

    fn settled(&mut self, settled: &Settled) {
        self.outcome = settled.outcome.name().into();
        self.verified = settled.verified;
        self.attempts = Some(settled.attempts);
        self.operation = settled.operation.map(|operation| operation.name().into());
        self.upstream_status = settled.upstream_status;
        self.correlation_id.clone_from(&settled.correlation_id);
    }
}

/// Whether we refused the request ourselves.
fn denies(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidConversationId
            | Code::InvalidParticipantId
            | Code::InvalidBody
            | Code::InvalidQuery
            | Code::InvalidSelector
            | Code::Unauthenticated
            | Code::ForbiddenCaller
            | Code::ForbiddenOrigin
            | Code::ForbiddenParticipant
            | Code::ObserveMode
            | Code::Changed
            | Code::IdempotencyKeyReused
            | Code::JobsNeedStore
            | Code::BodyTooLarge
            | Code::SelectorAmbiguous
            | Code::CallerRateLimited
    )
}

/// A mission under way. Dropped before it was closed, as by a panic, it is recorded as failed with unknown effect.
#[derive(Debug)]
pub struct Pending {
    trail: Trail,
    record: Option<Box<Record>>,
}

impl Pending {
    /// The mission ended.
    pub fn close(mut self, result: &Result<Settled, Problem>) {
        self.send(|record| match result {
            Ok(settled) => record.settled(settled),
            Err(problem) => record.problem(problem),
        });
    }

    /// The mission had to be given up at the end of the drain time.
    pub fn abandon(mut self, problem: &Problem) {
        self.send(|record| {
            record.problem(problem);
            record.outcome = "abandoned".into();
        });
    }

    fn send(&mut self, fill: impl FnOnce(&mut Record)) {
        let (Some(inner), Some(mut record)) = (&self.trail.0, self.record.take()) else { return };
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
