//! Why an upstream call has no answer that could be judged.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Answer;
use super::token::bearer::Token;
use super::token::failure::LoginFailure;

/// Why an upstream call failed. A refusal by the upstream is an [`Answer`], not an error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    /// The attempt, its body included, took longer than allowed. It may have had its effect.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// No connection could be made: refused, unknown host, TLS.
    #[error("no connection to the upstream: {0}")]
    Connect(Cause),
    /// The connection was closed or reset before the first byte of an answer. The request may have had its effect.
    #[error("the upstream closed the connection without an answer: {0}")]
    ConnectionLost(Cause),
    /// The answer was cut off, or broke the protocol.
    #[error("the upstream's answer was broken: {0}")]
    BrokenAnswer(Cause),
    /// The gate stays closed longer than the call may wait.
    #[error("the upstream's rate limit leaves no room before the deadline")]
    RateLimited {
        /// When there may be room.
        retry_after: Duration,
    },
    /// This caller has more than its share of calls waiting at the gate.
    #[error("the caller holds its share of the waiting calls already")]
    CallerShare {
        /// When there may be room.
        retry_after: Duration,
    },
    /// There is no usable token, and the login attempt that was awaited failed, or the next one is still to come.
    #[error("no usable token: {failure}")]
    NoToken {
        /// Why the last login failed.
        failure: LoginFailure,
        /// Time to the next login attempt.
        retry_after: Duration,
    },
    /// The login was awaited until the deadline.
    #[error("no token before the deadline: the login has not answered")]
    LoginPending,
    /// The API answers 401 although the login granted the token.
    #[error("the upstream rejects the token that its login granted")]
    TokenRejected {
        /// The last 401.
        answer: Box<Answer>,
        /// When another login is allowed.
        retry_after: Duration,
    },
    /// The API answered 401 to this token. Settled by the renew layer.
    #[error("the upstream answered 401")]
    Unauthorized {
        /// What it was asked with.
        token: Arc<Token>,
        /// When it was asked.
        sent_at: Instant,
        /// The 401.
        answer: Box<Answer>,
    },
    /// The token ran out while the call waited at the gate. Settled by the renew layer.
    #[error("the token expired before the call was sent")]
    TokenExpired,
    /// The service was switched to observe mode, and the call had not gone upstream.
    #[error("observe mode")]
    Observing,
    /// We are shutting down, and the call had not gone upstream.
    #[error("shutting down")]
    ShuttingDown,
}

/// A cause in words, without addresses' secrets: no URL, no header.
#[derive(Clone)]
pub struct Cause(Arc<str>);

impl Cause {
    /// Puts an error and its sources into one line.
    #[must_use]
    pub fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            let more = inner.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            source = inner.source();
        }
        Self(text.into())
    }

    /// A cause of our own.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}
