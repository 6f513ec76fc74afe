//! One mission: send the disconnect, judge the answer, look when in doubt, insist where somebody is still there.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::Wrapup;
use super::judge::{Doubt, Verdict, judge};
use super::look::look;
use super::operation::{Discovery, Turn, Way};
use super::outcome::{Outcome, Settled};
use super::reply::Reply;
use crate::config::UnknownConversation;
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Medium, Operation, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::json::Object;
use crate::problem::{Code, Problem, Upstream};

/// The permissions of which any lets a client disconnect. Source: the published API.
const DISCONNECT: &str = "conversation:communication:disconnect";

/// Room for the body of most POSTs, in bytes.
const USUAL: usize = 64;

/// Everything one mission needs.
#[derive(Debug)]
pub(super) struct Mission<'a> {
    pub(super) client: &'a Client,
    pub(super) discovery: &'a Discovery,
    pub(super) unknown: UnknownConversation,
    pub(super) context: Arc<Context>,
    pub(super) cid: ConversationId,
    pub(super) pid: ParticipantId,
    pub(super) media: Option<Medium>,
    pub(super) wrapup: Option<&'a Wrapup>,
    pub(super) wrapup_skipped: Option<bool>,
    pub(super) reason: &'a str,
    pub(super) cause: Option<&'a str>,
    pub(super) last: Last,
}

/// What was sent and answered last; for the answer to the caller.
#[derive(Debug, Default)]
pub(super) struct Last {
    pub(super) operation: Option<Operation>,
    pub(super) correlation_id: Option<Arc<str>>,
    pub(super) status: Option<u16>,
    /// Attempts of unknown effect that there had been when somebody last looked.
    looked_after: Option<u32>,
}

/// A refusal that is to be looked into.
#[derive(Debug)]
struct Refusal {
    doubt: Doubt,
    answer: Answer,
    /// Whether the POST is the way that was refused.
    by_post: bool,
}

/// How sending ended, short of a problem.
enum Sent {
    Done(Way),
    Refused(Refusal),
}

impl Mission<'_> {
    /// Carries the mission through. What few missions need is boxed, so that the others need no memory for it.
    pub(super) async fn run(&mut self) -> Result<Settled, Problem> {
        let settled = match self.send().await {
            Ok(Sent::Done(way)) => Ok(self.done(way)),
            Ok(Sent::Refused(refusal)) => Box::pin(self.look_into(refusal)).await,
            Err(problem) => Err(problem),
        };
        match settled {
            // Somebody may have been hung up unheard: one look, in the time that was kept back for it.
            Err(problem) if self.context.effect_unknown() => Box::pin(self.look_after(problem)).await,
            other => other,
        }
    }

    /// Sends the disconnect the way this org has it, and finds that out if need be.
    async fn send(&mut self) -> Result<Sent, Problem> {
        // Nothing wider than asked: the POST knows neither media nor wrap-up.
        if self.is_particular() {
            return self.patch(self.media).await;
        }
        let discovery = self.discovery;
        let mut guard = match discovery.turn(self.context.deadline, self.client.stopping()).await? {
            Turn::Known(Way::Patch) => return self.patch(None).await,
            Turn::Known(Way::Post) if !discovery.is_auto() => return self.post(false).await,
            Turn::Known(Way::Post) => None,
            Turn::Probe(guard) => guard,
        };
        let sent = match self.post(false).await {
            Ok(Sent::Refused(refusal)) if Reply::leads_to_patch(&refusal.answer) => self.patch(None).await,
            other => other,
        };
        if sent.as_ref().is_err_and(|problem| problem.code.retryable())
            && let Some(guard) = guard.take()
        {
            guard.outage();
        }
        sent
    }

    /// The seeds' POST. `insisting` sends both members, as some forums found necessary.
    async fn post(&mut self, insisting: bool) -> Result<Sent, Problem> {
        let cause = self.cause.or(insisting.then_some(self.reason));
        let mut body = String::with_capacity(USUAL);
        let mut members = Object::begin(&mut body);
        if let Some(cause) = cause {
            members.text("cause", cause);
        }
        members.text("reason", self.reason);
        members.end();
        let answer = self.exchange(Call::post(&self.context, self.cid, self.pid, body.into())).await?;
        self.weigh(Way::Post, answer)
    }

    /// The published PATCH, media-agnostic or of one medium.
    async fn patch(&mut self, medium: Option<Medium>) -> Result<Sent, Problem> {
        let body = patch_body(self.wrapup, self.wrapup_skipped);
        let answer = self.exchange(Call::patch(&self.context, medium, self.cid, self.pid, body)).await?;
        self.weigh(Way::Patch, answer)
    }

    /// Whether less or more is asked for than the end of the whole participant.
    fn is_particular(&self) -> bool {
        self.media.is_some() || self.wrapup.is_some() || self.wrapup_skipped.is_some()
    }

    async fn exchange(&mut self, call: Call) -> Result<Answer, Problem> {
        self.last.operation = Some(call.operation);
        let answer = self.client.call(call).await?;
        self.note(&answer);
        Ok(answer)
    }

    fn note(&mut self, answer: &Answer) {
        self.last.correlation_id.clone_from(&answer.correlation_id);
        self.last.status = Some(answer.status.as_u16());
    }

    fn weigh(&self, way: Way, answer: Answer) -> Result<Sent, Problem> {
        let doubtful = |doubt, answer| Ok(Sent::Refused(Refusal { doubt, answer, by_post: way == Way::Post }));
        match Reply::of(&answer) {
            Reply::Done => {
                self.discovery.found(way);
                Ok(Sent::Done(way))
            }
            Reply::Doubtful(doubt) => doubtful(doubt, answer),
            // While the PATCH is open, the refusal of an unpublished operation proves nothing.
            Reply::Forbidden if way == Way::Post && self.discovery.is_auto() => doubtful(Doubt::Refused, answer),
            Reply::Forbidden => Err(Problem::forbidden(&answer, DISCONNECT)),
            Reply::Rejected => {
                let detail = "Genesys Cloud rejects the disconnect; see upstream for its reason";
                Err(Problem::new(Code::UpstreamRejected, detail).upstream(Upstream::of(&answer)))
            }
            Reply::Transient => Err(Problem::transient(&answer)),
            Reply::Invalid => Err(Problem::invalid_response(
                &answer,
                "the disconnect was answered with a redirect, which is not followed",
            )),
        }
    }

    /// A doubtful refusal: look once, and insist where the participant is still there.
    async fn look_into(&mut self, refusal: Refusal) -> Result<Settled, Problem> {
        self.last.looked_after = Some(self.context.unknown_attempts());
        let (sight, answer) = look(self.client, &self.context, Rank::Mission, self.cid, self.pid).await?;
        self.note(&answer);
        match judge(refusal.doubt, sight, self.unknown) {
            Verdict::Settled { outcome, verified } => Ok(self.settled(outcome, verified)),
            Verdict::ParticipantNotFound => Err(participant_not_found(Some(Box::new(Upstream::of(&refusal.answer))))),
            Verdict::ConversationNotFound => Err(conversation_not_found(Some(Box::new(Upstream::of(&refusal.answer))))),
            Verdict::StillThere(media) => self.insist(refusal, media).await,
            Verdict::Unseen => Err(refused_for_good(&refusal.answer, None)),
        }
    }

    /// Still there: the POST once more with both members, then the PATCH of each live medium.
    async fn insist(&mut self, first: Refusal, media: Vec<Medium>) -> Result<Settled, Problem> {
        let mut last = None;
        // With both members in it already, the same again would be refused again.
        if first.by_post && self.cause.is_none() {
            match self.post(true).await {
                Ok(Sent::Done(way)) => return Ok(self.done(way)),
                Ok(Sent::Refused(refusal)) => last = Some(refusal.answer),
                // One more refusal, whatever its words: the first one tells why.
                Err(problem) if problem.code == Code::UpstreamRejected => {}
                Err(problem) => return Err(problem),
            }
        }
        let wider = self.media.is_some() || first.by_post && !self.discovery.is_auto();
        let patches = if wider { Vec::new() } else { media };
        let mut taken = 0;
        for medium in &patches {
            match self.patch(Some(*medium)).await {
                Ok(Sent::Done(_)) => taken += 1,
                Ok(Sent::Refused(refusal)) => last = Some(refusal.answer),
                Err(problem) if problem.code == Code::UpstreamRejected => {}
                Err(problem) => return Err(problem.effect(taken > 0)),
            }
        }
        // Part of a participant hung up is not the participant hung up.
        if taken > 0 && taken == patches.len() {
            return Ok(self.done(Way::Patch));
        }
        Err(refused_for_good(&first.answer, last.as_ref()).effect(taken > 0))
    }

    /// After a failure whose effect is unknown.
    async fn look_after(&mut self, problem: Problem) -> Result<Settled, Problem> {
        let unknown = |problem: Problem| problem.effect(true);
        // What was seen already needs no second look.
        if matches!(problem.code, Code::ParticipantNotFound | Code::ConversationNotFound) {
            return Err(problem);
        }
        if self.last.looked_after == Some(self.context.unknown_attempts()) {
            return Err(unknown(problem));
        }
        let Ok((sight, answer)) = look(self.client, &self.context, Rank::Mission, self.cid, self.pid).await else {
            return Err(unknown(problem));
        };
        match judge(Doubt::EffectUnknown, sight, self.unknown) {
            Verdict::Settled { outcome, verified } => {
                self.note(&answer);
                Ok(self.settled(outcome, verified))
            }
            Verdict::ParticipantNotFound => Err(participant_not_found(problem.upstream)),
            Verdict::ConversationNotFound => Err(conversation_not_found(problem.upstream)),
            Verdict::StillThere(_) | Verdict::Unseen => Err(unknown(problem)),
        }
    }

    fn done(&self, way: Way) -> Settled {
        match way {
            // Synchronous: the upstream says that it is done. Nobody has looked.
            Way::Post => self.settled(Outcome::Disconnected, false),
            Way::Patch => self.settled(Outcome::Accepted, false),
        }
    }

    fn settled(&self, outcome: Outcome, verified: bool) -> Settled {
        self.last.settled(&self.context, outcome, verified)
    }
}

impl Last {
    /// Nothing was sent but this read.
    pub(super) fn of(read: &Answer) -> Self {
        Self { correlation_id: read.correlation_id.clone(), status: Some(read.status.as_u16()), ..Self::default() }
    }

    /// The teardown's answer.
    pub(super) fn of_teardown(answer: &Answer) -> Self {
        Self { operation: Some(Operation::ConversationDisconnect), ..Self::of(answer) }
    }

    pub(super) fn settled(&self, context: &Context, outcome: Outcome, verified: bool) -> Settled {
        Settled {
            outcome,
            verified,
            gone: outcome.gone(),
            still_there: false,
            operation: self.operation,
            attempts: context.attempts(),
            correlation_id: self.correlation_id.clone(),
            upstream_status: self.status,
        }
    }
}

/// What the published PATCH takes. Source: the official definition of `MediaParticipantRequest`.
fn patch_body(wrapup: Option<&Wrapup>, wrapup_skipped: Option<bool>) -> Bytes {
    if wrapup.is_none() && wrapup_skipped.is_none() {
        return Call::DISCONNECTED;
    }
    let mut body = json!({"state": "disconnected"});
    if let Some(wrapup) = wrapup {
        body["wrapup"] = json!(wrapup);
    }
    if let Some(skipped) = wrapup_skipped {
        body["wrapupSkipped"] = skipped.into();
    }
    body.to_string().into()
}

/// Still refused after all. The first refusal tells why; a refusal for want of a user or a permission tells more.
fn refused_for_good(first: &Answer, last: Option<&Answer>) -> Problem {
    if let Some(answer) = [Some(first), last].into_iter().flatten().find(|a| a.error().needs_user_context()) {
        return Problem::forbidden(answer, DISCONNECT);
    }
    if first.status == http::StatusCode::FORBIDDEN && first.error().misses_permission() {
        return Problem::forbidden(first, DISCONNECT);
    }
    let detail = "the participant is still there and Genesys Cloud refuses to disconnect it; see upstream for its reason, \
                  and look at the conversation";
    Problem::new(Code::UpstreamConflict, detail).upstream(Upstream::of(first))
}

pub(crate) fn participant_not_found(upstream: Option<Box<Upstream>>) -> Problem {
    let detail = "the conversation was read and has no participant with this id; take the id from \
                  GET /conversations/{conversationId}/participants";
    Problem { upstream, ..Problem::new(Code::ParticipantNotFound, detail) }
}

pub(crate) fn conversation_not_found(upstream: Option<Box<Upstream>>) -> Problem {
    let detail =
        "Genesys Cloud does not know this conversation: it ended a while ago, the id is wrong, or the region is";
    Problem { upstream, ..Problem::new(Code::ConversationNotFound, detail) }
}
