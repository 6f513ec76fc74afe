//! Attempt time-out: one attempt, its body included, takes no longer than allowed; and what an attempt may have done
//! unheard is noted here.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use super::answer::Answer;
use super::context;
use super::error::CallError;
use super::request::Call;

/// Cuts an attempt off after a time, or at its call's deadline if that comes first.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTimeoutLayer {
    limit: Duration,
}

impl AttemptTimeoutLayer {
    /// At most `limit` for one attempt.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for AttemptTimeoutLayer {
    type Service = AttemptTimeout<S>;
    fn layer(&self, inner: S) -> AttemptTimeout<S> {
        AttemptTimeout { inner, limit: self.limit }
    }
}

/// See [`AttemptTimeoutLayer`].
#[derive(Debug, Clone)]
pub struct AttemptTimeout<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Call> for AttemptTimeout<S>
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
        let now = Instant::now();
        let disconnects = call.operation.disconnects();
        let end = if disconnects {
            call.context.attempt_end(now, self.limit)
        } else {
            call.context.deadline.min(now + self.limit)
        };
        if end <= now {
            // Nothing is sent any more, so nothing has had an effect.
            return Box::pin(std::future::ready(Err(CallError::Timeout)));
        }
        let mut unheard = Unheard(disconnects.then(|| Arc::clone(&call.context)));
        let inner = self.inner.call(call);
        Box::pin(async move {
            let outcome = timeout_at(end, inner).await.unwrap_or(Err(CallError::Timeout));
            if !may_have_had_its_effect(&outcome) {
                unheard.heard();
            }
            outcome
        })
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
fn may_have_had_its_effect(outcome: &Result<Answer, CallError>) -> bool {
    match outcome {
        Ok(answer) => answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED,
        Err(error) => matches!(error, CallError::Timeout | CallError::ConnectionLost(_) | CallError::BrokenAnswer(_)),
    }
}
