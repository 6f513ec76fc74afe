//! Authorize: notes what the API made of the token that an attempt was sent with. It never waits.

use http::StatusCode;
use tokio::time::Instant;

use super::answer::Answer;
use super::error::CallError;
use super::layer::{CallResult, Next, Step};
use super::request::Call;

/// Remembers when each token was last accepted, and turns a 401 into an error, which the renew layer settles.
#[derive(Debug)]
pub struct Authorize;

impl Step for Authorize {
    async fn run(&self, call: Call, mut next: impl Next) -> CallResult {
        // The gate has put it there.
        let Some(token) = call.token.clone() else { return Err(CallError::TokenExpired) };
        let sent_at = Instant::now();
        let answer = next.call(call).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            return Err(CallError::Unauthorized { token, sent_at, answer: Box::new(answer) });
        }
        if proves_the_token(&answer) {
            token.note_accepted(sent_at);
        }
        Ok(answer)
    }
}

/// Whether only an API that has accepted the token answers like this. A gateway refuses what it likes without having looked at
/// it, but its refusals are not Genesys Cloud's own; and unknown paths and throttling are answered before the token is checked.
fn proves_the_token(answer: &Answer) -> bool {
    let status = answer.status;
    let refusal = status.is_client_error() && !matches!(status.as_u16(), 404 | 405 | 407 | 408 | 429);
    status.is_success() || refusal && answer.correlation_id.is_some()
}
