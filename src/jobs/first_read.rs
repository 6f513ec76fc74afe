//! The read before an attempt at an item.

use time::OffsetDateTime;

use super::Jobs;
use super::next_step::{NextStep, done, read_again};
use super::runner::Lease;
use super::target::{ItemTarget, ended, gone, what_is_left};
use crate::conversation::Conversation;
use crate::disconnect::{Glance, Origin, conversation_not_found};
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::problem::Problem;
use crate::store::{ItemResult, JobState, LeasedItem};

/// Its result.
pub(super) enum FirstRead {
    /// No disconnect is needed, or there is a reason not to send it.
    Settled(NextStep),
    /// The conversation as it is now.
    Seen(Conversation),
    /// The conversation is unknown, or cannot be read; the disconnect finds out what that means.
    Nothing,
}

impl Jobs {
    /// Reads before an attempt, to see whether a disconnect is still needed, and whether there is a reason not to send
    /// it.
    pub(super) async fn read_first(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        origin: &Origin,
        cid: ConversationId,
    ) -> Result<FirstRead, Problem> {
        let settled = |next| Ok(FirstRead::Settled(next));
        let glance = self.0.disconnector.glance(origin, Rank::Lookup, cid).await?;
        let (seen, stopped) = match (glance, stopped(lease)) {
            (Glance::Found(conversation), stopped) => (conversation, stopped),
            (Glance::Ended, _) => return settled(done(ended(item.attempts > 0), None)),
            (Glance::Unknown { .. } | Glance::Unreadable(_), Some(next)) => return settled(next),
            // The disconnect finds out what these mean. But if `skipIf` cannot be checked, none is sent.
            (Glance::Unknown { .. }, None) if lease.plan.skip_if.is_empty() => return Ok(FirstRead::Nothing),
            (Glance::Unknown { over: true }, None) => return settled(done(ended(item.attempts > 0), None)),
            (Glance::Unknown { over: false }, None) => return Err(conversation_not_found(None)),
            (Glance::Unreadable(problem), None) if lease.plan.skip_if.is_empty() => {
                tracing::debug!(cause = problem.detail, "an item's conversation cannot be read first");
                return Ok(FirstRead::Nothing);
            }
            (Glance::Unreadable(problem), None) => return Err(problem),
        };
        if let Some(target) = &ItemTarget::resolved(item)?
            && let Some(outcome) = gone(&seen, target, lease.plan.media, item.attempts > 0)
        {
            return settled(done(outcome, what_is_left(item, &seen)));
        }
        if let Some(next) = stopped {
            return settled(next);
        }
        if let Some(reason) = lease.plan.skip_if.reason(&seen, OffsetDateTime::now_utc()) {
            return settled(done("skipped", Some(reason)));
        }
        Ok(FirstRead::Seen(seen))
    }
}

/// What happens to an item under way of a job that was cancelled or paused: no disconnect is sent for it.
fn stopped(lease: &Lease) -> Option<NextStep> {
    match lease.job.state {
        JobState::Cancelled if lease.plan.dry_run => Some(done("cancelled", None)),
        // A disconnect may have been sent, and may still take effect.
        JobState::Cancelled => Some(read_again()),
        JobState::Paused => Some(NextStep::Again(ItemResult::default(), None)),
        _ => None,
    }
}
