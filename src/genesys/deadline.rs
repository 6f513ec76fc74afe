//! The outermost layer: whatever happens inside, a call ends at its deadline.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::timeout_at;
use tower::{Layer, Service};

use super::answer::Answer;
use super::error::CallError;
use super::request::Call;

/// Ends each call at its deadline, earlier when the effect of an attempt is unknown and time is kept back to look.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;
    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner }
    }
}

/// See [`DeadlineLayer`].
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
}

impl<S> Service<Call> for Deadline<S>
where
    S: Service<Call, Response = Answer, Error = CallError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let context = call.context.clone();
        let disconnects = call.operation.disconnects();
        let inner = self.inner.call(call);
        Box::pin(async move {
            let mut inner = std::pin::pin!(inner);
            if disconnects {
                if let Ok(outcome) = timeout_at(context.reserve_start(), &mut inner).await {
                    return outcome;
                }
                if context.effect_unknown() {
                    return Err(CallError::Timeout);
                }
            }
            timeout_at(context.deadline, inner).await.unwrap_or(Err(CallError::Timeout))
        })
    }
}
