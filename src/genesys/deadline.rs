//! The outermost layer: whatever happens inside, a call ends at its deadline.

use tokio::time::timeout_at;

use super::context::Context;
use super::error::{CallError, Cause};
use super::layer::{CallResult, Next, Step};
use super::request::Call;

/// Ends each call at its deadline, earlier when the effect of an attempt is unknown and time is kept back to look.
#[derive(Debug)]
pub struct Deadline;

impl Step for Deadline {
    async fn run(&self, call: Call, mut next: impl Next) -> CallResult {
        let context = call.context.clone();
        if !call.operation.disconnects() {
            return timeout_at(context.deadline, next.call(call)).await.unwrap_or(Err(CallError::Timeout));
        }
        let unsent_before = context.unsent_attempts();
        let outcome = until_deadline(&context, next.call(call)).await;
        // Every attempt is over or dropped by now, and has noted whether anything was sent.
        let nothing_sent = context.unsent_attempts() > unsent_before && !context.effect_unknown();
        match outcome {
            // Also where the last pause ended so late that the gate said it.
            Err(CallError::Timeout) if nothing_sent => Err(CallError::Connect(Cause::text("none in time"))),
            outcome => outcome,
        }
    }
}

async fn until_deadline(context: &Context, calling: impl Future<Output = CallResult>) -> CallResult {
    let mut calling = std::pin::pin!(calling);
    if let Ok(outcome) = timeout_at(context.reserve_start(), &mut calling).await {
        return outcome;
    }
    if context.effect_unknown() {
        return Err(CallError::Timeout);
    }
    timeout_at(context.deadline, calling).await.unwrap_or(Err(CallError::Timeout))
}
