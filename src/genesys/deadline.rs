//! The outermost layer: whatever happens inside, a call ends at its deadline.

use tokio::time::timeout_at;

use super::error::{CallError, Cause};
use super::layer::{CallResult, Next, Step};
use super::request::Call;

/// Ends each call at its deadline, earlier when the effect of an attempt is unknown and time is kept back to look.
#[derive(Debug)]
pub struct Deadline;

impl Step for Deadline {
    async fn run(&self, call: Call, mut next: impl Next) -> CallResult {
        let context = call.context.clone();
        let disconnects = call.operation.disconnects();
        let unsent_before = context.unsent_attempts();
        let in_time = {
            let mut inner = std::pin::pin!(next.call(call));
            if disconnects {
                if let Ok(outcome) = timeout_at(context.reserve_start(), &mut inner).await {
                    return outcome;
                }
                if context.effect_unknown() {
                    return Err(CallError::Timeout);
                }
            }
            timeout_at(context.deadline, inner).await
        };
        match in_time {
            Ok(outcome) => outcome,
            // An attempt can time out at the same moment. It has been dropped by now, and has noted whether anything was sent.
            Err(_) if disconnects && !context.effect_unknown() && context.unsent_attempts() > unsent_before => {
                Err(CallError::Connect(Cause::text("none in time")))
            }
            Err(_) => Err(CallError::Timeout),
        }
    }
}
