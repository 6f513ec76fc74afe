//! One attempt at an item under its lease.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::Jobs;
use super::first_read::FirstRead;
use super::next_step::{NextStep, after_failure, done, read_again};
use super::runner::Lease;
use super::target::{ItemTarget, ended, gone, unreadable, what_is_left};
use crate::claims::Claim;
use crate::disconnect::{Glance, Origin, Request, Teardown};
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::outcome::{Outcome, Settled};
use crate::problem::Problem;
use crate::store::{ItemResult, JobState, LeasedItem, StoreError};

/// How long an accepted item is read before it counts as unconfirmed.
const CONFIRM_WITHIN: Duration = Duration::from_secs(60);
/// Time between acceptance and the first read. The time between reads then doubles, up to the longest pause.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Disconnects of one item under way at once.
const AT_ONCE: usize = 4;

impl Jobs {
    /// Works on one item and stores the result. If that fails, the lease expires and the item is tried again.
    pub(super) async fn work(&self, lease: &Lease, item: LeasedItem) {
        if let Err(error) = self.work_and_write(lease, &item).await {
            tracing::warn!(event = "item_not_written", job = lease.job.id, item = item.number, cause = %error, "an item's result could not be stored; it is looked at again");
        }
    }

    async fn work_and_write(&self, lease: &Lease, item: &LeasedItem) -> Result<(), StoreError> {
        let job = &lease.job;
        let origin = self.unchecked_origin(lease, item);
        let (next, problem) = match self.attempt(lease, item, &origin).await {
            Ok(next) => (next, None),
            Err(problem) => (after_failure(lease, item, &problem), Some(problem)),
        };
        match next {
            NextStep::Done(result) => {
                let failed = result.code.is_some();
                if self.store().finish_item(&job.id, item, &result).await? {
                    self.record_end(lease, item, &origin, &result.outcome, problem.as_ref());
                    self.0.metrics.items_ended(result.code.as_deref().unwrap_or(&result.outcome), 1);
                }
                if failed {
                    self.pause_if_hopeless(job).await?;
                }
            }
            NextStep::Confirm(result) => {
                let waited = item.since_accepted.unwrap_or_default();
                let pause = waited.clamp(FIRST_PAUSE, LONGEST_PAUSE);
                self.store().put_back(&job.id, item, true, pause, &result).await?;
            }
            NextStep::Again(result, set) => {
                let pause = (item.since_first / 2).clamp(FIRST_PAUSE * 2, LONGEST_PAUSE * 3);
                if let Some(set) = set {
                    self.store().keep_reached(&job.id, item, &set.to_json()).await?;
                }
                self.store().put_back(&job.id, item, false, pause, &result).await?;
            }
        }
        Ok(())
    }

    async fn attempt(&self, lease: &Lease, item: &LeasedItem, unchecked: &Origin) -> Result<NextStep, Problem> {
        let origin = match self.checked_origin(lease, item, unchecked) {
            // The disconnect was accepted, but the key may no longer read whether it took effect.
            Err(problem) if item.confirming => return Ok(done("unconfirmed", Some(problem.detail))),
            other => other?,
        };
        let cid = ConversationId::parse(&item.conversation).ok_or_else(unreadable)?;
        if item.confirming {
            let target = self.target(lease, item, &origin, cid, None).await?;
            return self.confirm(lease, item, &origin, cid, &target).await;
        }
        let reads_first = item.tried || !lease.plan.skip_if.is_empty() || lease.job.state != JobState::Running;
        let mut seen = None;
        if reads_first {
            match self.read_first(lease, item, &origin, cid).await? {
                FirstRead::Settled(next) => return Ok(next),
                FirstRead::Seen(conversation) => seen = Some(conversation),
                FirstRead::Nothing => {}
            }
        }
        let mut target = self.target(lease, item, &origin, cid, seen.as_ref()).await?;
        if let Some(seen) = &seen {
            target.spare_others(seen);
        }
        self.disconnect(lease, item, &origin, cid, target).await
    }

    async fn disconnect(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        origin: &Origin,
        cid: ConversationId,
        target: ItemTarget,
    ) -> Result<NextStep, Problem> {
        let plan = &lease.plan;
        let ItemTarget { mut set, tears_down, is_fresh } = target;
        let open = set.open();
        if set.members.is_empty() && !tears_down {
            return Ok(done("none_matched", None));
        }
        let results: Vec<Result<Settled, Problem>> = if tears_down {
            let teardown = Teardown {
                origin: origin.clone(),
                conversation: cid,
                idempotency_key: None,
                as_seen: plan.as_seen.clone(),
                wait: None,
                dry_run: plan.dry_run,
                among: Some(Claim::stored_elsewhere(&set.members, is_fresh && !set.members.is_empty())),
            };
            vec![self.0.disconnector.tear_down(teardown).await]
        } else {
            // `as_seen` was checked for all of them together when the selector was resolved, so that all or none are
            // disconnected.
            let as_seen = plan.as_seen.as_ref().filter(|_| !is_fresh);
            let requests = open.clone().into_iter().map(|id| Request {
                reason: plan.reason.clone(),
                cause: plan.cause.clone(),
                as_seen: as_seen.cloned(),
                media: plan.media,
                wrapup: plan.wrapup.clone(),
                wrapup_skipped: plan.wrapup_skipped,
                dry_run: plan.dry_run,
                ..Request::new(origin.for_one_of_several(), cid, id)
            });
            let disconnects = requests.map(|request| self.0.disconnector.disconnect(request));
            stream::iter(disconnects).buffered(AT_ONCE).collect().await
        };
        let attempts =
            results.iter().map(|result| result.as_ref().map_or_else(|p| p.attempts, |s| s.attempts)).sum::<u32>();
        let (mut settled, mut failure) = (Vec::new(), None);
        for (result, id) in results.into_iter().zip(open.iter().map(Some).chain(std::iter::repeat(None))) {
            match result {
                Ok(result) => {
                    settled.push(result);
                    set.accepted.extend(id.filter(|_| !tears_down));
                }
                // The first failure is the item's result.
                Err(problem) => failure = failure.or(Some(Problem { attempts, ..problem })),
            }
        }
        if let Some(problem) = failure {
            return Ok(match after_failure(lease, item, &problem) {
                NextStep::Again(result, _) if !settled.is_empty() => NextStep::Again(result, Some(set)),
                next => next,
            });
        }
        // Participants whose disconnect an earlier attempt sent must still be read until they are gone.
        let earlier = set.members.len() > open.len() && !tears_down;
        let observed = !earlier
            && settled.iter().all(|s| s.outcome == Outcome::WouldDisconnect || (s.verified && s.gone == Some(true)));
        // The least certain result is the item's.
        let least_certain =
            settled.iter().find(|s| s.outcome == Outcome::WouldDisconnect || !s.verified).or(settled.first());
        let result = ItemResult {
            outcome: least_certain.map_or(Outcome::Accepted.name(), |s| s.outcome.name()).to_owned(),
            attempts: attempts.into(),
            correlation_id: least_certain.and_then(|s| s.correlation_id.as_deref()).map(str::to_owned),
            ..ItemResult::default()
        };
        Ok(if observed { NextStep::Done(result) } else { NextStep::Confirm(result) })
    }

    /// Reads the conversation of an accepted item: the participants are gone, or it must be read again.
    async fn confirm(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        origin: &Origin,
        cid: ConversationId,
        target: &ItemTarget,
    ) -> Result<NextStep, Problem> {
        let glance = self.0.disconnector.glance(origin, Rank::Lookup, cid).await;
        let outcome = match &glance {
            Ok(Glance::Found(conversation)) => gone(conversation, target, lease.plan.media, true),
            Ok(Glance::Ended) => Some(ended(true)),
            _ => None,
        };
        if let Some(outcome) = outcome {
            let left = match &glance {
                Ok(Glance::Found(conversation)) => what_is_left(item, conversation),
                _ => None,
            };
            return Ok(done(outcome, left));
        }
        if item.since_accepted.unwrap_or_default() < CONFIRM_WITHIN {
            return Ok(read_again());
        }
        let sent = if lease.job.state == JobState::Cancelled {
            "the job was cancelled when a disconnect may have been sent"
        } else {
            "Genesys Cloud accepted the disconnect"
        };
        let seen = match glance {
            Ok(Glance::Found(_) | Glance::Ended) => "the participant is still there after a minute",
            Ok(Glance::Unknown { .. }) => "Genesys Cloud no longer knows the conversation",
            Ok(Glance::Unreadable(_)) | Err(_) => "the conversation cannot be read",
        };
        Ok(done("unconfirmed", Some(format!("{sent}, and {seen}"))))
    }
}
