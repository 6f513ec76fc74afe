//! Selection: disconnects everybody whom a selector means, at once and within one deadline.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::guard::all_as_seen;
use super::judge::{Observation, Verdict};
use super::last::conversation_not_found;
use super::look::{Read, read};
use super::seen::AsSeen;
use super::service::internal;
use super::{Disconnector, Origin, Request, forbidden_participant};
use crate::callers::Guards;
use crate::claims::{ClaimKey, Target};
use crate::conversation::Conversation;
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::outcome::Settled;
use crate::problem::{Problem, UpstreamDetail};
use crate::selector::Selector;

/// Disconnects of one selection under way at once. Where each is confirmed all are, so that no disconnect has to wait until
/// another one is over.
const AT_ONCE: usize = 8;

/// What a caller wants done to all who match.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Who asks.
    pub origin: Origin,
    /// The conversation.
    pub conversation: ConversationId,
    /// Whom.
    pub selector: Selector,
    /// `Idempotency-Key`, where the caller sends one.
    pub idempotency_key: Option<String>,
    /// Disconnect only if all of them are still as they were seen.
    pub as_seen: Option<AsSeen>,
    /// Read until each is gone, for at most this long.
    pub wait: Option<Duration>,
    /// Read only, and report what would have been done.
    pub dry_run: bool,
}

/// What became of a selection.
#[derive(Debug)]
pub struct Selected {
    /// No participant was disconnected: a dry run, or observe mode.
    pub observed: bool,
    /// Each target with its result.
    pub results: Vec<(Target, Result<Settled, Problem>)>,
}

impl Disconnector {
    /// Disconnects all whom the selector means, in a task of its own: a caller that leaves does not leave half of them in
    /// the conversation.
    ///
    /// # Errors
    /// Nobody was touched, because the selector could not be resolved.
    pub async fn select(&self, selection: Selection) -> Result<Selected, Problem> {
        let this = self.clone();
        let task = self.inner.tasks.spawn(async move { this.carry_out_selection(selection).await });
        task.await.unwrap_or_else(|_| Err(internal()))
    }

    async fn carry_out_selection(&self, selection: Selection) -> Result<Selected, Problem> {
        let Selection { origin, conversation, selector, idempotency_key, as_seen, wait, dry_run } = selection;
        let observed = dry_run || origin.observe || self.observing();
        // One deadline for the look and all disconnects: a caller waits no longer for many than for one.
        let origin = Origin { deadline: Some(self.deadline()), ..origin };
        let resolve = self.resolve(&origin, conversation, &selector, as_seen.as_ref());
        let (targets, just_seen) = if observed {
            // A caller that only observes must not settle whom a later, real request reaches.
            (Arc::new(resolve.await?), true)
        } else {
            let waits = (self.inner.settings.deadline, wait.unwrap_or_default());
            let (caller, body) = (&origin.requester.caller, selector.canonical());
            let key = ClaimKey::new(caller, "selector", conversation, &body, idempotency_key.as_deref(), waits);
            // A selector that matched no one disconnects no one, so its repeat may match anew.
            let resolve = async { Ok(Some(resolve.await?).filter(|matched| !matched.is_empty())) };
            // Whom a repeat of this request reaches is settled here and nowhere else.
            let claim = self.inner.claims.targets(&key, resolve).await?;
            (claim.targets, claim.first)
        };
        let as_seen = as_seen.filter(|_| !just_seen);
        let at_once = if self.confirm_wait(wait).is_some() { targets.len().max(1) } else { AT_ONCE };
        let disconnects = targets.iter().cloned().map(|target| {
            // With the caller's present guards: a target may have moved to another queue, or the set may be an older decision. What was
            // only looked at is only reported, though the mode may have been switched since: nothing was claimed.
            let request = Request {
                as_seen: as_seen.clone(),
                may_have_left: !just_seen,
                wait,
                dry_run: observed,
                ..Request::new(origin.for_one_of_several(), conversation, target.id)
            };
            async move { (target, self.disconnect(request).await) }
        });
        Ok(Selected { observed, results: stream::iter(disconnects).buffered(at_once).collect().await })
    }

    /// Reads the conversation and resolves the selector. Nobody is touched here.
    pub(super) async fn resolve(
        &self,
        origin: &Origin,
        conversation: ConversationId,
        selector: &Selector,
        as_seen: Option<&AsSeen>,
    ) -> Result<Vec<Target>, Problem> {
        let Some(conversation) = self.read_to_select(origin, conversation).await? else { return Ok(Vec::new()) };
        Self::permitted(origin, &conversation, selector, as_seen)
    }

    /// Whom the selector means in this conversation, if the caller may touch them all and all are as they were seen.
    pub(super) fn permitted(
        origin: &Origin,
        conversation: &Conversation,
        selector: &Selector,
        as_seen: Option<&AsSeen>,
    ) -> Result<Vec<Target>, Problem> {
        let matched = selector.resolve(conversation)?;
        let permitted =
            |guards: &Arc<Guards>| matched.iter().all(|p| guards.permits(p.purpose.as_deref(), p.queue_id.as_deref()));
        if !origin.guards.as_ref().is_none_or(permitted) {
            return Err(forbidden_participant());
        }
        let targets: Vec<_> = matched.into_iter().filter_map(Target::of).collect();
        all_as_seen(as_seen, targets.iter().filter_map(|target| conversation.participant(target.id)))?;
        Ok(targets)
    }

    /// The conversation, or `None` where it has ended and Genesys Cloud has forgotten it.
    pub(super) async fn read_to_select(
        &self,
        origin: &Origin,
        cid: ConversationId,
    ) -> Result<Option<Conversation>, Problem> {
        let admission = self.admit(origin)?;
        let (client, context) = (&self.inner.client, &admission.context);
        let (read, answer) = read(client, context, Rank::Disconnect, cid).await?;
        match read {
            Read::Found(conversation) => Ok(Some(conversation)),
            Read::NotFound => {
                let unknown = Observation::UnknownConversation;
                match self.inner.unknown.judge(unknown, client, context, cid).await {
                    Verdict::Settled { .. } => Ok(None),
                    _ => Err(conversation_not_found(Some(Box::new(UpstreamDetail::of(&answer))))),
                }
            }
            Read::Hidden(problem) | Read::Foreign(problem) => Err(problem),
        }
    }
}
