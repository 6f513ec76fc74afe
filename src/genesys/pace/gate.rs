//! The gate's state: open, closed until a moment, or finding out; and who goes through when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use rand::RngExt as _;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::line::{Line, Place, Turn, Waiter};
use super::window::Window;
use crate::config;
use crate::genesys::answer::Answer;
use crate::genesys::error::CallError;
use crate::genesys::request::Call;
use crate::genesys::token::TokenCache;

/// Gives each attempt at the gate a number of its own.
static TURN: AtomicU64 = AtomicU64::new(0);
/// Share of the reopening margin that is added at random.
const JITTER: f64 = 0.25;
/// Assumed length of a window that has not told its own.
const USUAL_WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Few under way until the upstream has given a good answer.
    Starting,
    /// As the window allows; freely where the upstream sends no headers.
    Open,
    /// Nobody goes before this moment.
    Closed(Instant),
}

#[derive(Debug)]
struct State {
    generation: u64,
    /// Counts the closings: answers to calls sent before one cannot open what came after it.
    epoch: u64,
    phase: Phase,
    window: Option<Window>,
    under_way: usize,
    line: Line,
    /// Closings by 429 in a row: each makes the next pause longer.
    throttled: u32,
    /// While set, those who waited are let through one by one: the next not before this moment.
    spreading: Option<Instant>,
}

/// What the gate knows, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GateReading {
    /// Requests the window allows, where the upstream tells.
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

/// One gate for everybody.
#[derive(Debug)]
pub struct Gate {
    settings: config::Pace,
    /// Waiting calls of which one caller may hold half while others wait.
    capacity: usize,
    state: Mutex<State>,
    /// Wakes the driver when the next moment of interest has changed.
    rescheduled: Notify,
}

impl Gate {
    /// A gate in its starting phase. `capacity` bounds the share of a single caller.
    #[must_use]
    pub fn new(settings: config::Pace, capacity: usize) -> Self {
        let state = State {
            generation: 0,
            epoch: 0,
            phase: Phase::Starting,
            window: None,
            under_way: 0,
            line: Line::default(),
            throttled: 0,
            spreading: None,
        };
        Self { settings, capacity, state: Mutex::new(state), rescheduled: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut waiting = {
            let now = Instant::now();
            let mut state = self.lock();
            if state.line.is_empty() && state.admits(now, &self.settings) {
                return Ok(self.pass(&mut state, now));
            }
            let place = (call.rank, context.order, TURN.fetch_add(1, Ordering::Relaxed));
            if let Some(turn) = state.turn_of(state.line.ahead_of(place), now, &self.settings)
                && turn > deadline
            {
                return Err(CallError::RateLimited { retry_after: turn - now });
            }
            if state.line.crowded_by(&context.caller, (self.capacity / 2).max(1)) {
                let retry_after = state.opens_at(&self.settings).map_or(self.settings.reopen_margin, |at| at - now);
                return Err(CallError::CallerShare { retry_after });
            }
            let (turn, given) = oneshot::channel();
            state.line.join(place, Waiter { caller: Arc::clone(&context.caller), deadline, turn });
            Waiting { gate: self, place, given }
        };
        self.rescheduled.notify_one();
        let turn = tokio::select! {
            turn = timeout_at(deadline, &mut waiting.given) => turn,
            () = stopping.cancelled() => return Err(CallError::ShuttingDown),
        };
        match turn {
            Ok(Ok(Ok(turn))) => Ok(Pass::new(self, turn)),
            Ok(Ok(Err(refused))) => Err(refused),
            // The gate is gone, or the deadline came first.
            Ok(Err(_)) | Err(_) => Err(CallError::RateLimited { retry_after: self.opens_in() }),
        }
    }

    /// Lets those who wait go when their time comes. Runs until `stop`, beside everything else; `generations` tells of
    /// new tokens, whose windows are their own.
    pub(crate) async fn drive(self: Arc<Self>, tokens: TokenCache, stop: CancellationToken) {
        let mut published: watch::Receiver<u64> = tokens.subscribe();
        loop {
            let wake = {
                let mut state = self.lock();
                state.take_generation(tokens.generation());
                self.release(&mut state);
                state.next_moment(&self.settings)
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
        let state = self.lock();
        let window = state.window.filter(|w| w.resets_at > now);
        GateReading {
            allowed: state.window.map(|w| w.allowed),
            remaining: window.map(|w| w.remaining(state.under_way)).or(state.window.map(|w| w.allowed)),
            reset: window.map(|w| w.resets_at - now),
            waiting: state.line.len(),
            closed: matches!(state.phase, Phase::Closed(until) if until > now),
        }
    }

    /// Whether over half of the window remains and nobody waits; also where the upstream tells no window.
    #[must_use]
    pub fn has_ample_room(&self) -> bool {
        let reading = self.reading();
        let ample = reading.allowed.zip(reading.remaining).is_none_or(|(allowed, remaining)| remaining > allowed / 2);
        ample && reading.waiting == 0 && !reading.closed
    }

    fn opens_in(&self) -> Duration {
        let now = Instant::now();
        self.lock().opens_at(&self.settings).map_or(self.settings.reopen_margin, |at| at.saturating_duration_since(now))
    }

    fn pass(self: &Arc<Self>, state: &mut State, now: Instant) -> Pass {
        state.count_out(now, &self.settings);
        Pass::new(self, state.turn())
    }

    /// Lets through whoever may go now, and tells those whose turn cannot come in time.
    fn release(&self, state: &mut State) {
        let now = Instant::now();
        while !state.line.is_empty() && state.admits(now, &self.settings) {
            let Some(waiter) = state.line.next() else { break };
            if waiter.turn.send(Ok(state.turn())).is_ok() {
                state.count_out(now, &self.settings);
            }
        }
        if state.line.is_empty() {
            state.spreading = None;
        }
    }

    /// After a closing: whoever's turn cannot come before its deadline is told at once.
    fn dismiss(&self, state: &mut State) {
        let now = Instant::now();
        let late: Vec<(Place, Instant)> = state
            .line
            .iter()
            .enumerate()
            .filter_map(|(ahead, (place, deadline))| {
                let turn = state.turn_of(ahead, now, &self.settings)?;
                (turn > deadline).then_some((place, turn))
            })
            .collect();
        for (place, turn) in late {
            if let Some(waiter) = state.line.leave(place) {
                // Whoever is gone needs no answer.
                let _ = waiter.turn.send(Err(CallError::RateLimited { retry_after: turn - now }));
            }
        }
    }

    fn settle(&self, pass: &Pass, how: &Settled<'_>) {
        let now = Instant::now();
        let mut state = self.lock();
        if pass.turn.generation != state.generation {
            return; // Counted in the window of a token that is gone.
        }
        state.under_way = state.under_way.saturating_sub(1);
        match how {
            Settled::Unused => {}
            Settled::Lost => {
                if let Some(window) = &mut state.window {
                    window.lose_one();
                }
            }
            Settled::Answered(answer) => {
                if state.take_answer(answer, pass.turn.epoch, now, &self.settings) {
                    self.dismiss(&mut state);
                }
            }
        }
        self.release(&mut state);
        let waiting = !state.line.is_empty();
        drop(state);
        if waiting {
            self.rescheduled.notify_one();
        }
    }
}

impl State {
    /// A new token has a window of its own.
    fn take_generation(&mut self, generation: u64) {
        if generation != self.generation {
            self.generation = generation;
            self.epoch += 1;
            self.phase = Phase::Starting;
            self.window = None;
            self.under_way = 0;
            self.throttled = 0;
        }
    }

    /// Whether one more may go now. Reopens the gate when its time has come.
    fn admits(&mut self, now: Instant, settings: &config::Pace) -> bool {
        if let Phase::Closed(until) = self.phase {
            if now < until {
                return false;
            }
            self.phase = Phase::Starting;
            self.window = None;
            self.spreading = (!self.line.is_empty()).then_some(now);
        }
        if self.spreading.is_some_and(|not_before| now < not_before) {
            return false;
        }
        match (self.phase, &mut self.window) {
            (Phase::Starting, _) => self.under_way < settings.initial_in_flight,
            (_, None) => true,
            (_, Some(window)) => {
                if now >= window.resets_at + settings.reopen_margin {
                    // A new window that nobody has told us about yet: its first answer will.
                    self.window = None;
                    self.phase = Phase::Starting;
                    self.epoch += 1;
                    return self.under_way < settings.initial_in_flight;
                }
                window.remaining(self.under_way) > 0
            }
        }
    }

    fn turn(&self) -> Turn {
        Turn { generation: self.generation, epoch: self.epoch }
    }

    /// One goes out.
    fn count_out(&mut self, now: Instant, settings: &config::Pace) {
        self.under_way += 1;
        if self.spreading.is_some() {
            let gap = settings.spread.mul_f64(rand::rng().random_range(0.0..=2.0));
            self.spreading = Some(now + gap);
        }
    }

    /// Learns from an answer. `true` when the gate has just closed.
    fn take_answer(&mut self, answer: &Answer, epoch: u64, now: Instant, settings: &config::Pace) -> bool {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let asked = answer.throttle_pause().unwrap_or_default();
            let reset = answer.rate_limit.filter(|l| l.count >= l.allowed).map_or(Duration::ZERO, |l| l.reset);
            // A renewed 429 after a pause makes the next one longer; more of the same burst do not.
            if epoch == self.epoch {
                self.throttled = self.throttled.saturating_add(1);
            }
            let growth = 2u32.saturating_pow(self.throttled.saturating_sub(1).min(6));
            self.close(now + asked.max(reset) + settings.reopen_margin * growth, now, settings);
            return true;
        }
        if epoch != self.epoch {
            return false;
        }
        if let Some(limit) = answer.rate_limit {
            match &mut self.window {
                Some(window) => window.update(limit, now),
                None => self.window = Some(Window::new(limit, now)),
            }
        }
        let good = !answer.status.is_server_error() && answer.status != StatusCode::UNAUTHORIZED;
        if good && self.phase == Phase::Starting {
            self.phase = Phase::Open;
            self.throttled = 0;
        }
        match self.window {
            Some(window) if self.phase == Phase::Open && window.remaining(0) == 0 => {
                self.close(window.resets_at + settings.reopen_margin, now, settings);
                true
            }
            _ => false,
        }
    }

    fn close(&mut self, until: Instant, now: Instant, settings: &config::Pace) {
        let jitter = settings.reopen_margin.mul_f64(rand::rng().random_range(0.0..=JITTER));
        let until = (until + jitter).min(now + settings.max_pause);
        match self.phase {
            Phase::Closed(already) => self.phase = Phase::Closed(already.max(until)),
            Phase::Starting | Phase::Open => {
                self.epoch += 1;
                self.phase = Phase::Closed(until);
            }
        }
    }

    /// When the gate opens again; `None` when it is not closed, or only until an answer comes.
    fn opens_at(&self, settings: &config::Pace) -> Option<Instant> {
        match (self.phase, &self.window) {
            (Phase::Closed(until), _) => Some(until),
            (Phase::Open, Some(window)) if window.remaining(self.under_way) == 0 => {
                Some(window.resets_at + settings.reopen_margin)
            }
            _ => None,
        }
    }

    /// About when one with so many ahead of it will go; `None` when that cannot be told.
    fn turn_of(&self, ahead: usize, now: Instant, settings: &config::Pace) -> Option<Instant> {
        let opens_at = self.opens_at(settings)?.max(now);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let windows = self.window.map_or(0, |w| ahead / w.allowed.max(1));
        Some(opens_at + USUAL_WINDOW.min(settings.max_pause) * windows + settings.spread * ahead)
    }

    /// When the driver has something to do without being told.
    fn next_moment(&self, settings: &config::Pace) -> Option<Instant> {
        if self.line.is_empty() { None } else { self.opens_at(settings).max(self.spreading) }
    }
}

/// How an attempt that went through the gate ended.
enum Settled<'a> {
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

    pub(super) fn answered(mut self, answer: &Answer) {
        self.returned = true;
        self.gate.settle(&self, &Settled::Answered(answer));
    }

    /// Nothing was sent.
    pub(super) fn unused(mut self) {
        self.returned = true;
        self.gate.settle(&self, &Settled::Unused);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.returned {
            self.gate.settle(self, &Settled::Lost);
        }
    }
}

/// A place in line that is given up when the one who waits goes away.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    place: Place,
    given: oneshot::Receiver<Result<Turn, CallError>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let left = self.gate.lock().line.leave(self.place).is_some();
        // The turn came in the same moment in which the waiter went away: hand it on.
        if !left && let Ok(Ok(turn)) = self.given.try_recv() {
            Pass::new(self.gate, turn).unused();
        }
    }
}
