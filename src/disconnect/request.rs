//! What a caller asks for.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::seen::AsSeen;
use crate::audit::{Audit, AuditScope, EntryPoint, Source};
use crate::callers::Guards;
use crate::genesys::request::Rank;
use crate::genesys::requester::Requester;
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::outcome::Settled;
use crate::problem::{Code, Problem};

/// Who asks, and within which limits. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Who asks, and under which request id.
    pub requester: Arc<Requester>,
    /// Participants the caller's key is limited to.
    pub guards: Option<Arc<Guards>>,
    /// The caller's key only observes.
    pub observe: bool,
    /// What the request leaves in the audit.
    pub scope: AuditScope,
    /// The deadline that several disconnects of one request share; without it, each disconnect has its own.
    pub deadline: Option<Instant>,
}

impl Origin {
    /// The origin of one item of a job.
    pub(crate) fn of_job(audit: &Audit, caller: &Arc<str>, actor: Option<Arc<str>>, job: &str, item: i64) -> Self {
        let request_id: Arc<str> = format!("{job}:{item}").into();
        let (id, job) = (Some(Arc::clone(&request_id)), Some(job.into()));
        let source = Source { request_id: id, actor, job, ..Source::default() };
        let requester = Requester::new(Arc::clone(caller), request_id).with_rank(Rank::Job);
        let scope = AuditScope::new(audit, EntryPoint::Job, source);
        Self { requester: requester.into(), guards: None, observe: false, scope, deadline: None }
    }

    /// The origin of one of several disconnects.
    pub(crate) fn for_one_of_several(&self) -> Self {
        Self { requester: self.requester.for_one_of_several().into(), ..self.clone() }
    }
}

/// One disconnect as a caller asks for it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub origin: Origin,
    /// The conversation.
    pub conversation: ConversationId,
    /// The participant to disconnect.
    pub participant: ParticipantId,
    /// End only communications of this medium, and judge by them; without it, all.
    pub media: Option<Medium>,
    /// The wrap-up to set with the disconnect.
    pub wrapup: Option<Wrapup>,
    /// Whether the wrap-up is skipped.
    pub wrapup_skipped: Option<bool>,
    /// Reason, where the caller names one.
    pub reason: Option<String>,
    /// Cause, where the caller names one.
    pub cause: Option<String>,
    /// Disconnect only if the participant is still as it was seen.
    pub as_seen: Option<AsSeen>,
    /// To have left counts as no change: this repeats a request that may have disconnected the participant.
    pub may_have_left: bool,
    /// Read until the participant is gone, for at most this long.
    pub wait: Option<Duration>,
    /// Trust an upstream that says it has disconnected, and wait only if it has merely accepted.
    pub trust_stated: bool,
    /// Read only, and report what would have been done.
    pub dry_run: bool,
}

/// A wrap-up as the published PATCH takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wrapup {
    /// Id of the wrap-up code.
    pub code: String,
    /// The agent's notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// What a disconnect changes. Requests with the same effect share one disconnect; what else they say is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct JoinKey {
    conversation: ConversationId,
    participant: ParticipantId,
    media: Option<Medium>,
    wrapup: Option<Wrapup>,
    wrapup_skipped: Option<bool>,
}

/// What a leader shares with those who joined.
#[derive(Debug, Clone)]
pub(super) struct SharedResult {
    pub(super) result: Result<Settled, Problem>,
    /// Reason and cause, where they were sent: a request with others need not share the refusal of these.
    pub(super) sent: Option<(Option<String>, Option<String>)>,
}

impl Request {
    /// Ends the whole participant, for the default reason, and answers at once; change members to ask for more.
    #[must_use]
    pub fn new(origin: Origin, conversation: ConversationId, participant: ParticipantId) -> Self {
        Self {
            origin,
            conversation,
            participant,
            media: None,
            wrapup: None,
            wrapup_skipped: None,
            reason: None,
            cause: None,
            as_seen: None,
            may_have_left: false,
            wait: None,
            trust_stated: false,
            dry_run: false,
        }
    }

    pub(super) fn join_key(&self) -> JoinKey {
        JoinKey {
            conversation: self.conversation,
            participant: self.participant,
            media: self.media,
            wrapup: self.wrapup.clone(),
            wrapup_skipped: self.wrapup_skipped,
        }
    }

    /// Whether the participant must be read before anything is sent.
    pub(super) fn is_conditional(&self) -> bool {
        self.origin.guards.is_some() || self.as_seen.is_some()
    }

    /// Whom a look must show.
    pub(super) fn target(&self) -> (ConversationId, ParticipantId, Option<Medium>) {
        (self.conversation, self.participant, self.media)
    }

    /// Whether a wrap-up goes with the disconnect.
    pub(super) fn has_wrapup(&self) -> bool {
        self.wrapup.is_some() || self.wrapup_skipped.is_some()
    }

    /// Whether something else is asked for than the plain end of the whole participant. The POST can do nothing else.
    pub(super) fn is_particular(&self) -> bool {
        self.media.is_some() || self.has_wrapup()
    }
}

impl SharedResult {
    /// Whether this is the refusal of a reason or cause that `request` does not give.
    pub(super) fn refuses_other_words_than(&self, request: &Request) -> bool {
        let refused =
            self.result.as_ref().is_err_and(|p| matches!(p.code, Code::UpstreamRejected | Code::UpstreamConflict));
        let other =
            |(reason, cause): &(Option<String>, Option<String>)| *reason != request.reason || *cause != request.cause;
        refused && self.sent.as_ref().is_some_and(other)
    }
}
