//! What all upstream calls of one disconnect or lookup share: for whom they are made, its end, its place in line, its counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::requester::Requester;

/// Gives each context its place in line.
static ORDER: AtomicU64 = AtomicU64::new(0);

/// Shared by the upstream calls of one disconnect or lookup.
#[derive(Debug)]
pub struct Context {
    /// For whom the calls are made.
    pub requester: Arc<Requester>,
    /// The absolute end of all calls.
    pub deadline: Instant,
    /// Kept back at the end for one look once an attempt had an unknown effect.
    reserve: Duration,
    /// Place in line at the gate: who was accepted earlier goes first.
    pub(crate) order: u64,
    attempts: AtomicU32,
    unknown_attempts: AtomicU32,
    unsent_attempts: AtomicU32,
}

impl Context {
    /// A context that ends after `deadline`, of which `reserve` is kept back once an attempt had an unknown effect.
    #[must_use]
    pub fn new(requester: Arc<Requester>, deadline: Duration, reserve: Duration) -> Self {
        Self {
            requester,
            deadline: Instant::now() + deadline,
            reserve,
            order: ORDER.fetch_add(1, Ordering::Relaxed),
            attempts: AtomicU32::new(0),
            unknown_attempts: AtomicU32::new(0),
            unsent_attempts: AtomicU32::new(0),
        }
    }

    /// Disconnect requests sent upstream so far, retries included; reads and logins not.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Whether an attempt may have disconnected the participant without our having seen its answer.
    pub fn effect_unknown(&self) -> bool {
        self.unknown_attempts() > 0
    }

    /// How many attempts may have had an effect of which we have not heard.
    pub(crate) fn unknown_attempts(&self) -> u32 {
        self.unknown_attempts.load(Ordering::Relaxed)
    }

    pub(crate) fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.requester.note_sent();
    }

    pub(crate) fn count_unknown_attempt(&self) {
        self.unknown_attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// How many attempts ended before anything was sent: no connection, or given up while waiting for one.
    pub(crate) fn unsent_attempts(&self) -> u32 {
        self.unsent_attempts.load(Ordering::Relaxed)
    }

    /// Notes that an attempt ended before anything was sent.
    pub fn count_unsent(&self) {
        self.unsent_attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// The end of disconnect requests: the deadline, less the reserve once the effect of one is unknown.
    pub(crate) fn disconnect_deadline(&self) -> Instant {
        if self.effect_unknown() {
            self.deadline.checked_sub(self.reserve).unwrap_or(self.deadline)
        } else {
            self.deadline
        }
    }

    /// The moment from which the reserve matters.
    pub(crate) fn reserve_start(&self) -> Instant {
        self.deadline.checked_sub(self.reserve).unwrap_or(self.deadline)
    }

    /// The end of a disconnect request that is sent now and may take as long as `limit`. One that would reach from before into
    /// the reserve shares what is left with the look that its silence would make necessary.
    pub(crate) fn attempt_end(&self, now: Instant, limit: Duration) -> Instant {
        let end = (now + limit).min(self.disconnect_deadline());
        let reserve_start = self.reserve_start();
        if now < reserve_start && reserve_start < end {
            let half = now + self.deadline.saturating_duration_since(now) / 2;
            return end.min(half.max(reserve_start));
        }
        end
    }
}
