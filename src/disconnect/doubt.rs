//! What a disconnect does when an answer leaves open whether it worked: it reads the conversation once, and judges by that.

use super::judge::{Verdict, judge};
use super::last::Open;
use super::look::look;
use super::operation::Way;
use super::run::Run;
use crate::genesys::answer::Answer;
use crate::genesys::request::Rank;
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Effect, Problem};

impl Run<'_> {
    /// After an answer that left open what was done, such as a page for people: only what is read counts.
    pub(super) async fn settle_unclear(&mut self, page: Problem) -> Result<Settled, Problem> {
        self.unknown_when_read = Some(self.context.unknown_attempts());
        let Ok((verdict, read)) = self.look().await else { return Err(page) };
        match verdict {
            Verdict::StillThere(_) => Err(page.still_there()),
            Verdict::ConversationNotFound | Verdict::Unread => Err(page),
            verdict => {
                self.last.note(&read);
                let upstream = page.upstream.clone();
                self.last.result(verdict, &self.context, upstream).unwrap_or(Err(page))
            }
        }
    }

    /// A doubtful refusal: read once, and try what is left where the participant is still there.
    pub(super) async fn settle_doubtful(&mut self, first: Way) -> Result<Settled, Problem> {
        self.unknown_when_read = Some(self.context.unknown_attempts());
        let (verdict, read) = self.look().await?;
        self.last.note(&read);
        match self.last.result(verdict, &self.context, self.refusals.first()) {
            Ok(result) => {
                if result.is_ok() && self.request.has_wrapup() {
                    self.say_that_the_wrapup_is_not_set();
                }
                result
            }
            // The participant was just seen there, and still is, unless one of these attempts may have had an effect.
            Err(Open::StillThere(media)) => self.insist(first, &media).await.map_err(|problem| match problem.effect {
                Effect::None => problem.still_there(),
                Effect::Unknown => problem,
            }),
            Err(Open::Unread) => self.judge_unread(first, &read).await,
        }
    }

    /// The participant was gone before, and Genesys Cloud has refused the wrap-up with the disconnect.
    fn say_that_the_wrapup_is_not_set(&self) {
        let upstream_code = self.refusals.first().and_then(|upstream| upstream.code);
        tracing::warn!(
            event = "wrapup_not_set", conversation_id = %self.request.conversation, participant_id = %self.request.participant,
            request_id = &*self.context.requester.request_id, caller = &*self.context.requester.caller, upstream_code,
            "the participant was gone already, and this request has set no wrap-up"
        );
    }

    /// Reads the conversation, and finds out about one that Genesys Cloud does not know.
    async fn look(&self) -> Result<(Verdict, Answer), Problem> {
        let (observation, read) = look(self.client, &self.context, Rank::Disconnect, self.request.target()).await?;
        let verdict = self.unknown.judge(observation, self.client, &self.context, self.request.conversation).await;
        Ok((verdict, read))
    }

    /// Nothing could be read: the answer to the last disconnect request decides.
    async fn judge_unread(&mut self, first: Way, read: &Answer) -> Result<Settled, Problem> {
        let known = self.operations.post_is_known();
        if first == Way::Patch && self.post_is_open() && self.send_another(Way::Post, None, false).await? {
            return Ok(self.done(Way::Post));
        }
        match self.refusals.unread(read, known) {
            Ok(()) => Ok(self.settled(Outcome::AlreadyDisconnected, false)),
            Err(problem) if problem.code == Code::UpstreamInvalidResponse && self.wrapup_needs_the_patch() => {
                Err(self.no_patch())
            }
            Err(problem) => Err(problem),
        }
    }

    /// After a failure whose effect is unknown: one read within the reserve.
    pub(super) async fn settle_unknown_effect(&mut self, problem: Problem) -> Result<Settled, Problem> {
        // What was read already needs no second look.
        if matches!(problem.code, Code::ParticipantNotFound | Code::ConversationNotFound) {
            return Err(problem);
        }
        if self.unknown_when_read == Some(self.context.unknown_attempts()) {
            return Err(problem.effect(true));
        }
        let read = look(self.client, &self.context, Rank::Disconnect, self.request.target()).await;
        let Ok((observation, answer)) = read else { return Err(problem.effect(true)) };
        match judge(observation, self.unknown.rule) {
            Verdict::ConversationNotFound | Verdict::Unread => Err(problem.effect(true)),
            Verdict::StillThere(_) => Err(problem.effect(true).still_there()),
            verdict => {
                self.last.note(&answer);
                let upstream = problem.upstream.clone();
                self.last.result(verdict, &self.context, upstream).unwrap_or(Err(problem.effect(true)))
            }
        }
    }
}
