//! Pace: one gate in front of the upstream's rate limit, for everybody, per token generation.
//!
//! The gate learns from the headers of every answer what remains of the window, holds calls back when nothing does,
//! and lets them through in order when it reopens: a burst is spread, not refused.

mod gate;
mod line;
mod state;
mod window;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use super::answer::Answer;
use super::error::CallError;
use super::request::Call;
pub use gate::{Gate, GateReading};

/// Lets each attempt wait for its turn.
#[derive(Debug, Clone)]
pub struct PaceLayer {
    gate: Arc<Gate>,
    /// Shared: every call clones the layers, and the token's own clone takes a lock.
    stopping: Arc<CancellationToken>,
}

impl PaceLayer {
    /// Calls wait at `gate`; those still waiting when `stopping` is cancelled are turned away.
    #[must_use]
    pub fn new(gate: Arc<Gate>, stopping: CancellationToken) -> Self {
        Self { gate, stopping: stopping.into() }
    }
}

impl<S> Layer<S> for PaceLayer {
    type Service = Pace<S>;
    fn layer(&self, inner: S) -> Pace<S> {
        Pace { inner, layer: self.clone() }
    }
}

/// See [`PaceLayer`].
#[derive(Debug, Clone)]
pub struct Pace<S> {
    inner: S,
    layer: PaceLayer,
}

impl<S> Service<Call> for Pace<S>
where
    S: Service<Call, Response = Answer, Error = CallError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let PaceLayer { gate, stopping } = self.layer.clone();
        Box::pin(async move {
            let pass = gate.enter(&call, &stopping).await?;
            let outcome = inner.call(call).await;
            match &outcome {
                Ok(answer) => pass.answered(answer),
                Err(CallError::Unauthorized { answer, .. }) => pass.answered(answer),
                // Never sent: the token ran out while the call waited.
                Err(CallError::TokenExpired | CallError::Connect(_)) => pass.unused(),
                Err(_) => drop(pass),
            }
            outcome
        })
    }
}
