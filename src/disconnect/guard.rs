//! Looks that come instead of a disconnect, or before it: repeats, dry runs, and keys that are limited to some participants.

use std::sync::Arc;

use super::judge::{Doubt, Sight, Verdict, judge};
use super::look::{Read, look, read};
use super::mission::{Last, conversation_not_found, participant_not_found};
use super::outcome::{Outcome, Settled};
use super::{Disconnector, Request, forbidden_participant};
use crate::conversation::Participant;
use crate::genesys::context::Context;
use crate::genesys::request::Rank;
use crate::problem::{Code, Problem};

/// `If-Match` was sent, and the participant is not as it was seen.
fn changed(participant: &Participant) -> Problem {
    let live = participant.is_live();
    let now = if live { "changed" } else { "left" };
    let detail = format!(
        "the participant has {now} since it was listed, and nobody was disconnected; list the participants again"
    );
    Problem { gone: Some(!live), ..Problem::new(Code::Changed, detail) }
}

impl Disconnector {
    /// A repeat soon after an accepted disconnect: one look, and nothing is sent.
    pub(super) async fn repeat(&self, request: &Request, context: &Arc<Context>) -> Result<Settled, Problem> {
        let (sight, last) = self.look(request, context).await?;
        match judge(Doubt::NothingSent, sight, self.inner.settings.unknown_conversation) {
            Verdict::Settled { outcome, verified } => Ok(last.settled(context, outcome, verified)),
            Verdict::ParticipantNotFound => Err(participant_not_found(None)),
            Verdict::ConversationNotFound => Err(conversation_not_found(None)),
            // The upstream took it a moment ago, and it takes effect shortly.
            Verdict::StillThere(_) | Verdict::Unseen => Ok(last.settled(context, Outcome::Accepted, false)),
        }
    }

    /// Observe mode and dry runs: real reads, no writes.
    pub(super) async fn observe(&self, request: &Request) -> Result<Settled, Problem> {
        let admission = self.admit(&request.origin)?;
        let context = &admission.context;
        if request.is_conditional()
            && let Some(settled) = self.guard(request, context).await?
        {
            return Ok(settled);
        }
        let (read, answer) = read(&self.inner.client, context, Rank::Mission, request.conversation).await?;
        let sight = match read {
            Read::Found(conversation) => Sight::of(&conversation, request.participant),
            Read::NotFound => Sight::UnknownConversation,
            Read::Hidden(problem) => return Err(problem),
        };
        let last = Last::of(&answer);
        match judge(Doubt::NothingSent, sight, self.inner.settings.unknown_conversation) {
            Verdict::Settled { outcome, verified } => Ok(last.settled(context, outcome, verified)),
            Verdict::ParticipantNotFound => Err(participant_not_found(None)),
            Verdict::ConversationNotFound => Err(conversation_not_found(None)),
            Verdict::StillThere(_) | Verdict::Unseen => Ok(last.settled(context, Outcome::WouldDisconnect, true)),
        }
    }

    async fn look(&self, request: &Request, context: &Arc<Context>) -> Result<(Sight, Last), Problem> {
        let (sight, answer) =
            look(&self.inner.client, context, Rank::Mission, request.conversation, request.participant).await?;
        Ok((sight, Last::of(&answer)))
    }

    /// For keys that are limited to some participants, and for `If-Match`: one read, before anything else. `Some` when that
    /// settles it.
    pub(super) async fn guard(&self, request: &Request, context: &Arc<Context>) -> Result<Option<Settled>, Problem> {
        let (read, answer) = read(&self.inner.client, context, Rank::Mission, request.conversation).await?;
        let conversation = match read {
            Read::Found(conversation) => Some(conversation),
            Read::NotFound => None,
            Read::Hidden(problem) => return Err(problem),
        };
        if let Some(participant) = conversation.as_ref().and_then(|c| c.participant(request.participant)) {
            let (purpose, queue) = (participant.purpose.as_deref(), participant.queue_id.as_deref());
            if request.origin.guards.as_ref().is_some_and(|guards| !guards.permits(purpose, queue)) {
                return Err(forbidden_participant());
            }
            if request.as_seen.as_ref().is_some_and(|seen| !seen.holds(participant)) {
                return Err(changed(participant));
            }
            return Ok(None);
        }
        let sight = match &conversation {
            Some(conversation) => Sight::of(conversation, request.participant),
            None => Sight::UnknownConversation,
        };
        match judge(Doubt::NothingSent, sight, self.inner.settings.unknown_conversation) {
            Verdict::Settled { outcome, verified } => Ok(Some(Last::of(&answer).settled(context, outcome, verified))),
            Verdict::ConversationNotFound => Err(conversation_not_found(None)),
            Verdict::ParticipantNotFound | Verdict::StillThere(_) | Verdict::Unseen => Err(participant_not_found(None)),
        }
    }
}
