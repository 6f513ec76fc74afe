//! The outermost layer: whatever happens inside, a call ends at its deadline.

use tokio::time::timeout_at;

use super::error::CallError;
use super::layer::{Next, Outcome, Step};
use super::request::Call;

/// Ends each call at its deadline, earlier when the effect of an attempt is unknown and time is kept back to look.
#[derive(Debug)]
pub struct Deadline;

impl Step for Deadline {
    async fn run(&self, call: Call, mut next: impl Next) -> Outcome {
        let context = call.context.clone();
        let disconnects = call.operation.disconnects();
        let mut inner = std::pin::pin!(next.call(call));
        if disconnects {
            if let Ok(outcome) = timeout_at(context.reserve_start(), &mut inner).await {
                return outcome;
            }
            if context.effect_unknown() {
                return Err(CallError::Timeout);
            }
        }
        timeout_at(context.deadline, inner).await.unwrap_or(Err(CallError::Timeout))
    }
}
