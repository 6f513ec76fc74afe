//! Looks that come instead of a disconnect, or before it: repeats, dry runs, and keys that are limited to some participants.

use std::sync::Arc;

use super::judge::{Observation, Verdict};
use super::last::{Last, Open};
use super::look::{Read, look, read};
use super::operation::Way;
use super::possible;
use super::seen::AsSeen;
use super::{Admission, Disconnector, Request, forbidden_participant};
use crate::conversation::{Conversation, Participant};
use crate::genesys::context::Context;
use crate::genesys::request::Rank;
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Problem};

impl Disconnector {
    /// A repeat soon after an accepted disconnect: one look, and nothing is sent. `None` where nothing can be read and the POST is
    /// what works: its answer says more than we remember.
    pub(super) async fn repeat(&self, request: &Request, context: &Arc<Context>) -> Option<Result<Settled, Problem>> {
        let (observation, answer) = match look(&self.inner.client, context, Rank::Disconnect, request.target()).await {
            Ok(looked) => looked,
            // Nothing is sent now, and what was accepted a moment ago may have disconnected the participant.
            Err(problem) => return Some(Err(problem.effect(true))),
        };
        let last = Last::of(&answer);
        let verdict = self.judge(observation, context, request).await;
        let accepted = |gone| Ok(Settled { gone, ..last.settled(context, Outcome::Accepted, false) });
        Some(match last.result(verdict, context, None) {
            Ok(result) => result,
            // The upstream took it a moment ago, and it takes effect shortly.
            Err(Open::StillThere(_)) => accepted(Some(false)),
            Err(Open::Unread) if self.inner.operations.first() == Way::Post => return None,
            Err(Open::Unread) => accepted(None),
        })
    }

    /// Observe mode and dry runs: real reads, no writes. What would be refused before anything is sent is refused here, too.
    pub(super) async fn observe(&self, request: &Request) -> Result<Settled, Problem> {
        self.observe_instead(request, None).await
    }

    /// The same for one that has its place already.
    pub(super) async fn observe_instead(
        &self,
        request: &Request,
        admission: Option<Admission>,
    ) -> Result<Settled, Problem> {
        let admission = admission.map_or_else(|| self.admit(&request.origin), Ok)?;
        let context = &admission.context;
        let (conversation, last) = self.read_for(request, context).await?;
        check(request, conversation.as_ref())?;
        possible::by(self.inner.operations.first(), request)?;
        if let (Some(conversation), Some(medium)) = (&conversation, request.media)
            && let Observation::Live(all) = Observation::of(conversation, request.participant, None)
        {
            possible::alone(medium, &all)?;
        }
        let verdict = self.judge(observation(request, conversation.as_ref()), context, request).await;
        last.result(verdict, context, None)
            .unwrap_or_else(|_| Ok(last.settled(context, Outcome::WouldDisconnect, true)))
    }

    /// For keys that are limited to some participants, and for `If-Match`: one read, before anything else. `Some` when that
    /// settles it.
    pub(super) async fn guard(&self, request: &Request, context: &Arc<Context>) -> Result<Option<Settled>, Problem> {
        let (conversation, last) = self.read_for(request, context).await?;
        check(request, conversation.as_ref())?;
        if conversation.as_ref().is_some_and(|c| c.participant(request.participant).is_some()) {
            return Ok(None);
        }
        let verdict = self.judge(observation(request, conversation.as_ref()), context, request).await;
        last.result(verdict, context, None).map_or(Ok(None), |result| result.map(Some))
    }

    /// Reads the conversation where it must be read before anything is sent; `None` where Genesys Cloud does not know it.
    async fn read_for(
        &self,
        request: &Request,
        context: &Arc<Context>,
    ) -> Result<(Option<Conversation>, Last), Problem> {
        let (read, answer) = read(&self.inner.client, context, Rank::Disconnect, request.conversation).await?;
        match read {
            Read::Found(conversation) => Ok((Some(conversation), Last::of(&answer))),
            Read::NotFound => Ok((None, Last::of(&answer))),
            Read::Hidden(problem) | Read::Foreign(problem) => Err(problem),
        }
    }

    async fn judge(&self, observation: Observation, context: &Arc<Context>, request: &Request) -> Verdict {
        self.inner.unknown.judge(observation, &self.inner.client, context, request.conversation).await
    }
}

fn observation(request: &Request, conversation: Option<&Conversation>) -> Observation {
    conversation.map_or(Observation::UnknownConversation, |conversation| {
        Observation::of(conversation, request.participant, request.media)
    })
}

/// Checks, where the participant is in the conversation, that the key may touch it and that it is as the caller has seen it.
fn check(request: &Request, conversation: Option<&Conversation>) -> Result<(), Problem> {
    let Some(conversation) = conversation else { return Ok(()) };
    let Some(participant) = conversation.participant(request.participant) else { return Ok(()) };
    let (purpose, queue) = (participant.purpose.as_deref(), participant.queue_id.as_deref());
    if request.origin.guards.as_ref().is_some_and(|guards| !guards.permits(purpose, queue)) {
        return Err(forbidden_participant());
    }
    let live = participant.is_live() && !conversation.ended();
    if request.as_seen.as_ref().is_some_and(|seen| !seen.holds(participant)) && (live || !request.may_have_left) {
        return Err(changed(live));
    }
    Ok(())
}

/// Where `If-Match` was sent: whether all who are there and meant are as they were seen.
///
/// # Errors
/// `changed`: no participant may be disconnected.
pub(crate) fn all_as_seen<'a>(
    as_seen: Option<&AsSeen>,
    mut live: impl Iterator<Item = &'a Participant>,
) -> Result<(), Problem> {
    if as_seen.is_none_or(|seen| live.all(|participant| seen.holds(participant))) {
        return Ok(());
    }
    let detail = "a participant has changed or joined since they were listed, and nobody was disconnected; list the \
                  participants again";
    Err(Problem::new(Code::Changed, detail).still_there())
}

/// `If-Match` was sent, and the participant is not as it was seen.
fn changed(live: bool) -> Problem {
    let now = if live { "changed" } else { "left" };
    let detail = format!(
        "the participant has {now} since it was listed, and nobody was disconnected; list the participants again"
    );
    Problem { gone: Some(!live), ..Problem::new(Code::Changed, detail) }
}
