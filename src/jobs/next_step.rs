//! What comes after an attempt at an item: its result, another read, or another attempt.

use std::time::Duration;

use super::runner::Lease;
use super::target::Set;
use crate::problem::{Code, Effect, Problem};
use crate::store::{ItemResult, LeasedItem};

/// How long an item with transient failures is retried if the plan does not say.
const GIVE_UP_AFTER: Duration = Duration::from_secs(3600);

/// What comes after an attempt.
pub(super) enum NextStep {
    /// It has its result.
    Done(ItemResult),
    /// Its disconnect was accepted; read again until the participants are gone.
    Confirm(ItemResult),
    /// Try again. If some participants' disconnects were accepted, the set says which.
    Again(ItemResult, Option<Set>),
}

/// The item is read until its participants are gone, as after acceptance.
pub(super) fn read_again() -> NextStep {
    NextStep::Confirm(ItemResult { outcome: "accepted".to_owned(), ..ItemResult::default() })
}

/// A transient failure is retried until the time for that is over; any other is final.
pub(super) fn after_failure(lease: &Lease, item: &LeasedItem, problem: &Problem) -> NextStep {
    let result = ItemResult {
        outcome: "failed".to_owned(),
        code: Some(problem.code.name().to_owned()),
        detail: Some(problem.detail.clone()),
        attempts: problem.attempts.into(),
        correlation_id: problem.upstream.as_ref().and_then(|u| u.correlation_id.as_deref()).map(str::to_owned),
    };
    // The token was revoked, or a permission is being changed; the next token may work.
    let unauthorized = problem.upstream.as_ref().is_some_and(|upstream| upstream.status == 401);
    let transient = problem.code.retryable()
        || unauthorized
        || problem.effect == Effect::Unknown
        || matches!(problem.code, Code::UpstreamRejectedCredentials | Code::UpstreamInvalidResponse);
    let patience = lease.plan.give_up_after.unwrap_or(GIVE_UP_AFTER);
    if !transient || item.since_first >= patience {
        return NextStep::Done(result);
    }
    NextStep::Again(ItemResult { outcome: String::new(), code: None, ..result }, None)
}

pub(super) fn done(outcome: &str, detail: Option<String>) -> NextStep {
    NextStep::Done(ItemResult { outcome: outcome.to_owned(), detail, ..ItemResult::default() })
}
