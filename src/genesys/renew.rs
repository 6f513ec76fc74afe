//! Renew: waits for a usable token, and replays a call once when its token met a 401.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};

use super::answer::Answer;
use super::error::CallError;
use super::request::Call;
use super::token::TokenCache;

/// Waits for a token before the call goes to the gate, and settles 401s.
#[derive(Debug, Clone)]
pub struct RenewLayer {
    tokens: TokenCache,
    /// Shared: every call clones the layers, and the token's own clone takes a lock.
    stopping: Arc<CancellationToken>,
}

impl RenewLayer {
    /// Tokens come from this cache. Disconnects that still wait for one when `stopping` is cancelled are turned away.
    #[must_use]
    pub fn new(tokens: TokenCache, stopping: CancellationToken) -> Self {
        Self { tokens, stopping: stopping.into() }
    }
}

impl<S> Layer<S> for RenewLayer {
    type Service = Renew<S>;
    fn layer(&self, inner: S) -> Renew<S> {
        Renew { inner, layer: self.clone() }
    }
}

/// See [`RenewLayer`].
#[derive(Debug, Clone)]
pub struct Renew<S> {
    inner: S,
    layer: RenewLayer,
}

impl<S> Service<Call> for Renew<S>
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
        let RenewLayer { tokens, stopping } = self.layer.clone();
        Box::pin(async move {
            let mut replayed = false;
            loop {
                // Only to know that there is one: the authorize layer takes the newest after the wait at the gate.
                tokio::select! {
                    biased;
                    token = tokens.acquire(call.deadline()) => drop(token?),
                    () = stopping.cancelled(), if call.operation.disconnects() => return Err(CallError::ShuttingDown),
                }
                match inner.call(call.clone()).await {
                    Err(CallError::TokenExpired) => {}
                    Err(CallError::Unauthorized { token, answer }) => match tokens.unauthorized(&token) {
                        Ok(()) if !replayed => replayed = true,
                        Ok(()) => {
                            return Err(CallError::TokenRejected { answer, retry_after: std::time::Duration::ZERO });
                        }
                        Err(retry_after) => return Err(CallError::TokenRejected { answer, retry_after }),
                    },
                    settled => return settled,
                }
            }
        })
    }
}
