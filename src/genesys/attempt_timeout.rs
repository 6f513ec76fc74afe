//! Attempt time-out: one attempt, its body included, takes no longer than allowed; and what an attempt may have done
//! unheard is noted here.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::context;
use super::error::CallError;
use super::layer::{Next, Outcome, Step};
use super::request::Call;

/// Cuts an attempt off after `limit`, or at its call's deadline if that comes first.
#[derive(Debug)]
pub struct AttemptTimeout {
    /// Longest time for one attempt.
    pub limit: Duration,
}

impl Step for AttemptTimeout {
    async fn run(&self, call: Call, mut next: impl Next) -> Outcome {
        let now = Instant::now();
        let disconnects = call.operation.disconnects();
        let end = if disconnects {
            call.context.attempt_end(now, self.limit)
        } else {
            call.context.deadline.min(now + self.limit)
        };
        if end <= now {
            // Nothing is sent any more, so nothing has had an effect.
            return Err(CallError::Timeout);
        }
        let mut unheard = Unheard(disconnects.then(|| Arc::clone(&call.context)));
        let outcome = timeout_at(end, next.call(call)).await.unwrap_or(Err(CallError::Timeout));
        if !may_have_had_its_effect(&outcome) {
            unheard.heard();
        }
        outcome
    }
}

/// A disconnect of which we may never hear: one that is cut off from outside counts as such, too.
struct Unheard(Option<Arc<context::Context>>);

impl Unheard {
    fn heard(&mut self) {
        self.0 = None;
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.count_unknown_attempt();
        }
    }
}

/// Time-out, lost connection, server error: the request may have been carried out all the same. 501 says that it was not.
fn may_have_had_its_effect(outcome: &Outcome) -> bool {
    match outcome {
        Ok(answer) => answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED,
        Err(error) => matches!(error, CallError::Timeout | CallError::ConnectionLost(_) | CallError::BrokenAnswer(_)),
    }
}
