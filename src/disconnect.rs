//! The use case: disconnect one participant, and tell the truth about it. Free of HTTP types.
//!
//! [`Disconnector::disconnect`] is the way of every mission: join repeats, take a permit and a deadline, send, judge,
//! look when in doubt.

mod confirm;
mod guard;
pub(crate) mod join;
pub mod judge;
pub(crate) mod look;
mod mission;
mod operation;
pub mod outcome;
mod reply;
pub mod seen;
mod teardown;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::AuditScope;
use crate::callers::Guards;
use crate::config::{self, Mode, UnknownConversation};
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::genesys::request::{Medium, Operation};
use crate::ids::{ConversationId, ParticipantId};
use crate::metrics::{InFlight, Metrics};
use crate::problem::{Code, Problem};
use crate::telemetry::traces::Parent;
use confirm::Confirmer;
use join::{Flights, Pilot, Role};
use mission::{Last, Mission};
use operation::Discovery;
use outcome::{Outcome, Settled};
use seen::AsSeen;

pub(crate) use mission::conversation_not_found;
pub use teardown::Teardown;

/// A key's guard keeps its caller from this participant.
pub(crate) fn forbidden_participant() -> Problem {
    let detail = "the key is limited to other purposes or queues than this participant's; ask whoever manages the keys";
    Problem::new(Code::ForbiddenParticipant, detail)
}

/// How long after acceptance a repeat looks before it sends.
const REPEAT_MEMORY: Duration = Duration::from_secs(10);
/// How long after acceptance a repeated teardown sends nothing.
const TEARDOWN_MEMORY: Duration = Duration::from_secs(60);
/// The same, with an `Idempotency-Key`.
pub(crate) const KEYED_MEMORY: Duration = Duration::from_secs(3600);

/// Teardowns by caller, conversation and `Idempotency-Key`.
type Teardowns = Flights<(Arc<str>, ConversationId, Option<Arc<str>>), Result<Settled, Problem>>;

/// Who asks, and under which request id.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Name of the caller's key.
    pub caller: Arc<str>,
    /// The request id that is answered.
    pub request_id: Arc<str>,
    /// The trace that upstream attempts belong to.
    pub trace: Parent,
    /// Participants the caller's key is limited to.
    pub guards: Option<Arc<Guards>>,
    /// The caller's key only observes.
    pub observe: bool,
    /// What the request leaves in the audit.
    pub scope: AuditScope,
    /// The end of all that one request of several missions asks for; each mission has its own where there is none.
    pub deadline: Option<Instant>,
    /// Whether a disconnect request may have gone upstream for this; what is abandoned before has no effect.
    pub sent: Arc<AtomicBool>,
}

/// One mission as a caller asks for it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub origin: Origin,
    /// The conversation.
    pub conversation: ConversationId,
    /// The participant to disconnect.
    pub participant: ParticipantId,
    /// End only communications of this medium, and judge by it; all of them where there is none.
    pub media: Option<Medium>,
    /// The wrap-up to set with the disconnect.
    pub wrapup: Option<Wrapup>,
    /// Whether the wrap-up is skipped.
    pub wrapup_skipped: Option<bool>,
    /// Reason, where the caller names one.
    pub reason: Option<String>,
    /// Cause, where the caller names one.
    pub cause: Option<String>,
    /// Disconnect only if the participant is still as it was seen.
    pub as_seen: Option<AsSeen>,
    /// Look until the participant is gone, for at most so long.
    pub wait: Option<Duration>,
    /// Take the word of an upstream that disconnects at once, and wait only after it has merely accepted.
    pub trust_stated: bool,
    /// Read only, and report what would have been done.
    pub dry_run: bool,
}

/// A wrap-up as the published PATCH takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Wrapup {
    /// Id of the wrap-up code.
    pub code: String,
    /// The agent's notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// What a disconnect changes. Requests with the same effect share one disconnect; whatever else they say is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Effect {
    conversation: ConversationId,
    participant: ParticipantId,
    media: Option<Medium>,
    wrapup: Option<Wrapup>,
    wrapup_skipped: Option<bool>,
}

impl Request {
    fn effect(&self) -> Effect {
        Effect {
            conversation: self.conversation,
            participant: self.participant,
            media: self.media,
            wrapup: self.wrapup.clone(),
            wrapup_skipped: self.wrapup_skipped,
        }
    }

    /// Whether the participant must be read before anything is sent.
    fn is_conditional(&self) -> bool {
        self.origin.guards.is_some() || self.as_seen.is_some()
    }

    /// Ends the whole participant, for the default reason, and answers at once; change members to ask for more.
    #[must_use]
    pub fn new(origin: Origin, conversation: ConversationId, participant: ParticipantId) -> Self {
        Self {
            origin,
            conversation,
            participant,
            media: None,
            wrapup: None,
            wrapup_skipped: None,
            reason: None,
            cause: None,
            as_seen: None,
            wait: None,
            trust_stated: false,
            dry_run: false,
        }
    }
}

/// A place among those under way, and the deadline that goes with it.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) context: Arc<Context>,
    _permit: OwnedSemaphorePermit,
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
    discovery: Discovery,
    flights: Flights<Effect, Result<Settled, Problem>>,
    teardowns: Teardowns,
    keyed_teardowns: Teardowns,
    confirmer: Confirmer,
    observing: AtomicBool,
    tasks: TaskTracker,
}

impl Disconnector {
    /// Disconnects through `client`. Work goes on in `tasks` when a caller hangs up; looking again ends when `stopping` is
    /// cancelled.
    #[must_use]
    pub fn new(
        config: &config::Config,
        client: Client,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        stopping: CancellationToken,
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
                discovery: Discovery::new(config.genesys.operation),
                flights: Flights::remembering(REPEAT_MEMORY),
                teardowns: Flights::remembering(TEARDOWN_MEMORY),
                keyed_teardowns: Flights::remembering(KEYED_MEMORY),
                confirmer: Confirmer::new(stopping),
                observing: AtomicBool::new(observing),
                tasks,
            }),
        }
    }

    /// The upstream client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Whether a conversation that the upstream does not know counts as ended.
    #[must_use]
    pub fn unknown_is_ended(&self) -> bool {
        self.inner.settings.unknown_conversation == UnknownConversation::Ended
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
        self.inner.discovery.operation()
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
        let Ok(permit) = Arc::clone(&self.inner.permits).try_acquire_owned() else {
            self.inner.metrics.shed();
            let detail = "limits.max_in_flight requests are under way already; repeat after Retry-After";
            return Err(Problem::new(Code::Overloaded, detail).retry_after(Duration::from_secs(1)));
        };
        let settings = &self.inner.settings;
        let reserve = settings.attempt_timeout.min(settings.deadline / 4);
        let left = origin.deadline.map_or(settings.deadline, |end| end.saturating_duration_since(Instant::now()));
        let context = Context::new(Arc::clone(&origin.caller), Arc::clone(&origin.request_id), left, reserve)
            .with_trace(origin.trace.clone())
            .with_sent(Arc::clone(&origin.sent));
        Ok(Admission { context: Arc::new(context), _permit: permit, _counted: self.inner.metrics.in_flight() })
    }

    /// Disconnects one participant.
    ///
    /// # Errors
    /// The problem to show the caller.
    pub async fn disconnect(&self, request: &Request) -> Result<Settled, Problem> {
        let outcome = self.carry_through(request).await;
        self.inner.metrics.mission(match &outcome {
            Ok(settled) => settled.outcome.name(),
            Err(problem) => problem.code.name(),
        });
        outcome
    }

    /// The ways that few missions go are boxed, so that the others need no memory for them.
    async fn carry_through(&self, request: &Request) -> Result<Settled, Problem> {
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
        let key = request.effect();
        let settled = match self.inner.flights.board(&key) {
            Role::Passenger(passenger) => {
                self.inner.metrics.join();
                // What the other request has sent is not known here.
                request.origin.sent.store(true, Ordering::Relaxed);
                passenger.result().await.unwrap_or_else(|| {
                    let detail = "an error of our own ended the mission; repeat the request";
                    Err(Problem::new(Code::Internal, detail).effect(true))
                })
            }
            Role::Pilot(pilot) => self.pilot(request, pilot, &mut admission).await,
        }?;
        if matches!(settled.outcome, Outcome::Disconnected | Outcome::Accepted) {
            return self.confirm_as_asked(request, settled, admission).await;
        }
        Ok(settled)
    }

    /// Carries the flight through, and lands it whatever happens.
    async fn pilot(
        &self,
        request: &Request,
        pilot: Pilot<Effect, Result<Settled, Problem>>,
        admission: &mut Option<Admission>,
    ) -> Result<Settled, Problem> {
        let context = match admission {
            Some(admitted) => Ok(Arc::clone(&admitted.context)),
            None => self.admit(&request.origin).map(|admitted| Arc::clone(&admission.insert(admitted).context)),
        };
        let (result, sent) = match context {
            Err(problem) => (Err(problem), false),
            Ok(context) if pilot.accepted_recently => (Box::pin(self.repeat(request, &context)).await, false),
            Ok(context) => {
                self.inner.client.deposit();
                let mut mission = Mission {
                    client: &self.inner.client,
                    discovery: &self.inner.discovery,
                    unknown: self.inner.settings.unknown_conversation,
                    context,
                    cid: request.conversation,
                    pid: request.participant,
                    media: request.media,
                    wrapup: request.wrapup.as_ref(),
                    wrapup_skipped: request.wrapup_skipped,
                    reason: request.reason.as_deref().unwrap_or(&self.inner.settings.default_reason),
                    cause: request.cause.as_deref(),
                    last: Last::default(),
                };
                let result = mission.run().await.map_err(|problem| problem.attempts(mission.context.attempts()));
                let taken =
                    result.as_ref().is_ok_and(|s| matches!(s.outcome, Outcome::Disconnected | Outcome::Accepted));
                (result, taken)
            }
        };
        pilot.land(&result, sent);
        result
    }
}
