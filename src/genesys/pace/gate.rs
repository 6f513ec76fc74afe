//! The gate: which calls go through now, which wait, and which are refused at once because they would wait too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::line::{LinePosition, Turn, Waiter};
use super::state::{GateState, Phase};
use crate::config;
use crate::genesys::answer::Answer;
use crate::genesys::error::CallError;
use crate::genesys::request::{Call, Rank};
use crate::genesys::token::{Token, TokenCache};

/// Gives each attempt at the gate a number of its own.
static TURN: AtomicU64 = AtomicU64::new(0);

/// What the gate knows, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateReading {
    /// Requests the window allows, if the upstream says so.
    pub allowed: Option<u32>,
    /// What remains of them.
    pub remaining: Option<u32>,
    /// Time until the window resets.
    pub reset: Option<Duration>,
    /// Calls waiting.
    pub waiting: usize,
    /// Whether the gate is closed.
    pub closed: bool,
}

/// One gate for all calls.
#[derive(Debug)]
pub struct Gate {
    settings: config::Pace,
    /// Sets the newest token: each has a window of its own.
    tokens: TokenCache,
    /// Waiting calls of which one caller may hold half while others wait.
    capacity: usize,
    state: Mutex<GateState>,
    /// Wakes the driver when the next moment of interest has changed.
    rescheduled: Notify,
    /// No disconnect goes through: the service only observes.
    observing: AtomicBool,
}

impl Gate {
    /// A gate in its starting phase. `capacity` bounds the share of a single caller.
    #[must_use]
    pub fn new(settings: config::Pace, capacity: usize, tokens: TokenCache) -> Self {
        Self {
            settings,
            tokens,
            capacity,
            state: Mutex::new(GateState::new()),
            rescheduled: Notify::new(),
            observing: AtomicBool::new(false),
        }
    }

    /// Says whether the service only observes: then no disconnect goes through any more, also none that waits already.
    pub fn set_observing(&self, observing: bool) {
        self.observing.store(observing, Ordering::Relaxed);
    }

    fn keeps_back(&self, call: &Call) -> bool {
        call.operation.disconnects() && self.observing.load(Ordering::Relaxed)
    }

    /// Says how many replicas are alive, this one included.
    pub fn set_replicas(&self, replicas: usize) {
        self.state.lock().replicas = replicas.max(1);
        // With fewer of them more may go.
        self.rescheduled.notify_one();
    }

    /// Waits for the turn of one attempt.
    ///
    /// # Errors
    /// At once when the turn cannot come before `deadline`, or when the caller crowds the line; later when the gate
    /// closes past the deadline, or `stopping` is cancelled.
    pub(super) async fn enter(self: &Arc<Self>, call: &Call, stopping: &CancellationToken) -> Result<Pass, CallError> {
        let (context, deadline) = (&call.context, call.deadline());
        // Whatever has not gone upstream yet stays here; a last look is let through if it need not wait.
        if call.operation.disconnects() && stopping.is_cancelled() {
            return Err(CallError::ShuttingDown);
        }
        if self.keeps_back(call) {
            return Err(CallError::Observing);
        }
        let mut waiting = {
            let now = Instant::now();
            if now >= deadline {
                return Err(CallError::Timeout);
            }
            let Some(token) = self.tokens.current() else { return Err(CallError::TokenExpired) };
            let mut state = self.state.lock();
            // Not left to the driver, which may not have run since the token came.
            state.take_token(&token);
            state.note(call.rank, now);
            // Calls of a lower rank may be waiting for a part of the window that is not theirs: they are passed.
            let first = state.line.first_rank();
            let is_next = first.is_none_or(|first| call.rank < first && state.spreading.is_none());
            if is_next
                && state.admits(call.rank, now, &self.settings)
                && let Some(turn) = state.turn(now)
            {
                state.count_out(&context.requester.caller, now, &self.settings);
                return Ok(Pass::new(self, turn));
            }
            let place = (call.rank, context.order, TURN.fetch_add(1, Ordering::Relaxed));
            if let Some(turn) = state.turn_of(call.rank, state.line.ahead_of(place), now, &self.settings)
                && turn > deadline
            {
                return Err(CallError::RateLimited { retry_after: turn - now });
            }
            if state.line.crowded_by(&context.requester.caller, (self.capacity / 2).max(1)) {
                let opens_at = state.opens_at(call.rank, now, &self.settings);
                let retry_after = opens_at.map_or(self.settings.reopen_margin, |at| at - now);
                return Err(CallError::CallerShare { retry_after });
            }
            let (turn, given) = oneshot::channel();
            state.line.join(place, Waiter { caller: Arc::clone(&context.requester.caller), deadline, turn });
            Waiting { gate: self, place, given }
        };
        self.rescheduled.notify_one();
        let turn = tokio::select! {
            turn = timeout_at(deadline, &mut waiting.given) => turn,
            () = stopping.cancelled() => return Err(CallError::ShuttingDown),
        };
        match turn {
            Ok(Ok(Ok(turn))) if self.keeps_back(call) => {
                Pass::new(self, turn).unused();
                Err(CallError::Observing)
            }
            Ok(Ok(Ok(turn))) => Ok(Pass::new(self, turn)),
            Ok(Ok(Err(refused))) => Err(refused),
            // The deadline came first, or the gate is gone.
            Err(_) | Ok(Err(_)) => Err(self.turned_away(call.rank)),
        }
    }

    /// Lets waiting calls go when their time comes. Runs until `stop`, in a task of its own.
    pub(crate) async fn drive(self: Arc<Self>, stop: CancellationToken) {
        let mut published: watch::Receiver<u64> = self.tokens.subscribe();
        loop {
            let wake = {
                let mut state = self.state.lock();
                if let Some(token) = self.tokens.current() {
                    state.take_token(&token);
                }
                state.release(Instant::now(), &self.settings)
            };
            let wake_up = async {
                match wake {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wake_up => {}
                () = self.rescheduled.notified() => {}
                changed = published.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            }
        }
    }

    /// What the gate knows now.
    #[must_use]
    pub fn reading(&self) -> GateReading {
        let now = Instant::now();
        let state = self.state.lock();
        let window = state.window.filter(|w| w.resets_at > now);
        GateReading {
            allowed: state.window.map(|w| w.allowed),
            remaining: window.map(|w| w.remaining(state.under_way, state.replicas)).or(state.window.map(|w| w.allowed)),
            reset: window.map(|w| w.resets_at - now),
            waiting: state.line.len(),
            closed: matches!(state.phase, Phase::Closed(until) if until > now),
        }
    }

    /// How many calls of jobs could go now without waiting; `None` if no window is known.
    #[must_use]
    pub fn room_for_jobs(&self) -> Option<usize> {
        let room = self.state.lock().room(Rank::Job, Instant::now());
        room.map(|room| usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Whether over half of the window remains and no call waits; also if the upstream announces no window.
    #[must_use]
    pub fn has_ample_room(&self) -> bool {
        let reading = self.reading();
        let ample = reading.allowed.zip(reading.remaining).is_none_or(|(allowed, remaining)| remaining > allowed / 2);
        ample && reading.waiting == 0 && !reading.closed
    }

    /// Why a call's deadline came while it waited: the rate limit closed the gate, or other calls have no answer yet.
    fn turned_away(&self, rank: Rank) -> CallError {
        let now = Instant::now();
        match self.state.lock().opens_at(rank, now, &self.settings) {
            Some(at) => CallError::RateLimited { retry_after: at.saturating_duration_since(now) },
            None => CallError::Timeout,
        }
    }

    /// After a closing: a call whose turn cannot come before its deadline is refused at once.
    fn dismiss(&self, state: &mut GateState) {
        let now = Instant::now();
        let late: Vec<(LinePosition, Instant)> = state
            .line
            .iter()
            .enumerate()
            .filter_map(|(ahead, (place, deadline))| {
                let turn = state.turn_of(place.0, ahead, now, &self.settings)?;
                (turn > deadline).then_some((place, turn))
            })
            .collect();
        for (place, turn) in late {
            if let Some(waiter) = state.line.leave(place) {
                // A call that was given up needs no answer.
                let _ = waiter.turn.send(Err(CallError::RateLimited { retry_after: turn - now }));
            }
        }
    }

    fn settle(&self, pass: &Pass, how: &AttemptEnd<'_>) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if !state.counts(&pass.turn.token) {
            return; // Counted in the window of a token that is gone.
        }
        state.under_way = state.under_way.saturating_sub(1);
        match how {
            AttemptEnd::Unused => {}
            AttemptEnd::Lost => state.take_loss(&pass.turn, now),
            AttemptEnd::Answered(answer) => {
                if state.take_answer(answer, &pass.turn, now, &self.settings) {
                    self.dismiss(&mut state);
                }
            }
        }
        state.release(now, &self.settings);
        let waiting = !state.line.is_empty();
        drop(state);
        if waiting {
            self.rescheduled.notify_one();
        }
    }
}

/// How an attempt that went through the gate ended.
enum AttemptEnd<'a> {
    Answered(&'a Answer),
    Unused,
    Lost,
}

/// The right to send one attempt. Dropped without an answer, the attempt may have been counted by the upstream.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    turn: Turn,
    returned: bool,
}

impl Pass {
    fn new(gate: &Arc<Gate>, turn: Turn) -> Self {
        Self { gate: Arc::clone(gate), turn, returned: false }
    }

    /// The token to send it with, unless it ran out while the call waited.
    pub(super) fn token(&self) -> Option<Arc<Token>> {
        Some(&self.turn.token).filter(|token| token.usable(Instant::now())).cloned()
    }

    pub(super) fn answered(mut self, answer: &Answer) {
        self.returned = true;
        self.gate.settle(&self, &AttemptEnd::Answered(answer));
    }

    /// Nothing was sent.
    pub(super) fn unused(mut self) {
        self.returned = true;
        self.gate.settle(&self, &AttemptEnd::Unused);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.returned {
            self.gate.settle(self, &AttemptEnd::Lost);
        }
    }
}

/// A place in line that is given up when the call that waits goes away.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    place: LinePosition,
    given: oneshot::Receiver<Result<Turn, CallError>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.gate.state.lock().line.leave(self.place).is_some();
        // The turn came in the same moment in which the waiter went away: hand it on.
        if !left && let Ok(Ok(turn)) = self.given.try_recv() {
            Pass::new(self.gate, turn).unused();
        }
    }
}
