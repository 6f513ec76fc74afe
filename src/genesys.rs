//! The Genesys Cloud client: one tower stack per upstream call, and the token that goes with it.
//!
//! `build_stack` is the page to read: it shows what happens to every upstream call, from top to bottom.

pub mod answer;
pub mod attempt_timeout;
pub mod authorize;
pub mod context;
pub mod deadline;
mod echo;
pub mod error;
pub mod exchange;
pub mod layer;
pub mod metrics;
pub mod pace;
mod rank;
pub mod renew;
pub mod request;
pub mod requester;
pub mod retry;
pub mod token;
pub mod trace;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::retry::RetryLayer;
use tower::retry::budget::{Budget as _, TpsBudget};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::config::Config;
use answer::Answer;
use attempt_timeout::AttemptTimeout;
use authorize::Authorize;
use deadline::Deadline;
use error::CallError;
use exchange::Exchange;
use layer::StepLayer;
use metrics::UpstreamMetrics;
use pace::Pace;
pub use pace::{Gate, GateReading};
use renew::Renew;
use request::Call;
use retry::RetryPolicy;
use token::TokenCache;
use trace::Trace;
use transport::Transport;

/// The whole stack, boxed once at its outer edge.
type Stack = BoxCloneSyncService<Call, Answer, CallError>;

/// What the layers share.
struct Parts {
    tokens: TokenCache,
    gate: Arc<Gate>,
    budget: Arc<TpsBudget>,
    metrics: Arc<UpstreamMetrics>,
    stopping: CancellationToken,
}

/// Composes what happens to every upstream call, outermost first.
fn build_stack(config: &Config, parts: &Parts, transport: Transport) -> Stack {
    let policy = RetryPolicy::new(
        config.retry.clone(),
        Arc::clone(&parts.budget),
        parts.stopping.clone(),
        Arc::clone(&parts.metrics),
    );
    let stack = ServiceBuilder::new()
        // Whatever happens below, the call ends at its absolute deadline.
        .layer(StepLayer::new(Deadline))
        // Repeats transient failures. Outside the token and the gate, so that each attempt passes both.
        .layer(RetryLayer::new(policy))
        // Waits for a token, and replays once after a 401: not a retry, it costs no attempt and no budget.
        .layer(StepLayer::new(Renew::new(parts.tokens.clone(), parts.stopping.clone())))
        // Waits for room in the rate limit, then stamps the token in whose window the attempt counts. Inside retry and renew,
        // so that replays are counted as well.
        .layer(StepLayer::new(Pace::new(Arc::clone(&parts.gate), parts.stopping.clone())))
        // Notes what the API made of the token. Never waits itself.
        .layer(StepLayer::new(Authorize))
        // Bounds one attempt, its body included, and no waiting.
        .layer(StepLayer::new(AttemptTimeout { limit: config.disconnect.attempt_timeout }))
        // Counts and logs what is really sent.
        .layer(StepLayer::new(Trace::new(Arc::clone(&parts.metrics))))
        .service(transport);
    BoxCloneSyncService::new(stack)
}

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    stack: Stack,
    tokens: TokenCache,
    gate: Arc<Gate>,
    budget: Arc<TpsBudget>,
}

impl Client {
    /// Builds the client over `exchange` and starts its two background tasks, the token's writer and the gate's driver,
    /// in `tasks`. They end when `tasks_stop` is cancelled; waiting calls are turned away when `stopping` is.
    ///
    /// The first login is started here and not awaited.
    ///
    /// # Errors
    /// An upstream URL that is not valid; the text names its key.
    pub fn start(
        config: &Config,
        exchange: Exchange,
        metrics: &Arc<UpstreamMetrics>,
        tasks: &TaskTracker,
        tasks_stop: &CancellationToken,
        stopping: &CancellationToken,
    ) -> Result<Self, String> {
        let (api_url, login_url) = config.genesys.urls()?;
        let transport = Transport::new(&api_url, exchange.clone()).map_err(|e| format!("genesys.api_url: {e}"))?;
        Transport::new(&login_url, exchange.clone()).map_err(|e| format!("genesys.login_url: {e}"))?;
        let tokens = TokenCache::new(config.token.unaccepted_interval);
        let login = token::login::Login::new(&config.genesys, &login_url, exchange);
        let writer = token::writer::Writer::new(tokens.clone(), login, config.token.clone(), Arc::clone(metrics));
        tasks.spawn(writer.run(tasks_stop.clone()));
        let gate = Arc::new(Gate::new(config.pace.clone(), config.limits.max_in_flight, tokens.clone()));
        tasks.spawn(Arc::clone(&gate).drive(tasks_stop.clone()));
        let budget = RetryPolicy::budget(&config.retry);
        let parts = Parts {
            tokens: tokens.clone(),
            gate: Arc::clone(&gate),
            budget: Arc::clone(&budget),
            metrics: Arc::clone(metrics),
            stopping: stopping.clone(),
        };
        let stack = build_stack(config, &parts, transport);
        Ok(Self { stack, tokens, gate, budget })
    }

    /// Sends one call through the stack.
    ///
    /// # Errors
    /// When there is no answer to judge.
    pub fn call(&self, call: Call) -> impl Future<Output = Result<Answer, CallError>> + use<> {
        self.stack.clone().oneshot(call)
    }

    /// Pays one disconnect into the retry budget.
    pub fn deposit(&self) {
        self.budget.deposit();
    }

    /// Gate and token as they are now.
    #[must_use]
    pub fn reading(&self) -> UpstreamReading {
        UpstreamReading {
            gate: self.gate.reading(),
            token_ages: self.tokens.ages(),
            token_usable: self.tokens.current().is_some(),
        }
    }

    /// The token cache.
    #[must_use]
    pub fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// The gate, for metrics and for deciding whether there is room to look.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }
}

/// The state of gate and token at one moment.
#[derive(Debug, Clone)]
pub struct UpstreamReading {
    /// Of the gate.
    pub gate: GateReading,
    /// Age of the newest token, and time until it expires.
    pub token_ages: Option<(Duration, Duration)>,
    /// Whether there is a token to send.
    pub token_usable: bool,
}

/// Rounds up to whole seconds, at least 1: the form of `Retry-After`.
#[must_use]
pub fn whole_seconds(pause: Duration) -> u64 {
    (pause.as_secs() + u64::from(pause.subsec_nanos() > 0)).max(1)
}
