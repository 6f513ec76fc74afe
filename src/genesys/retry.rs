//! Retry: which outcomes of an attempt are worth another one, and after which pause. `tower::retry` does the repeating.

mod backoff;
pub(crate) mod retry_after;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::retry::Policy;
use tower::retry::budget::{Budget as _, TpsBudget};

use super::answer::Answer;
use super::error::CallError;
use super::metrics::UpstreamMetrics;
use super::request::{Call, Operation};
use crate::config;

/// Immediate repetitions of one call whose connection was lost before an answer: a connection kept open is often closed
/// by the other side in the very moment in which it is used again.
const RECONNECTS: u32 = 2;
/// Time for which a deposit into the budget counts. With a floor of 1 a second it makes the initial stock 10.
const BUDGET_MEMORY: Duration = Duration::from_secs(10);

/// What makes an outcome worth another attempt; also the `reason` label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    RateLimited,
    ServerError,
    Timeout,
    Connect,
    ConnectionLost,
    BrokenAnswer,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::ConnectionLost => "connection_lost",
            Self::BrokenAnswer => "broken_answer",
        }
    }
}

/// Classifies an outcome; `None` when it is final.
pub(crate) fn classify(call: &Call, outcome: &Result<Answer, CallError>) -> Option<Reason> {
    match outcome {
        Ok(answer) => match answer.status.as_u16() {
            429 => Some(Reason::RateLimited),
            // To a details query it means "too many hits", of which a repetition would make none fewer: the interval is split.
            502 if call.operation == Operation::AnalyticsQuery => None,
            500 | 502 | 503 | 504 => Some(Reason::ServerError),
            408 => Some(Reason::Timeout),
            400..=499 if answer.says_try_again() => Some(Reason::ServerError),
            // A conversation that arrived in part is worth another read; a status alone settles a disconnect.
            200..=299 if !call.operation.disconnects() && answer.body.end == super::answer::BodyEnd::Broken => {
                Some(Reason::BrokenAnswer)
            }
            _ => None,
        },
        Err(CallError::Timeout) => Some(Reason::Timeout),
        Err(CallError::Connect(_)) => Some(Reason::Connect),
        Err(CallError::ConnectionLost(_)) => Some(Reason::ConnectionLost),
        Err(CallError::BrokenAnswer(_)) => Some(Reason::BrokenAnswer),
        // Our own refusals, and everything that the renew layer has settled.
        Err(_) => None,
    }
}

/// The policy of one call. `tower` clones it per call, so the counts are the call's own; the budget is shared by all.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    shared: Arc<RetryInner>,
    attempts: u32,
    reconnects: u32,
}

#[derive(Debug)]
struct RetryInner {
    settings: config::Retry,
    budget: Arc<TpsBudget>,
    stopping: CancellationToken,
    metrics: Arc<UpstreamMetrics>,
}

impl RetryPolicy {
    /// Retries within a budget; pauses end when `stopping` is cancelled.
    #[must_use]
    pub fn new(
        settings: config::Retry,
        budget: Arc<TpsBudget>,
        stopping: CancellationToken,
        metrics: Arc<UpstreamMetrics>,
    ) -> Self {
        Self { shared: Arc::new(RetryInner { settings, budget, stopping, metrics }), attempts: 1, reconnects: 0 }
    }

    /// The budget that all calls share: `budget_ratio` retries per disconnect, and `budget_floor` a second.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a ratio between 0 and 1")]
    pub fn budget(settings: &config::Retry) -> Arc<TpsBudget> {
        Arc::new(TpsBudget::new(BUDGET_MEMORY, settings.budget_floor, settings.budget_ratio as f32))
    }

    /// The pause before the next attempt, or `None` when there is to be none.
    fn pause(&mut self, call: &Call, outcome: &Result<Answer, CallError>) -> Option<Duration> {
        let reason = classify(call, outcome)?;
        if call.once {
            return None;
        }
        if reason == Reason::ConnectionLost && self.reconnects < RECONNECTS {
            self.reconnects += 1;
            self.shared.metrics.retry("reconnect");
            return Some(Duration::ZERO);
        }
        if self.attempts >= self.shared.settings.max_attempts {
            return None;
        }
        let answer = outcome.as_ref().ok();
        // The gate knows when there is room again and who goes first; here only whether waiting makes sense.
        let gated = reason == Reason::RateLimited && !answer.is_some_and(Answer::throttles_itself_only);
        let (pause, needed) = match (reason, answer.and_then(|a| a.retry_after)) {
            (Reason::RateLimited, _) if gated => {
                (Duration::ZERO, answer.and_then(Answer::throttle_pause).unwrap_or_default())
            }
            (_, Some(asked)) => {
                let pause = backoff::beyond(asked, self.attempts, &self.shared.settings);
                (pause, pause)
            }
            (_, None) => {
                let pause = backoff::full_jitter(self.attempts, &self.shared.settings);
                (pause, pause)
            }
        };
        if Instant::now() + needed >= call.deadline() {
            return None;
        }
        // Withdrawn before the pause. What the gate holds back needs no budget: the gate is stricter.
        if !gated && !self.shared.budget.withdraw() {
            self.shared.metrics.retry_budget_exhausted();
            return None;
        }
        self.attempts += 1;
        self.shared.metrics.retry(reason.name());
        Some(pause)
    }
}

impl Policy<Call, Answer, CallError> for RetryPolicy {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(&mut self, call: &mut Call, outcome: &mut Result<Answer, CallError>) -> Option<Self::Future> {
        let pause = self.pause(call, outcome)?;
        // Where one idle connection was dead or silent, the next one often is, too.
        call.fresh_connection = matches!(outcome, Err(CallError::ConnectionLost(_) | CallError::Timeout));
        let until = Instant::now() + pause;
        let stopping = self.shared.stopping.clone();
        Some(Box::pin(async move {
            if !pause.is_zero() {
                // When we stop, the next attempt meets a gate that turns it away.
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = stopping.cancelled() => {}
                }
            }
        }))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        // Always: `retry` is not called for a request that was not cloned.
        Some(call.clone())
    }
}
