//! One disconnect: send, weigh the answer, and try what is left where the participant is still there.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::judge::Observation;
use super::last::Last;
use super::look::look;
use super::operation::{Operations, Way};
use super::possible;
use super::refusals::{DISCONNECT, Refusals};
use super::reply::{self, Reply};
use super::request::Request;
use super::unknown::UnknownConversations;
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Rank};
use crate::json::Object;
use crate::medium::Medium;
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Problem};

/// Room for the words of most disconnects, in bytes.
const USUAL_WORDS: usize = 128;

/// Everything one disconnect needs.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) operations: &'a Operations,
    pub(super) unknown: &'a UnknownConversations,
    pub(super) context: Arc<Context>,
    pub(super) request: &'a Request,
    pub(super) reason: &'a str,
    pub(super) last: Last,
    pub(super) refusals: Refusals,
    /// A POST was sent: reason and cause had their effect on the result.
    pub(super) posted: bool,
    /// Attempts of unknown effect that there had been when the conversation was last read.
    pub(super) unknown_when_read: Option<u32>,
    /// An answer left open who gave it and what was done, such as a 2xx with a page or an error as its body.
    unclear: bool,
}

/// How one disconnect request ended, short of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Done,
    /// It is among the refusals.
    Refused,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        (client, operations, unknown): (&'a Client, &'a Operations, &'a UnknownConversations),
        context: Arc<Context>,
        request: &'a Request,
        reason: &'a str,
    ) -> Self {
        Self {
            client,
            operations,
            unknown,
            context,
            request,
            reason,
            last: Last::default(),
            refusals: Refusals::of_participant(),
            posted: false,
            unknown_when_read: None,
            unclear: false,
        }
    }

    /// Carries the disconnect out. Rare paths are boxed, so that the usual one needs no memory for them.
    pub(super) async fn run(&mut self) -> Result<Settled, Problem> {
        let result = match self.send().await {
            Ok((way, Sent::Done)) => Ok(self.done(way)),
            Ok((way, Sent::Refused)) => Box::pin(self.settle_doubtful(way)).await,
            Err(problem) => Err(problem),
        };
        match result {
            Err(problem) if self.unclear => Box::pin(self.settle_unclear(problem)).await,
            // It may have succeeded unseen: read once within the reserve.
            Err(problem) if self.context.effect_unknown() => Box::pin(self.settle_unknown_effect(problem)).await,
            other => other,
        }
    }

    /// Sends the first request.
    async fn send(&mut self) -> Result<(Way, Sent), Problem> {
        let request = self.request;
        let first = self.operations.first();
        possible::by(first, request)?;
        let sent = match (first, request.media) {
            (Way::Post, _) => self.post(false).await?,
            (Way::Patch, Some(medium)) if !medium.is_published() => Box::pin(self.end_alone(medium)).await?,
            (Way::Patch, medium) => self.patch(medium).await?,
        };
        Ok((first, sent))
    }

    /// No path ends this medium alone, but the media-agnostic PATCH does where it is all that is live.
    async fn end_alone(&mut self, medium: Medium) -> Result<Sent, Problem> {
        let (cid, pid, _) = self.request.target();
        let (observation, answer) = look(self.client, &self.context, Rank::Disconnect, (cid, pid, None)).await?;
        self.last.note(&answer);
        match observation {
            Observation::Live(media) if media.contains(&medium) => {
                possible::alone(medium, &media)?;
                self.patch(None).await
            }
            // Nothing to end: the read that follows shows why.
            _ => Ok(Sent::Refused),
        }
    }

    /// The unpublished POST. `insisting` sends both members, as some forums found necessary.
    async fn post(&mut self, insisting: bool) -> Result<Sent, Problem> {
        self.posted = true;
        let cause = self.request.cause.as_deref().or(insisting.then_some(self.reason));
        let mut body = String::with_capacity(USUAL_WORDS);
        let mut members = Object::begin(&mut body);
        if let Some(cause) = cause {
            members.text("cause", cause);
        }
        members.text("reason", self.reason);
        members.end();
        let (cid, pid, _) = self.request.target();
        self.exchange(Way::Post, Call::post(&self.context, cid, pid, body.into())).await
    }

    /// The published PATCH, media-agnostic or of one medium.
    async fn patch(&mut self, medium: Option<Medium>) -> Result<Sent, Problem> {
        let (cid, pid, _) = self.request.target();
        self.exchange(Way::Patch, Call::patch(&self.context, medium, cid, pid, patch_body(self.request))).await
    }

    /// Sends one disconnect request and weighs its answer.
    async fn exchange(&mut self, way: Way, call: Call) -> Result<Sent, Problem> {
        self.last.operation = Some(call.operation);
        let answer = self.client.call(call).await?;
        self.last.note(&answer);
        if way == Way::Patch && reply::shows_the_patch(&answer) {
            self.operations.patch_exists();
        }
        match Reply::of(&answer) {
            Reply::Done => {
                self.operations.worked(way);
                Ok(Sent::Done)
            }
            Reply::Unclear => {
                self.unclear = true;
                Err(Problem::refused(&answer, "disconnect", DISCONNECT).effect(true))
            }
            // While the PATCH can still be tried, the refusal of an unpublished operation proves nothing.
            Reply::Forbidden if way == Way::Post && self.operations.is_auto() => Ok(self.refused(way, answer)),
            Reply::Doubtful => Ok(self.refused(way, answer)),
            // One more refusal, whatever it says: the first one is the one to report.
            Reply::Rejected | Reply::Foreign if !self.refusals.is_empty() => Ok(self.refused(way, answer)),
            Reply::Forbidden | Reply::Rejected | Reply::Foreign | Reply::Transient | Reply::Redirected => {
                Err(Problem::refused(&answer, "disconnect", DISCONNECT))
            }
        }
    }

    fn refused(&mut self, way: Way, answer: Answer) -> Sent {
        self.refusals.add(way, answer);
        Sent::Refused
    }

    /// One more request where others were refused already.
    pub(super) async fn send_another(
        &mut self,
        way: Way,
        medium: Option<Medium>,
        insisting: bool,
    ) -> Result<bool, Problem> {
        let sent = match way {
            Way::Post => self.post(insisting).await?,
            Way::Patch => self.patch(medium).await?,
        };
        Ok(sent == Sent::Done)
    }

    /// Still there: what has not been tried yet, and is no wider than what was asked for.
    pub(super) async fn insist(&mut self, first: Way, media: &[Medium]) -> Result<Settled, Problem> {
        if first == Way::Post {
            if self.post_again().await? {
                return Ok(self.done(Way::Post));
            }
            if !self.operations.is_auto() {
                return Err(self.refusals.still_there());
            }
            if self.send_another(Way::Patch, None, false).await? {
                return Ok(self.done(Way::Patch));
            }
        }
        // A medium that was asked for has been tried.
        let published = media.iter().filter(|medium| self.request.media.is_none() && medium.is_published());
        let (mut tried, mut taken) = (0, 0);
        for medium in published {
            tried += 1;
            let sent = self.send_another(Way::Patch, Some(*medium), false).await;
            taken += u32::from(sent.map_err(|problem| if taken > 0 { problem.effect(true) } else { problem })?);
        }
        // No PATCH ends these, and nothing else that was taken does.
        let goes_on = media.iter().any(|medium| !medium.is_published() && !medium.accompanies());
        if taken > 0 && taken == tried && !goes_on {
            return Ok(self.done(Way::Patch));
        }
        let last_resort = taken == 0 && first == Way::Patch && self.post_is_open();
        if last_resort && (self.send_another(Way::Post, None, false).await? || self.post_again().await?) {
            return Ok(self.done(Way::Post));
        }
        if self.wrapup_needs_the_patch() {
            return Err(possible::only_the_post(self.request).still_there());
        }
        // If only some of its media ended, the participant is not disconnected.
        Err(self.refusals.still_there().effect(taken > 0))
    }

    /// The POST once more with both members. With both in it already, the same again would be refused again.
    async fn post_again(&mut self) -> Result<bool, Problem> {
        if self.request.cause.is_some() { Ok(false) } else { self.send_another(Way::Post, None, true).await }
    }

    /// Whether the POST is the last resort of this request.
    pub(super) fn post_is_open(&self) -> bool {
        !self.request.is_particular() && self.operations.post_is_open() && self.refusals.lead_to_post()
    }

    /// Whether the POST would be the last resort, and would drop the wrap-up. Of one medium it never is.
    pub(super) fn wrapup_needs_the_patch(&self) -> bool {
        self.request.media.is_none()
            && self.request.has_wrapup()
            && self.operations.post_is_open()
            && self.refusals.lead_to_post()
    }

    /// The PATCH does not exist or is blocked, and all we know of the POST is that it takes no wrap-up.
    pub(super) fn no_patch(&self) -> Problem {
        let upstream = self.refusals.first();
        let status = upstream.as_ref().map_or(0, |upstream| upstream.status);
        let detail = format!(
            "the published PATCH was answered with {status} by something that is not Genesys Cloud, and the unpublished POST takes no \
             wrap-up; leave wrap-up away, or check genesys.region or genesys.api_url (without /api/v2), and the proxy or gateway in \
             between"
        );
        Problem { upstream, ..Problem::new(Code::UpstreamRejected, detail) }
    }

    pub(super) fn done(&self, way: Way) -> Settled {
        match way {
            // Synchronous: the upstream says that it is done. It has not been checked.
            Way::Post => self.settled(Outcome::Disconnected, false),
            Way::Patch => self.settled(Outcome::Accepted, false),
        }
    }

    pub(super) fn settled(&self, outcome: Outcome, verified: bool) -> Settled {
        self.last.settled(&self.context, outcome, verified)
    }
}

/// What the published PATCH takes. Source: the official definition of `MediaParticipantRequest`.
fn patch_body(request: &Request) -> Bytes {
    if !request.has_wrapup() {
        return Call::DISCONNECTED;
    }
    let mut body = json!({"state": "disconnected"});
    if let Some(wrapup) = &request.wrapup {
        body["wrapup"] = json!(wrapup);
    }
    if let Some(skipped) = request.wrapup_skipped {
        body["wrapupSkipped"] = skipped.into();
    }
    body.to_string().into()
}
