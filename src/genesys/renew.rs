//! Renew: waits for a usable token, and settles the 401s of a call.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::CallError;
use super::layer::{CallResult, Next, Step};
use super::request::Call;
use super::token::{AfterRefusal, RefusedCall, TokenCache};

/// Waits for a token before the call goes to the gate, and replays it once with a newer token when its own met a 401.
#[derive(Debug)]
pub struct Renew {
    tokens: TokenCache,
    stopping: CancellationToken,
}

impl Renew {
    /// Tokens come from this cache. Disconnects that still wait for one when `stopping` is cancelled are turned away.
    #[must_use]
    pub fn new(tokens: TokenCache, stopping: CancellationToken) -> Self {
        Self { tokens, stopping }
    }

    /// Waits for `token`, unless we stop and the call would disconnect.
    async fn unless_stopping<T>(
        &self,
        call: &Call,
        token: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        tokio::select! {
            biased;
            token = token => token,
            () = self.stopping.cancelled(), if call.operation.disconnects() => Err(CallError::ShuttingDown),
        }
    }
}

impl Step for Renew {
    async fn run(&self, call: Call, mut next: impl Next) -> CallResult {
        let mut first: Option<RefusedCall> = None;
        loop {
            // Only checks that there is one: the gate stamps the newest. Boxed, because usually there is.
            if self.tokens.current().is_none() {
                Box::pin(self.unless_stopping(&call, self.tokens.acquire(call.deadline()))).await?;
            }
            let (refused, answer) = match next.call(call.clone()).await {
                Err(CallError::TokenExpired) => continue,
                Err(CallError::Unauthorized { token, sent_at, answer }) => {
                    (RefusedCall { token, sent_at, refused_at: Instant::now() }, answer)
                }
                settled => return settled,
            };
            // Boxed, because it is rare.
            let settling = Box::pin(self.tokens.settle_401(&refused, first.as_ref(), call.deadline()));
            match self.unless_stopping(&call, settling).await? {
                AfterRefusal::Replay => first = Some(refused),
                // The token is good, so this is an answer like any other refusal.
                AfterRefusal::AboutTheResource => return Ok(*answer),
                AfterRefusal::Rejected { retry_after } => return Err(CallError::TokenRejected { answer, retry_after }),
            }
        }
    }
}
