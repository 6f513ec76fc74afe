//! Disconnect requests that were refused, and what that comes to when there is nothing left to try.

use http::StatusCode;

use super::operation::Way;
use super::reply::{leads_to_post, owes_wrapup};
use crate::genesys::answer::Answer;
use crate::problem::{Code, Problem, UpstreamDetail};

/// The permission that lets a client disconnect. Source: the published API.
pub(super) const DISCONNECT: &str = "conversation:communication:disconnect";

/// What was refused in one disconnect, in order.
#[derive(Debug)]
pub(super) struct Refusals {
    /// What was read after the refusals: "the participant is still there".
    still: &'static str,
    /// What to do about a wrap-up that is owed.
    wrap_up: &'static str,
    refused: Vec<(Way, Answer)>,
}

impl Refusals {
    /// Of a disconnect of one participant.
    pub(super) fn of_participant() -> Self {
        Self {
            still: "the participant is still there",
            wrap_up: "send wrapup with a code, or wrapupSkipped",
            refused: Vec::new(),
        }
    }

    /// Of the one request that ends a conversation; it is published, as the PATCH is.
    pub(super) fn of_teardown(answer: Answer) -> Self {
        Self {
            still: "the conversation goes on",
            wrap_up: "disconnect the participant who owes it, with wrapup or wrapupSkipped",
            refused: vec![(Way::Patch, answer)],
        }
    }

    pub(super) fn add(&mut self, way: Way, answer: Answer) {
        self.refused.push((way, answer));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.refused.is_empty()
    }

    /// What the first refusal said, for the member `upstream`.
    pub(super) fn first(&self) -> Option<Box<UpstreamDetail>> {
        self.refused.first().map(|(_, answer)| Box::new(UpstreamDetail::of(answer)))
    }

    /// Whether the PATCH was refused, and in ways that leave the POST open throughout.
    pub(super) fn lead_to_post(&self) -> bool {
        let mut patches = self.refused.iter().filter(|(way, _)| *way == Way::Patch).peekable();
        patches.peek().is_some() && patches.all(|(_, answer)| leads_to_post(answer))
    }

    fn own(&self) -> impl Iterator<Item = &Answer> {
        self.refused.iter().map(|(_, answer)| answer).filter(|answer| answer.is_own_refusal())
    }

    /// All was refused, and the participant was observed still there. The first refusal says why, unless another one says what
    /// to do about it.
    pub(super) fn still_there(&self) -> Problem {
        if let Some(answer) = self.own().find(|answer| owes_wrapup(answer)) {
            let detail = format!("{} and a wrap-up code is owed: {}", self.still, self.wrap_up);
            return Problem::new(Code::WrapupRequired, detail).upstream(UpstreamDetail::of(answer)).still_there();
        }
        if let Some(answer) = self.own().find(|answer| answer.error().needs_user_context()) {
            return Problem::forbidden(answer, DISCONNECT).still_there();
        }
        if let Some((_, answer)) = self.refused.first()
            && answer.status == StatusCode::FORBIDDEN
            && answer.is_own_refusal()
        {
            return Problem::forbidden(answer, DISCONNECT).still_there();
        }
        let detail = if self.own().next().is_some() {
            "and Genesys Cloud refuses the disconnect; see upstream for its reason, and look at the conversation"
        } else {
            "and something that is not Genesys Cloud refuses the disconnect; see upstream, and check the proxy or gateway in between"
        };
        let detail = format!("{} {detail}", self.still);
        Problem { upstream: self.first(), ..Problem::new(Code::UpstreamConflict, detail) }.still_there()
    }

    /// All was refused, and nothing could be read. `Ok` if the last answer to a POST counts as "already gone": then only the
    /// upstream's word says so. `read` is the answer to the read.
    ///
    /// # Errors
    /// What to tell the caller otherwise.
    pub(super) fn unread(&self, read: &Answer, post_is_known: bool) -> Result<(), Problem> {
        let last = self.refused.last();
        if let Some((Way::Post, last)) = last {
            let said_gone = matches!(last.status, StatusCode::NOT_FOUND | StatusCode::CONFLICT) && !last.is_html();
            if said_gone && (last.is_own_refusal() || post_is_known) {
                return Ok(());
            }
        }
        if read.status == StatusCode::FORBIDDEN && read.is_own_refusal() {
            return Err(Problem::forbidden(read, super::look::VIEW));
        }
        // Without a refusal nothing was sent: the read had to come first.
        let Some((_, last)) = last else { return Err(Problem::not_genesys(read, "read")) };
        let Some(own) = self.own().next() else { return Err(Problem::not_genesys(last, "disconnect")) };
        if own.status == StatusCode::FORBIDDEN || own.error().needs_user_context() {
            return Err(Problem::forbidden(own, DISCONNECT));
        }
        let mut refusal = Problem::refused(own, "disconnect", DISCONNECT);
        "Genesys Cloud refuses the disconnect, and the conversation cannot be read; see upstream for its reason"
            .clone_into(&mut refusal.detail);
        Err(refusal)
    }
}
