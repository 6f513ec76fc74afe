//! One read that shows whether a conversation is over, and who is still in it: before a teardown, and after one.

use std::sync::Arc;

use super::guard::all_as_seen;
use super::judge::Observation;
use super::last::{Last, Open};
use super::look::{Read, read, refused};
use super::seen::AsSeen;
use super::{Disconnector, forbidden_participant};
use crate::callers::Guards;
use crate::claims::Target;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::outcome::Settled;
use crate::problem::Problem;

/// What a read says about the end of a conversation.
pub(super) enum EndRead {
    /// It is over, or the read says why it cannot be ended.
    Settled(Result<Settled, Problem>),
    /// It goes on, with these participants.
    GoesOn(Answer, Vec<Target>),
    /// The read was refused.
    Unread(Answer),
}

impl Disconnector {
    /// Reads whether the conversation is over. Where the caller's key has guards, they must permit everyone who is there; and all of
    /// them must be as the caller has seen them, where it says what it has seen.
    pub(super) async fn look_for_end(
        &self,
        id: ConversationId,
        guards: Option<&Arc<Guards>>,
        as_seen: Option<&AsSeen>,
        context: &Arc<Context>,
    ) -> Result<EndRead, Problem> {
        let client = &self.inner.client;
        let (read, answer) = read(client, context, Rank::Disconnect, id).await?;
        let mut present = Vec::new();
        let observation = match read {
            Read::Found(conversation) if conversation.ended() => Observation::Ended { verified: true },
            Read::Found(conversation) => {
                let permitted = guards.is_none_or(|guards| {
                    let mut live = conversation.participants.iter().filter(|p| p.is_live());
                    live.all(|p| guards.permits(p.purpose.as_deref(), p.queue_id.as_deref()))
                });
                if !permitted {
                    return Err(forbidden_participant());
                }
                all_as_seen(as_seen, conversation.participants.iter().filter(|p| p.is_live()))?;
                let live = conversation.participants.iter().filter(|p| p.is_live());
                present = live.filter_map(Target::of).collect();
                Observation::Live(Vec::new())
            }
            Read::NotFound => Observation::UnknownConversation,
            Read::Hidden(_) => Observation::Hidden,
            Read::Foreign(_) => Observation::Foreign,
        };
        let verdict = self.inner.unknown.judge(observation, client, context, id).await;
        Ok(match Last::of(&answer).result(verdict, context, None) {
            Ok(result) => EndRead::Settled(result),
            Err(Open::StillThere(_)) => EndRead::GoesOn(answer, present),
            Err(Open::Unread) => EndRead::Unread(answer),
        })
    }
}

/// The read was refused, and what it would have shown is needed.
pub(super) fn unreadable(read: &Answer) -> Problem {
    match refused(read) {
        Ok(Read::Hidden(problem) | Read::Foreign(problem)) | Err(problem) => problem,
        Ok(Read::Found(_) | Read::NotFound) => Problem::not_genesys(read, "read"),
    }
}
