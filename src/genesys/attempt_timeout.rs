//! Attempt time-out: one attempt, its body included, takes no longer than allowed; and what an attempt may have done
//! unseen is noted here.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::context;
use super::error::{CallError, Cause};
use super::layer::{CallResult, Next, Step};
use super::request::Call;

/// Cuts an attempt off after `limit`, or at its call's deadline if that comes first.
#[derive(Debug)]
pub struct AttemptTimeout {
    /// Longest time for one attempt.
    pub limit: Duration,
}

impl Step for AttemptTimeout {
    async fn run(&self, call: Call, mut next: impl Next) -> CallResult {
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
        let mut attempt = Attempt::of(&call.context, disconnects);
        let outcome = match timeout_at(end, next.call(call)).await {
            Ok(outcome) => outcome,
            // The exchange has been dropped by now, and has noted whether anything was sent.
            Err(_) if attempt.is_unsent() => Err(CallError::Connect(Cause::text("none in time"))),
            Err(_) => Err(CallError::Timeout),
        };
        attempt.settled |= !may_have_had_its_effect(&outcome);
        outcome
    }
}

/// An attempt of whose effect nothing is known until it is settled: one that is cut off from outside counts as such, too,
/// unless it was never sent.
struct Attempt {
    context: Arc<context::Context>,
    unsent_before: u32,
    settled: bool,
}

impl Attempt {
    /// Only a disconnect has an effect.
    fn of(context: &Arc<context::Context>, disconnects: bool) -> Self {
        Self { context: Arc::clone(context), unsent_before: context.unsent_attempts(), settled: !disconnects }
    }

    fn is_unsent(&self) -> bool {
        self.context.unsent_attempts() > self.unsent_before
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.settled && !self.is_unsent() {
            self.context.count_unknown_attempt();
        }
    }
}

/// Time-out, lost connection, server error, "try again": the request may have been carried out all the same. 501 says that it was
/// not, and a 429 that it was not let in.
fn may_have_had_its_effect(outcome: &CallResult) -> bool {
    match outcome {
        Ok(answer) => match answer.status {
            StatusCode::NOT_IMPLEMENTED | StatusCode::TOO_MANY_REQUESTS => false,
            status => status.is_server_error() || answer.says_try_again(),
        },
        Err(error) => matches!(error, CallError::Timeout | CallError::ConnectionLost(_) | CallError::BrokenAnswer(_)),
    }
}
