//! Teardown: ends a whole conversation. Never a substitute for disconnecting one participant.

use std::sync::Arc;
use std::time::Duration;

use super::end_read::{EndRead, unreadable};
use super::last::Last;
use super::presence::Awaited;
use super::refusals::{DISCONNECT, Refusals};
use super::reply::Reply;
use super::seen::AsSeen;
use super::singleflight::Role;
use super::{Admission, Disconnector, Origin, Request};
use crate::claims::{Claim, ClaimKey, Target};
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Operation};
use crate::ids::ConversationId;
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Effect, Problem};

/// One teardown as a caller asks for it.
#[derive(Debug, Clone)]
pub struct Teardown {
    /// Who asks.
    pub origin: Origin,
    /// The conversation to end.
    pub conversation: ConversationId,
    /// `Idempotency-Key`, where the caller sends one: repeats with the same one are known for longer.
    pub idempotency_key: Option<Arc<str>>,
    /// End it only if all who are there are still as they were seen.
    pub as_seen: Option<AsSeen>,
    /// Read until the conversation has ended, for at most this long.
    pub wait: Option<Duration>,
    /// Read only, and report what would have been done.
    pub dry_run: bool,
    /// The participants it may reach, if that was decided before, with the item of a job. Otherwise a claim decides it.
    pub among: Option<Claim>,
}

impl Disconnector {
    /// Ends a conversation for all who are there when it is first asked for. A repeat shares the work of the first; later
    /// ones reach nobody else.
    pub(super) async fn end(&self, request: &Teardown) -> Result<Settled, Problem> {
        if request.dry_run || self.observing() {
            return self.observe_end(request, None).await;
        }
        let caller = Arc::clone(&request.origin.requester.caller);
        let key = (caller, request.conversation, request.idempotency_key.clone(), request.as_seen.clone());
        let mut admission = None;
        let settled = match self.inner.teardowns.join(&key) {
            Role::Follower(follower) => {
                self.inner.metrics.join();
                follower.result().await.unwrap_or_else(|| {
                    Err(Problem::new(Code::Internal, "an error in hangup ended the teardown; repeat the request")
                        .effect(true))
                })
            }
            Role::Leader(leader) => {
                let result = match self.admit(&request.origin) {
                    Ok(admitted) => {
                        let context = Arc::clone(&admission.insert(admitted).context);
                        self.lead_teardown(request, &context, leader.accepted_recently).await
                    }
                    Err(problem) => Err(problem),
                };
                let sent = result.as_ref().is_ok_and(|s| s.outcome == Outcome::Accepted && s.attempts > 0);
                leader.complete(sent, || result.clone());
                result
            }
        };
        match settled {
            Ok(settled) => self.confirm_teardown(request, settled, admission).await,
            // The service was switched to observe mode before anything was sent.
            Err(problem) if problem.code == Code::ObserveMode && problem.effect == Effect::None => {
                self.observe_end(request, admission).await
            }
            Err(problem) => Err(problem),
        }
    }

    /// Observe mode and dry runs: real reads, no writes.
    async fn observe_end(&self, request: &Teardown, admission: Option<Admission>) -> Result<Settled, Problem> {
        let admission = admission.map_or_else(|| self.admit(&request.origin), Ok)?;
        let guards = request.origin.guards.as_ref();
        match self.look_for_end(request.conversation, guards, request.as_seen.as_ref(), &admission.context).await? {
            EndRead::Settled(result) => result,
            EndRead::GoesOn(read, _) => Ok(Last::of(&read).settled(&admission.context, Outcome::WouldDisconnect, true)),
            EndRead::Unread(read) => Err(unreadable(&read)),
        }
    }

    /// Reads until the conversation has ended, where the caller asks for it.
    async fn confirm_teardown(
        &self,
        request: &Teardown,
        settled: Settled,
        admission: Option<Admission>,
    ) -> Result<Settled, Problem> {
        let (Some(wait), Outcome::Accepted, false) = (request.wait, settled.outcome, settled.still_there) else {
            return Ok(settled);
        };
        let awaited = (request.conversation, Awaited::Conversation);
        let shown = Box::pin(self.watch(&request.origin, awaited, wait)).await;
        // The place among those under way is held while waiting: it bounds our memory.
        drop(admission);
        shown.after(settled)
    }

    /// Claims those who are there, and ends the conversation while no others are.
    async fn lead_teardown(
        &self,
        request: &Teardown,
        context: &Arc<Context>,
        accepted_recently: bool,
    ) -> Result<Settled, Problem> {
        let (mut settled, guards) = (None, request.origin.guards.as_ref());
        let claim = if let Some(among) = &request.among {
            among.clone()
        } else {
            let look = async {
                match self.look_for_end(request.conversation, guards, request.as_seen.as_ref(), context).await? {
                    EndRead::Settled(result) => {
                        settled = Some(result);
                        Ok(None)
                    }
                    EndRead::GoesOn(_, live) => Ok(Some(live)),
                    EndRead::Unread(read) => Err(unreadable(&read)),
                }
            };
            let waits = (self.inner.settings.deadline, request.wait.unwrap_or_default());
            let (caller, idempotency_key) = (&request.origin.requester.caller, request.idempotency_key.as_deref());
            let key = ClaimKey::new(caller, "teardown", request.conversation, "all", idempotency_key, waits);
            Box::pin(self.inner.claims.targets(&key, look)).await?
        };
        if let Some(result) = settled {
            return result;
        }
        // A repeat acts on the claimed set alone: its own first attempt may be what has changed them since.
        let as_seen = request.as_seen.as_ref().filter(|_| claim.first);
        let unseen = request.among.is_some() && as_seen.is_some();
        if !claim.first || unseen {
            match self.look_for_end(request.conversation, guards, as_seen, context).await? {
                EndRead::Settled(result) => return result,
                EndRead::GoesOn(_, live) if live.iter().any(|one| !claim.reaches(one.id)) => {
                    let members = live.into_iter().filter(|one| claim.reaches(one.id)).collect();
                    return Box::pin(self.end_members(request, context, members)).await;
                }
                // Sent a moment ago, and it takes effect shortly.
                EndRead::GoesOn(read, _) if accepted_recently => {
                    let settled = Last::of(&read).settled(context, Outcome::Accepted, false);
                    return Ok(Settled { gone: Some(false), ..settled });
                }
                EndRead::GoesOn(..) => {}
                EndRead::Unread(read) => return Err(unreadable(&read)),
            }
        }
        let call = Call::teardown(context, request.conversation);
        // Others may join at any moment, so what a repeat has read holds for one attempt only.
        let call = if claim.first { call } else { call.once() };
        self.send_teardown(request, context, call).await
    }

    /// Sends the teardown, and reads where its answer, or its silence, leaves open what it did.
    async fn send_teardown(&self, request: &Teardown, context: &Arc<Context>, call: Call) -> Result<Settled, Problem> {
        self.inner.client.deposit();
        let result = match self.inner.client.call(call).await {
            Ok(answer) => self.judge_teardown(request, context, answer).await,
            Err(error) => Err(Problem::from(error)),
        };
        let result = match result.map_err(|problem| problem.attempts(context.attempts())) {
            Err(problem) if context.effect_unknown() => {
                match self.look_for_end(request.conversation, None, None, context).await {
                    Ok(EndRead::Settled(Ok(settled))) => Ok(settled),
                    Ok(EndRead::GoesOn(..)) => Err(problem.effect(true).still_there()),
                    _ => Err(problem.effect(true)),
                }
            }
            other => other,
        };
        result.map(|settled| Settled { operation: Some(Operation::ConversationDisconnect), ..settled })
    }

    /// Others have come since the teardown was first asked for: those who were there then are disconnected one by one.
    async fn end_members(
        &self,
        request: &Teardown,
        context: &Arc<Context>,
        members: Vec<Target>,
    ) -> Result<Settled, Problem> {
        // With the teardown's own requester: what is sent for one of them is sent for the teardown.
        let origin = Origin { deadline: Some(context.deadline), ..request.origin.clone() };
        let one = |member: Target| Request::new(origin.clone(), request.conversation, member.id);
        self.disconnect_each(members.into_iter().map(one).collect(), request.wait).await
    }

    async fn judge_teardown(
        &self,
        request: &Teardown,
        context: &Arc<Context>,
        answer: Answer,
    ) -> Result<Settled, Problem> {
        let reply = Reply::of(&answer);
        match reply {
            // It takes effect shortly; it has not been checked.
            Reply::Done => return Ok(Last::of_teardown(&answer).settled(context, Outcome::Accepted, false)),
            Reply::Unclear | Reply::Doubtful => {}
            _ => return Err(Problem::refused(&answer, "teardown", DISCONNECT)),
        }
        let look = self.look_for_end(request.conversation, None, None, context).await;
        if reply == Reply::Unclear {
            let unclear = Problem::refused(&answer, "teardown", DISCONNECT).effect(true);
            return match look {
                Ok(EndRead::Settled(Ok(settled))) => Ok(settled),
                Ok(EndRead::GoesOn(..)) => Err(unclear.still_there()),
                _ => Err(unclear),
            };
        }
        let refusals = Refusals::of_teardown(answer);
        match look? {
            EndRead::Settled(result) => result.map_err(|problem| Problem { upstream: refusals.first(), ..problem }),
            EndRead::GoesOn(..) => Err(refusals.still_there()),
            EndRead::Unread(read) => match refusals.unread(&read, false) {
                Err(problem) => Err(problem),
                Ok(()) => Err(unreadable(&read)),
            },
        }
    }
}
