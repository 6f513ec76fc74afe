//! What the gate knows, and its phases: starting, open, closed until a moment. Nothing waits in here.

use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};
use http::StatusCode;
use rand::RngExt as _;
use tokio::time::Instant;

use super::line::{Line, Turn, Waiter};
use super::window::{SAME_WINDOW, Window};
use crate::config;
use crate::genesys::answer::Answer;
use crate::genesys::request::Rank;
use crate::genesys::token::Token;

/// Share of the reopening margin that is added at random.
const JITTER: f64 = 0.25;
/// Assumed length of a window until an answer shows it.
const USUAL_WINDOW: Duration = Duration::from_secs(60);
/// Jobs may use the reserve once no disconnect came for this long.
const LENT_AFTER: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// At most `pace.initial_in_flight` calls under way until the upstream has given a good answer.
    Starting,
    /// As the window allows; freely where the upstream sends no headers.
    Open,
    /// No call goes before this moment.
    Closed(Instant),
}

#[derive(Debug)]
pub(super) struct GateState {
    /// The newest token: the window is its own, and each turn carries it.
    pub(super) token: Option<Arc<Token>>,
    /// Counts the closings: answers to calls sent before one cannot open what came after it.
    pub(super) epoch: u64,
    pub(super) phase: Phase,
    pub(super) window: Option<Window>,
    pub(super) under_way: usize,
    /// Replicas that are alive, and may share the window.
    pub(super) replicas: usize,
    pub(super) line: Line,
    /// Closings by 429 in a row: each makes the next pause longer.
    pub(super) throttled: u32,
    /// While set, those who waited are let through one by one: the next not before this moment.
    pub(super) spreading: Option<Instant>,
    /// What each caller has sent in this window.
    taken: HashMap<Arc<str>, u32>,
    /// When the last disconnect came to the gate.
    last_disconnect: Option<Instant>,
    /// Longest time to a reset in any answer: about the length of a window.
    window_length: Option<Duration>,
}

impl GateState {
    /// A gate that knows nothing yet.
    pub(super) fn new() -> Self {
        Self {
            token: None,
            epoch: 0,
            phase: Phase::Starting,
            window: None,
            under_way: 0,
            replicas: 1,
            line: Line::default(),
            throttled: 0,
            spreading: None,
            taken: HashMap::new(),
            last_disconnect: None,
            window_length: None,
        }
    }

    /// A call of this rank has come to the gate.
    pub(super) fn note(&mut self, rank: Rank, now: Instant) {
        if rank == Rank::Disconnect {
            self.last_disconnect = Some(now);
        }
    }

    /// A new token has a window of its own.
    pub(super) fn take_token(&mut self, token: &Arc<Token>) {
        if self.token.as_ref().is_none_or(|own| own.generation < token.generation) {
            self.token = Some(Arc::clone(token));
            self.epoch += 1;
            self.phase = Phase::Starting;
            self.window = None;
            self.under_way = 0;
            self.throttled = 0;
            self.taken.clear();
            self.window_length = None;
        }
    }

    /// Whether calls with this token count in the window.
    pub(super) fn counts(&self, token: &Token) -> bool {
        self.token.as_ref().is_some_and(|own| own.generation == token.generation)
    }

    /// Whether one more of this rank may go now. Reopens the gate when its time has come.
    pub(super) fn admits(&mut self, rank: Rank, now: Instant, settings: &config::Pace) -> bool {
        if let Phase::Closed(until) = self.phase {
            if now < until {
                return false;
            }
            self.phase = Phase::Starting;
            self.window = None;
            self.taken.clear();
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
                    *window = Window::assumed(window.allowed, now + USUAL_WINDOW);
                    // Answers to calls that were sent earlier are about the old window.
                    self.epoch += 1;
                    self.taken.clear();
                }
                let remaining = window.remaining(self.under_way, self.replicas);
                remaining > self.reserve_for(rank, now)
            }
        }
    }

    /// How much of the window this rank must leave to disconnects. It shrinks to nothing towards the reset, so that no window
    /// ends unused; while no disconnects come, jobs need not leave any.
    fn reserve_for(&self, rank: Rank, now: Instant) -> u32 {
        let lent = rank == Rank::Job && self.lent_from().is_none_or(|from| now >= from);
        match &self.window {
            Some(window) if rank != Rank::Disconnect && !lent => window.reserve(rank, self.length(), now),
            _ => 0,
        }
    }

    /// How many calls of this rank may go now, if the upstream has announced its window.
    pub(super) fn room(&self, rank: Rank, now: Instant) -> Option<u32> {
        match (self.phase, &self.window) {
            (Phase::Closed(until), _) if now < until => Some(0),
            (_, Some(window)) if now < window.resets_at => {
                Some(window.remaining(self.under_way, self.replicas).saturating_sub(self.reserve_for(rank, now)))
            }
            _ => None,
        }
    }

    /// From when on jobs may use the reserve; `None` while no disconnect has ever come.
    fn lent_from(&self) -> Option<Instant> {
        self.last_disconnect.map(|at| at + LENT_AFTER)
    }

    fn length(&self) -> Duration {
        self.window_length.unwrap_or(USUAL_WINDOW)
    }

    /// Lets through the calls that may go at this moment, and says when to look again if nothing happens. Both use one reading of
    /// the clock: a moment between two readings would be missed, and the calls due then would wait for ever.
    pub(super) fn release(&mut self, now: Instant, settings: &config::Pace) -> Option<Instant> {
        while let Some(turn) = self.turn(now)
            && let Some(waiter) = self.next(now, settings)
        {
            if waiter.turn.send(Ok(turn)).is_ok() {
                self.count_out(&waiter.caller, now, settings);
            }
        }
        if self.line.is_empty() {
            self.spreading = None;
        }
        self.next_moment(now, settings)
    }

    /// Takes the next one out of the line that may go now. A caller that has had half of the window goes after others.
    fn next(&mut self, now: Instant, settings: &config::Pace) -> Option<Waiter> {
        if self.line.is_empty() {
            return None;
        }
        let admitted = Rank::ALL.map(|rank| (rank, self.admits(rank, now, settings)));
        let half = self.window.map(|window| window.allowed.div_ceil(2).max(1));
        let Self { line, taken, .. } = self;
        let has_half = |caller: &str| half.is_some_and(|half| taken.get(caller).is_some_and(|taken| *taken >= half));
        line.next(|rank| admitted.contains(&(rank, true)), has_half)
    }

    /// A turn that begins now; `None` before the first token.
    pub(super) fn turn(&self, now: Instant) -> Option<Turn> {
        Some(Turn { token: Arc::clone(self.token.as_ref()?), epoch: self.epoch, given_at: now })
    }

    /// One of this caller goes out.
    pub(super) fn count_out(&mut self, caller: &Arc<str>, now: Instant, settings: &config::Pace) {
        self.under_way += 1;
        match self.taken.get_mut(caller) {
            Some(taken) => *taken = taken.saturating_add(1),
            None => drop(self.taken.insert(Arc::clone(caller), 1)),
        }
        if self.spreading.is_some() {
            let gap = settings.spread.mul_f64(rand::rng().random_range(0.0..=2.0));
            self.spreading = Some(now + gap);
        }
    }

    /// Learns from an answer. `true` when the gate has just closed.
    pub(super) fn take_answer(&mut self, answer: &Answer, turn: &Turn, now: Instant, settings: &config::Pace) -> bool {
        let current = turn.epoch == self.epoch;
        if current {
            self.take_rate_limit(answer, turn, now);
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS && !answer.throttles_itself_only() {
            let asked = answer.throttle_pause().unwrap_or_default();
            let reset = answer.rate_limit.filter(|l| l.count >= l.allowed).map_or(Duration::ZERO, |l| l.reset);
            // A renewed 429 after a pause makes the next one longer; more of the same burst do not.
            if current {
                self.throttled = self.throttled.saturating_add(1);
            }
            let growth = 2u32.saturating_pow(self.throttled.saturating_sub(1).min(6));
            self.close(now + asked.max(reset) + settings.reopen_margin * growth, now, settings);
            return true;
        }
        if !current {
            return false;
        }
        let good = !answer.status.is_server_error() && answer.status != StatusCode::UNAUTHORIZED;
        if good && self.phase == Phase::Starting {
            self.phase = Phase::Open;
            self.throttled = 0;
        }
        match self.window {
            Some(window) if self.phase == Phase::Open && window.remaining(0, self.replicas) == 0 => {
                self.close(window.resets_at + settings.reopen_margin, now, settings);
                true
            }
            _ => false,
        }
    }

    fn take_rate_limit(&mut self, answer: &Answer, turn: &Turn, now: Instant) {
        self.window_length = self.window_length.max(answer.rate_limit.map(|limit| limit.reset));
        let reset = self.window.map(|window| window.resets_at);
        match (&mut self.window, answer.rate_limit) {
            (Some(window), Some(limit)) => window.update(limit, turn.given_at, now),
            (None, Some(limit)) => self.window = Some(Window::new(limit, turn.given_at, now)),
            (Some(window), None) => window.count_untold(now),
            (None, None) => {}
        }
        if self.window.zip(reset).is_some_and(|(window, before)| window.resets_at > before + SAME_WINDOW) {
            self.taken.clear();
        }
    }

    /// A call ended without an answer: it may have been counted.
    pub(super) fn take_loss(&mut self, turn: &Turn, now: Instant) {
        if turn.epoch == self.epoch
            && let Some(window) = &mut self.window
        {
            window.count_untold(now);
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

    /// When the gate opens again for this rank; `None` when it is not closed, or only until an answer comes.
    pub(super) fn opens_at(&self, rank: Rank, now: Instant, settings: &config::Pace) -> Option<Instant> {
        match (self.phase, &self.window) {
            (Phase::Closed(until), _) => Some(until),
            (Phase::Open, Some(window)) if window.remaining(self.under_way, self.replicas) == 0 => {
                Some(window.resets_at + settings.reopen_margin)
            }
            (Phase::Open, Some(window)) => {
                let remaining = window.remaining(self.under_way, self.replicas);
                if remaining > self.reserve_for(rank, now) {
                    return None;
                }
                let shrunk = window.reserve_is_below(remaining, rank, self.length());
                Some(if rank == Rank::Job { self.lent_from().map_or(shrunk, |lent| lent.min(shrunk)) } else { shrunk })
            }
            _ => None,
        }
    }

    /// About when a call with this many ahead of it will go; `None` if that is not known.
    pub(super) fn turn_of(&self, rank: Rank, ahead: usize, now: Instant, settings: &config::Pace) -> Option<Instant> {
        let opens_at = self.opens_at(rank, now, settings)?.max(now);
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let windows = self.window.map_or(0, |w| ahead / w.allowed.max(1));
        let length = (self.length() + settings.reopen_margin).min(settings.max_pause);
        Some(opens_at + length * windows + settings.spread * ahead)
    }

    /// When there is something to do even if nothing happens. Never now: what could be done now has been done, and the rest waits
    /// for an answer.
    fn next_moment(&self, now: Instant, settings: &config::Pace) -> Option<Instant> {
        let opens_at = |rank| self.opens_at(rank, now, settings).max(self.spreading);
        self.line.ranks().filter_map(opens_at).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests;
