//! The adapter between `tower` and the layers of the stack: a layer is a value with one `async fn`.
//!
//! ```ignore
//! impl Step for Deadline {
//!     async fn run(&self, call: Call, mut next: impl Next) -> CallResult {
//!         let end = call.context.deadline;
//!         timeout_at(end, next.call(call)).await.unwrap_or(Err(CallError::Timeout))
//!     }
//! }
//! let stack = ServiceBuilder::new().layer(StepLayer::new(Deadline)).service(transport);
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::answer::Answer;
use super::error::CallError;
use super::request::Call;

/// How an upstream call ended.
pub type CallResult = Result<Answer, CallError>;

/// The rest of the stack, as a layer sees it. Always ready: what must wait does so inside its call.
pub trait Next:
    Service<Call, Response = Answer, Error = CallError, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Next for S where
    S: Service<Call, Response = Answer, Error = CallError, Future: Send> + Clone + Send + Sync + 'static
{
}

/// What one layer does with a call.
pub trait Step: Send + Sync + 'static {
    /// Runs the call through this layer and, if it gets that far, through the `next` ones.
    fn run(&self, call: Call, next: impl Next) -> impl Future<Output = CallResult> + Send;
}

/// Makes a [`Step`] a `tower` layer.
#[derive(Debug)]
pub struct StepLayer<T>(Arc<T>);

impl<T: Step> StepLayer<T> {
    /// Wraps the step.
    #[must_use]
    pub fn new(step: T) -> Self {
        Self(Arc::new(step))
    }
}

impl<T, S> Layer<S> for StepLayer<T> {
    type Service = StepService<T, S>;
    fn layer(&self, next: S) -> Self::Service {
        StepService(Arc::new((Arc::clone(&self.0), next)))
    }
}

/// A [`Step`] and what comes after it, in one piece: each call clones the whole stack.
#[derive(Debug)]
pub struct StepService<T, S>(Arc<(Arc<T>, S)>);

impl<T, S> Clone for StepService<T, S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Step, S: Next> Service<Call> for StepService<T, S> {
    type Response = Answer;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = CallResult> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let (step, next) = &*shared;
            step.run(call, next.clone()).await
        })
    }
}
