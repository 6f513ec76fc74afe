//! Pace: one gate in front of the upstream's rate limit, for all callers, per token generation.
//!
//! The gate learns from the headers of every answer what remains of the window, holds calls back when nothing does,
//! and lets them through in order when it reopens: a burst is spread, not refused.

mod gate;
mod line;
mod state;
mod window;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::error::CallError;
use super::layer::{CallResult, Next, Step};
use super::request::Call;
pub use gate::{Gate, GateReading};

/// Lets each attempt wait for its turn, and stamps it with the token in whose window it is counted.
#[derive(Debug)]
pub struct Pace {
    gate: Arc<Gate>,
    stopping: CancellationToken,
}

impl Pace {
    /// Calls wait at `gate`; those still waiting when `stopping` is cancelled are turned away.
    #[must_use]
    pub fn new(gate: Arc<Gate>, stopping: CancellationToken) -> Self {
        Self { gate, stopping }
    }
}

impl Step for Pace {
    async fn run(&self, mut call: Call, mut next: impl Next) -> CallResult {
        let pass = self.gate.enter(&call, &self.stopping).await?;
        let Some(token) = pass.token() else {
            pass.unused();
            return Err(CallError::TokenExpired);
        };
        call.token = Some(token);
        let outcome = next.call(call).await;
        match &outcome {
            Ok(answer) => pass.answered(answer),
            Err(CallError::Unauthorized { answer, .. }) => pass.answered(answer),
            Err(CallError::TokenExpired | CallError::Connect(_)) => pass.unused(),
            Err(_) => drop(pass),
        }
        outcome
    }
}
