//! Authorize: stamps the newest token on an attempt. It never waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use tower::{Layer, Service};

use super::answer::Answer;
use super::error::CallError;
use super::request::Call;
use super::token::TokenCache;

/// Stamps the token that is newest when the attempt is sent, and notes what the API made of it.
#[derive(Debug, Clone)]
pub struct AuthorizeLayer {
    tokens: TokenCache,
}

impl AuthorizeLayer {
    /// Tokens come from this cache.
    #[must_use]
    pub fn new(tokens: TokenCache) -> Self {
        Self { tokens }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;
    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { inner, tokens: self.tokens.clone() }
    }
}

/// See [`AuthorizeLayer`].
#[derive(Debug, Clone)]
pub struct Authorize<S> {
    inner: S,
    tokens: TokenCache,
}

impl<S> Service<Call> for Authorize<S>
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

    fn call(&mut self, mut call: Call) -> Self::Future {
        let Some(token) = self.tokens.current() else {
            return Box::pin(std::future::ready(Err(CallError::TokenExpired)));
        };
        call.token = Some(Arc::clone(&token));
        let inner = self.inner.call(call);
        Box::pin(async move {
            let answer = inner.await?;
            if answer.status == StatusCode::UNAUTHORIZED {
                return Err(CallError::Unauthorized { token, answer: Box::new(answer) });
            }
            if proves_the_token(answer.status) {
                token.mark_accepted();
            }
            Ok(answer)
        })
    }
}

/// Whether only somebody who has accepted the token answers like this. A gateway refuses unknown paths and methods, throttles
/// and fails without having looked at it.
fn proves_the_token(status: StatusCode) -> bool {
    status.is_success() || status.is_client_error() && !matches!(status.as_u16(), 401 | 404 | 405 | 407 | 408 | 429)
}
