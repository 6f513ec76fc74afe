//! The use case: disconnect one participant, and tell the truth about it. Free of HTTP types.
//!
//! [`Disconnector::disconnect`] is the way of every disconnect: join repeats, take a permit and a deadline, send, judge, look
//! when in doubt.

mod abandoned;
mod admission;
mod confirm;
mod confirmer;
mod doubt;
mod end_read;
mod for_jobs;
mod glance;
mod guard;
mod joined;
pub mod judge;
mod last;
pub(crate) mod look;
mod operation;
mod possible;
mod presence;
mod refusals;
mod reply;
mod request;
mod run;
pub mod seen;
mod selection;
mod service;
mod several;
mod share;
mod singleflight;
mod teardown;
mod unknown;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claims::Claims;
use crate::config::{self, Mode};
use crate::genesys::Client;
use crate::genesys::request::Operation;
use crate::ids::ConversationId;
use crate::metrics::Metrics;
use crate::outcome::Settled;
use crate::problem::{Code, Problem};
use crate::shutdown::Shutdown;
use confirmer::Confirmer;
use operation::Operations;
use request::{JoinKey, SharedResult};
use share::Shares;
use singleflight::Singleflight;
use unknown::UnknownConversations;

pub use crate::outcome;
pub(crate) use admission::Admission;
pub(crate) use glance::Glance;
pub(crate) use guard::all_as_seen;
pub(crate) use last::conversation_not_found;
pub use request::{Origin, Request, Wrapup};
pub use selection::{Selected, Selection};
pub(crate) use service::internal;
pub(crate) use several::as_one;
pub use teardown::Teardown;
pub use unknown::Witness;
pub use watch::Watch;

/// A key's guard keeps its caller from this participant.
pub(crate) fn forbidden_participant() -> Problem {
    let detail =
        "the key is limited to other purposes or queues than this participant's; ask the operator who manages the keys";
    Problem::new(Code::ForbiddenParticipant, detail)
}

/// How long after acceptance a repeat reads before it sends.
const REPEAT_MEMORY: Duration = Duration::from_secs(10);
/// How long after acceptance a repeated teardown sends nothing.
const TEARDOWN_MEMORY: Duration = Duration::from_secs(60);

/// Teardowns by caller, conversation, `Idempotency-Key` and `If-Match`.
type Teardowns =
    Singleflight<(Arc<str>, ConversationId, Option<Arc<str>>, Option<seen::AsSeen>), Result<Settled, Problem>>;

/// The use case. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Disconnector {
    inner: Arc<DisconnectorInner>,
}

#[derive(Debug)]
struct DisconnectorInner {
    client: Client,
    settings: config::Disconnect,
    metrics: Arc<Metrics>,
    permits: Arc<Semaphore>,
    in_flight_limit: usize,
    shares: Shares,
    operations: Operations,
    unknown: UnknownConversations,
    singleflight: Singleflight<JoinKey, SharedResult>,
    teardowns: Teardowns,
    claims: Claims,
    confirmer: Confirmer,
    observing: AtomicBool,
    /// Work that outlives its caller.
    tasks: TaskTracker,
    /// Cancelled when work under way must be given up.
    kill: CancellationToken,
}

impl Disconnector {
    /// Disconnects through `client`; `claims` decide whom selectors and teardowns may reach. Work goes on in `tasks` when a
    /// caller leaves, until `shutdown` gives it up; reads that only confirm end as soon as it begins to stop.
    #[must_use]
    pub fn new(
        config: &config::Config,
        client: Client,
        claims: Claims,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        shutdown: &Shutdown,
    ) -> Self {
        let observing = config.disconnect.mode == Mode::Observe;
        metrics.set_observing(observing);
        client.gate().set_observing(observing);
        Self {
            inner: Arc::new(DisconnectorInner {
                client,
                settings: config.disconnect.clone(),
                metrics,
                permits: Arc::new(Semaphore::new(config.limits.max_in_flight.min(Semaphore::MAX_PERMITS))),
                in_flight_limit: config.limits.max_in_flight,
                shares: Shares::new(config.auth.has_credentials().then(|| config.limits.max_in_flight.div_ceil(2))),
                operations: Operations::new(config.genesys.operation),
                unknown: UnknownConversations::new(config.disconnect.unknown_conversation),
                singleflight: Singleflight::with_memory(REPEAT_MEMORY),
                teardowns: Singleflight::with_memory(TEARDOWN_MEMORY),
                claims,
                confirmer: Confirmer::new(shutdown.stopping.clone()),
                observing: AtomicBool::new(observing),
                tasks,
                kill: shutdown.kill.clone(),
            }),
        }
    }

    /// Asks this witness about conversations that Genesys Cloud does not know. The first one stays.
    pub fn set_witness(&self, witness: Arc<dyn Witness>) {
        self.inner.unknown.set_witness(witness);
    }

    /// The upstream client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// The deadline of a request that is accepted now.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.inner.settings.deadline
    }

    /// The reason that was given, or the default one.
    #[must_use]
    pub fn reason<'a>(&'a self, given: Option<&'a str>) -> &'a str {
        given.unwrap_or(&self.inner.settings.default_reason)
    }

    /// The operation by which this org disconnects, once it is known.
    #[must_use]
    pub fn operation_found(&self) -> Option<Operation> {
        self.inner.operations.found()
    }

    /// Requests under way, and how many there may be.
    #[must_use]
    pub fn in_flight(&self) -> (usize, usize) {
        let limit = self.inner.in_flight_limit;
        (limit.saturating_sub(self.inner.permits.available_permits()), limit)
    }

    /// Whether the whole service only observes.
    #[must_use]
    pub fn observing(&self) -> bool {
        self.inner.observing.load(Ordering::Relaxed)
    }

    /// Switches the whole service between enforcing and observing.
    pub fn set_mode(&self, mode: Mode) {
        let observing = mode == Mode::Observe;
        if self.inner.observing.swap(observing, Ordering::Relaxed) != observing {
            tracing::warn!(event = "mode_changed", observing, "disconnect.mode changed");
        }
        self.inner.metrics.set_observing(observing);
        self.inner.client.gate().set_observing(observing);
    }
}
