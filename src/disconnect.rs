//! The use case: disconnect one participant, and tell the truth about it. Free of HTTP types.
//!
//! [`Disconnector::disconnect`] is the way of every disconnect: join repeats, take a permit and a deadline, send, judge, look
//! when in doubt.

mod abandoned;
mod confirm;
mod confirmer;
mod for_jobs;
mod guard;
pub mod judge;
mod last;
pub(crate) mod look;
mod operation;
pub mod outcome;
mod refusals;
mod reply;
mod request;
mod run;
pub mod seen;
mod selection;
mod service;
mod share;
mod singleflight;
mod teardown;
mod unknown;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::claims::Claims;
use crate::config::{self, Mode};
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::genesys::request::Operation;
use crate::ids::ConversationId;
use crate::metrics::{InFlight, Metrics};
use crate::problem::{Code, Problem};
use crate::shutdown::Shutdown;
use confirmer::Confirmer;
use operation::Operations;
use outcome::{Outcome, Settled};
use request::Effect;
use run::Run;
use share::{Share, Shares};
use singleflight::{Leader, Role, Singleflight};
use unknown::UnknownConversations;

pub(crate) use for_jobs::Glance;
pub(crate) use last::conversation_not_found;
pub use request::{Origin, Request, Wrapup};
pub use selection::{Selected, Selection};
pub(crate) use service::internal;
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

/// Teardowns by caller, conversation and `Idempotency-Key`.
type Teardowns = Singleflight<(Arc<str>, ConversationId, Option<Arc<str>>), Result<Settled, Problem>>;

/// What a leader shares with those who joined.
#[derive(Debug, Clone)]
struct Shared {
    result: Result<Settled, Problem>,
    /// Reason and cause, where they were sent: a request with others need not share the refusal of these.
    sent: Option<(Option<String>, Option<String>)>,
}

/// A place among those under way, and the deadline that goes with it.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) context: Arc<Context>,
    _permit: OwnedSemaphorePermit,
    _share: Share,
    _counted: InFlight,
}

/// The use case. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Disconnector {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    settings: config::Disconnect,
    metrics: Arc<Metrics>,
    permits: Arc<Semaphore>,
    in_flight_limit: usize,
    shares: Shares,
    operations: Operations,
    unknown: UnknownConversations,
    flights: Singleflight<Effect, Shared>,
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
    /// Disconnects through `client`, whom `claims` admit. Work goes on in `tasks` when a caller leaves, until `shutdown` gives it up; looking again
    /// ends when it begins to stop.
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
        Self {
            inner: Arc::new(Inner {
                client,
                settings: config.disconnect.clone(),
                metrics,
                permits: Arc::new(Semaphore::new(config.limits.max_in_flight.min(Semaphore::MAX_PERMITS))),
                in_flight_limit: config.limits.max_in_flight,
                shares: Shares::new(config.auth.has_credentials().then(|| config.limits.max_in_flight.div_ceil(2))),
                operations: Operations::new(config.genesys.operation),
                unknown: UnknownConversations::new(config.disconnect.unknown_conversation),
                flights: Singleflight::with_memory(REPEAT_MEMORY),
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

    /// The end of a request that is accepted now.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.inner.settings.deadline
    }

    /// The reason of those who give none.
    #[must_use]
    pub fn default_reason(&self) -> &str {
        &self.inner.settings.default_reason
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
    }

    /// Takes one place among those under way.
    ///
    /// # Errors
    /// `overloaded` when there is none.
    pub(crate) fn admit(&self, origin: &Origin) -> Result<Admission, Problem> {
        let Some(share) = self.inner.shares.take(&origin.requester.caller) else {
            let detail = "half of limits.max_in_flight requests of this caller are under way already, and the rest is kept for \
                          others; repeat after Retry-After";
            return Err(Problem::new(Code::CallerRateLimited, detail).retry_after(Duration::from_secs(1)));
        };
        let Ok(permit) = Arc::clone(&self.inner.permits).try_acquire_owned() else {
            self.inner.metrics.shed();
            let detail = "limits.max_in_flight requests are under way already; repeat after Retry-After";
            return Err(Problem::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1)));
        };
        let settings = &self.inner.settings;
        let reserve = settings.attempt_timeout.min(settings.deadline / 4);
        let left = origin.deadline.map_or(settings.deadline, |end| end.saturating_duration_since(Instant::now()));
        let context = Context::new(Arc::clone(&origin.requester), left, reserve);
        let counted = self.inner.metrics.in_flight();
        Ok(Admission { context: Arc::new(context), _permit: permit, _share: share, _counted: counted })
    }

    /// The ways that few disconnects go are boxed, so that the others need no memory for them.
    async fn carry_out(&self, request: &Request) -> Result<Settled, Problem> {
        if request.dry_run || request.origin.observe || self.observing() {
            return Box::pin(self.observe(request)).await;
        }
        let mut admission = None;
        if request.is_conditional() {
            let admitted = self.admit(&request.origin)?;
            if let Some(settled) = Box::pin(self.guard(request, &admitted.context)).await? {
                return Ok(settled);
            }
            admission = Some(admitted);
        }
        let settled = match self.inner.flights.join(&request.effect()) {
            Role::Leader(leader) => self.lead(request, Some(leader), &mut admission).await,
            Role::Follower(follower) => {
                self.inner.metrics.join();
                // What the other request has sent is not known here.
                request.origin.requester.note_sent();
                match follower.result().await {
                    // Others' words were refused; these have not been tried.
                    Some(shared) if shared.refuses_other_words_than(request) => {
                        Box::pin(self.lead(request, None, &mut admission)).await
                    }
                    Some(shared) => shared.result,
                    None => {
                        let detail = "an error of our own ended the disconnect; repeat the request";
                        Err(Problem::new(Code::Internal, detail).effect(true))
                    }
                }
            }
        }?;
        if matches!(settled.outcome, Outcome::Disconnected | Outcome::Accepted) {
            return self.confirm_as_asked(request, settled, admission).await;
        }
        Ok(settled)
    }

    /// Does the work, and shares its result whatever happens.
    async fn lead(
        &self,
        request: &Request,
        leader: Option<Leader<Effect, Shared>>,
        admission: &mut Option<Admission>,
    ) -> Result<Settled, Problem> {
        let context = match admission {
            Some(admitted) => Ok(Arc::clone(&admitted.context)),
            None => self.admit(&request.origin).map(|admitted| Arc::clone(&admission.insert(admitted).context)),
        };
        let (result, accepted, posted) = match context {
            Err(problem) => (Err(problem), false, false),
            Ok(context) if leader.as_ref().is_some_and(|leader| leader.accepted_recently) => {
                (Box::pin(self.repeat(request, &context)).await, false, false)
            }
            Ok(context) => {
                self.inner.client.deposit();
                let Inner { client, operations, unknown, settings, .. } = &*self.inner;
                let reason = request.reason.as_deref().unwrap_or(&settings.default_reason);
                let mut run = Run::new((client, operations, unknown), context, request, reason);
                let result = run.run().await.map_err(|problem| problem.attempts(run.context.attempts()));
                let accepted =
                    result.as_ref().is_ok_and(|s| matches!(s.outcome, Outcome::Disconnected | Outcome::Accepted));
                (result, accepted, run.posted)
            }
        };
        if let Some(leader) = leader {
            leader.complete(accepted, || Shared {
                result: result.clone(),
                sent: posted.then(|| (request.reason.clone(), request.cause.clone())),
            });
        }
        result
    }
}

impl Shared {
    /// Whether this is the refusal of a reason or cause that `request` does not give.
    fn refuses_other_words_than(&self, request: &Request) -> bool {
        let refused =
            self.result.as_ref().is_err_and(|p| matches!(p.code, Code::UpstreamRejected | Code::UpstreamConflict));
        let other =
            |(reason, cause): &(Option<String>, Option<String>)| *reason != request.reason || *cause != request.cause;
        refused && self.sent.as_ref().is_some_and(other)
    }
}
