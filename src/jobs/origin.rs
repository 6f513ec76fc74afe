//! The caller under whose name and rights an item runs, and the audit record of an item that ends before its disconnect
//! begins.

use std::sync::Arc;

use time::OffsetDateTime;

use super::Jobs;
use super::runner::Lease;
use super::target::read_selector;
use crate::callers::{Caller, Permission, Permissions};
use crate::config::Mode;
use crate::disconnect::Origin;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};
use crate::store::LeasedItem;

impl Jobs {
    /// The origin of this item's disconnects, before the caller's rights are checked.
    pub(super) fn unchecked_origin(&self, lease: &Lease, item: &LeasedItem) -> Origin {
        let (caller, actor) = (Arc::from(lease.job.caller.as_str()), lease.plan.actor.as_deref().map(Arc::from));
        Origin::of_job(&self.0.audit, &caller, actor, &lease.job.id, item.number)
    }

    /// The origin of this item's disconnects, with the caller's current guards, if its current permissions suffice.
    pub(super) fn checked_origin(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        unchecked: &Origin,
    ) -> Result<Origin, Problem> {
        let caller = self.caller_now(lease)?;
        let tears_down = match item.target.as_deref() {
            Some("all") => true,
            Some(selector) => read_selector(selector)?.needs_teardown(),
            None => false,
        };
        let mut needed = vec![if tears_down { Permission::Teardown } else { Permission::Disconnect }];
        if lease.job.total > 1 {
            needed.push(Permission::Bulk);
        }
        if let Some(missing) = needed.into_iter().find(|permission| !caller.may(*permission)) {
            let detail = format!("the caller \"{}\" no longer has the permission \"{missing}\"", caller.identity());
            return Err(Problem::new(Code::ForbiddenCaller, detail));
        }
        Ok(Origin {
            guards: caller.guards().cloned(),
            observe: caller.mode() == Some(Mode::Observe),
            deadline: Some(lease.until),
            ..unchecked.clone()
        })
    }

    fn caller_now(&self, lease: &Lease) -> Result<Caller, Problem> {
        let gone = |detail: &str| Problem::new(Code::ForbiddenCaller, detail.to_owned());
        if let Some(rights) = &lease.plan.token {
            let now = u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or(0);
            if rights.expires.is_some_and(|end| end <= now) {
                return Err(gone(
                    "the token with which the job was made has expired; make the job again with a new one",
                ));
            }
            let permissions = Permissions::from_words(&rights.permissions).unwrap_or_default();
            return Ok(Caller::of_stored_token(&lease.job.caller, permissions));
        }
        let found = self.0.callers.by_identity(&lease.job.caller);
        found.ok_or_else(|| {
            gone("the key with which the job was made was removed or has expired; make the job again with another")
        })
    }

    /// Writes the audit record of an item that ended before its disconnect began, because it was refused, skipped or
    /// over already. For all other items the disconnect writes it.
    pub(super) fn record_end(
        &self,
        lease: &Lease,
        item: &LeasedItem,
        origin: &Origin,
        outcome: &str,
        problem: Option<&Problem>,
    ) {
        if item.confirming || item.attempts > 0 {
            return;
        }
        origin.scope.answered(|record| {
            record.set_caller(Some(Arc::clone(&origin.requester.caller)));
            record.conversation_id = ConversationId::parse(&item.conversation);
            record.participant_id = item.participant.as_deref().and_then(ParticipantId::parse);
            record.reason = Some(self.0.disconnector.reason(lease.plan.reason.as_deref()).to_owned());
            record.dry_run = lease.plan.dry_run;
            match problem {
                Some(problem) => record.problem(problem),
                None => record.outcome = outcome.to_owned().into(),
            }
        });
    }
}
