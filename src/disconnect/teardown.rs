//! Teardown: ends a whole conversation. Never a substitute for disconnecting one participant.

use std::sync::Arc;

use super::judge::{Doubt, Sight};
use super::look::{Read, read};
use super::mission::{Last, conversation_not_found};
use super::outcome::{Outcome, Settled};
use super::reply::Reply;
use super::{Disconnector, Origin, forbidden_participant};
use crate::config::UnknownConversation;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Rank};
use crate::ids::ConversationId;
use crate::problem::{Code, Problem, Upstream};

use super::join::Role;

/// One teardown as a caller asks for it.
#[derive(Debug, Clone)]
pub struct Teardown {
    /// Who asks.
    pub origin: Origin,
    /// The conversation to end.
    pub conversation: ConversationId,
    /// `Idempotency-Key`, where the caller sends one: repeats with the same one send nothing for longer.
    pub idempotency_key: Option<Arc<str>>,
    /// Read only, and report what would have been done.
    pub dry_run: bool,
}

impl Disconnector {
    /// Ends a conversation for everybody. A repeat shares the flight of the first, and within a minute sends nothing.
    ///
    /// # Errors
    /// The problem to show the caller.
    pub async fn tear_down(&self, request: &Teardown) -> Result<Settled, Problem> {
        let outcome = self.end(request).await;
        self.inner.metrics.mission(match &outcome {
            Ok(settled) => settled.outcome.name(),
            Err(problem) => problem.code.name(),
        });
        outcome
    }

    async fn end(&self, request: &Teardown) -> Result<Settled, Problem> {
        if request.dry_run || request.origin.observe || self.observing() {
            let admission = self.admit(&request.origin)?;
            let (ended, last) = self.look_for_end(request, &admission.context, Doubt::NothingSent).await?;
            let settled = |outcome, verified| last.settled(&admission.context, outcome, verified);
            return Ok(ended.map_or_else(
                || settled(Outcome::WouldDisconnect, true),
                |seen| settled(Outcome::ConversationEnded, seen),
            ));
        }
        let key = (Arc::clone(&request.origin.caller), request.conversation, request.idempotency_key.clone());
        let flights = if key.2.is_some() { &self.inner.keyed_teardowns } else { &self.inner.teardowns };
        match flights.board(&key) {
            Role::Passenger(passenger) => {
                self.inner.metrics.join();
                passenger.result().await.unwrap_or_else(|| {
                    Err(Problem::new(Code::Internal, "an error of our own ended the teardown; repeat the request")
                        .effect(true))
                })
            }
            Role::Pilot(pilot) => {
                let result = self.pilot_teardown(request, pilot.accepted_recently).await;
                let sent = result.as_ref().is_ok_and(|s| s.outcome == Outcome::Disconnected && s.attempts > 0);
                pilot.land(&result, sent);
                result
            }
        }
    }

    async fn pilot_teardown(&self, request: &Teardown, accepted_recently: bool) -> Result<Settled, Problem> {
        let admission = self.admit(&request.origin)?;
        let context = &admission.context;
        if request.origin.guards.is_some() || accepted_recently {
            let (ended, last) = self.look_for_end(request, context, Doubt::NothingSent).await?;
            if let Some(seen) = ended {
                return Ok(last.settled(context, Outcome::ConversationEnded, seen));
            }
            if accepted_recently {
                // Sent a moment ago: whoever has joined since is not touched.
                return Ok(last.settled(context, Outcome::Disconnected, false));
            }
        }
        self.inner.client.deposit();
        let sent = self.inner.client.call(Call::teardown(context, request.conversation)).await;
        let outcome = match sent {
            Ok(answer) => self.judge_teardown(request, context, &answer).await,
            Err(error) => Err(Problem::from(error)),
        };
        match outcome.map_err(|problem| problem.attempts(context.attempts())) {
            Err(problem) if context.effect_unknown() => {
                match self.look_for_end(request, context, Doubt::EffectUnknown).await {
                    Ok((Some(seen), last)) => Ok(last.settled(context, Outcome::ConversationEnded, seen)),
                    Ok((None, _)) | Err(_) => Err(problem.effect(true)),
                }
            }
            other => other,
        }
    }

    async fn judge_teardown(
        &self,
        request: &Teardown,
        context: &Arc<Context>,
        answer: &Answer,
    ) -> Result<Settled, Problem> {
        let last = Last::of_teardown(answer);
        let doubt = match Reply::of(answer) {
            Reply::Done => return Ok(last.settled(context, Outcome::Disconnected, false)),
            Reply::Doubtful(doubt) => doubt,
            Reply::Forbidden => return Err(Problem::forbidden(answer, "conversation:communication:disconnect")),
            Reply::Rejected => {
                let detail = "Genesys Cloud rejects the teardown; see upstream for its reason";
                return Err(Problem::new(Code::UpstreamRejected, detail).upstream(Upstream::of(answer)));
            }
            Reply::Transient => return Err(Problem::transient(answer)),
            Reply::Invalid => {
                return Err(Problem::invalid_response(
                    answer,
                    "the teardown was answered with a redirect, which is not followed",
                ));
            }
        };
        match self.look_for_end(request, context, doubt).await? {
            (Some(seen), _) => Ok(last.settled(context, Outcome::ConversationEnded, seen)),
            (None, _) if answer.error().needs_user_context() => Err(Problem::forbidden(answer, "")),
            (None, _) => {
                let detail =
                    "the conversation goes on and Genesys Cloud refuses to end it; see upstream for its reason";
                Err(Problem::new(Code::UpstreamConflict, detail).upstream(Upstream::of(answer)))
            }
        }
    }

    /// Whether the conversation is over (`Some`, and whether that was seen), as far as it may be read. Checks the limits of
    /// the caller's key against everybody who is there.
    async fn look_for_end(
        &self,
        request: &Teardown,
        context: &Arc<Context>,
        doubt: Doubt,
    ) -> Result<(Option<bool>, Last), Problem> {
        let (read, answer) = read(&self.inner.client, context, Rank::Mission, request.conversation).await?;
        let last = Last::of(&answer);
        let sight = match read {
            Read::Found(conversation) if conversation.ended() => Sight::Ended,
            Read::Found(conversation) => {
                let permitted = request.origin.guards.as_ref().is_none_or(|guards| {
                    let live = conversation.participants.iter().filter(|p| p.is_live());
                    live.into_iter().all(|p| guards.permits(p.purpose.as_deref(), p.queue_id.as_deref()))
                });
                if !permitted && doubt == Doubt::NothingSent {
                    return Err(forbidden_participant());
                }
                return Ok((None, last));
            }
            Read::NotFound => Sight::UnknownConversation,
            Read::Hidden(_) if doubt == Doubt::SaidGone => return Ok((Some(false), last)),
            Read::Hidden(problem) => return Err(problem),
        };
        match (sight, self.inner.settings.unknown_conversation) {
            (Sight::UnknownConversation, UnknownConversation::Error) => {
                Err(conversation_not_found(Some(Box::new(Upstream::of(&answer)))))
            }
            (Sight::UnknownConversation, UnknownConversation::Ended) => Ok((Some(false), last)),
            _ => Ok((Some(true), last)),
        }
    }
}
