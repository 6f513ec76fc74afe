//! What the upstream's headers say about the current window: a pure account, no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::genesys::answer::RateLimit;
use crate::genesys::rank::Rank;

/// This long before its reset the whole window is for lookups, too: a disconnect that comes now can wait for the next one.
/// Jobs go on leaving calls to disconnects, at least one until the reset: they would take every last one, window after window.
const TAIL: Duration = Duration::from_secs(5);
/// Times are whole nanoseconds: the moment at which the reserve has shrunk to a number must not round to just before it.
const ROUNDING: f64 = 1e-6;

/// Resets that differ by less belong to the same window: the header counts whole seconds, rounded either way.
pub(super) const SAME_WINDOW: Duration = Duration::from_secs(2);

/// The account of one window. `count` only grows within a window, so that a late answer never raises what remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) allowed: u32,
    /// Most that any answer of this window has reported as counted.
    count: u32,
    /// Calls that ended without telling the count: the upstream may have counted them.
    untold: u32,
    /// Answers of this window that came to us: where the upstream counts more, others share the window.
    answered: u32,
    /// When the last of those ended.
    untold_at: Option<Instant>,
    /// No answer of this window has come yet.
    assumed: bool,
    /// The reset is not before this,
    resets_from: Instant,
    /// and not after that, give or take the header's rounding.
    pub(super) resets_at: Instant,
}

impl Window {
    /// The window in an answer to a call that was sent at `sent`. The upstream produced it between sending and receipt.
    pub(super) fn new(limit: RateLimit, sent: Instant, now: Instant) -> Self {
        Self {
            allowed: limit.allowed,
            count: limit.count,
            untold: 0,
            answered: 1,
            untold_at: None,
            assumed: false,
            resets_from: sent + limit.reset,
            resets_at: now + limit.reset,
        }
    }

    /// A window that must have begun, although no answer of it has come yet.
    pub(super) fn assumed(allowed: u32, resets_at: Instant) -> Self {
        Self {
            allowed,
            count: 0,
            untold: 0,
            answered: 0,
            untold_at: None,
            assumed: true,
            resets_from: resets_at,
            resets_at,
        }
    }

    /// Takes a further answer into the account, to a call that was sent at `sent`.
    pub(super) fn update(&mut self, limit: RateLimit, sent: Instant, now: Instant) {
        let (earliest, latest) = (sent + limit.reset, now + limit.reset);
        if self.assumed || earliest > self.resets_at + SAME_WINDOW {
            *self = Self::new(limit, sent, now);
            return;
        }
        if latest + SAME_WINDOW < self.resets_from {
            return; // Of a window that is over.
        }
        self.allowed = limit.allowed;
        self.count = self.count.max(limit.count);
        self.answered = self.answered.saturating_add(1);
        self.resets_from = self.resets_from.max(earliest);
        self.resets_at = self.resets_at.min(latest);
        // Whatever had ended before this call was sent is in its count, as far as it was counted.
        if self.untold_at.is_some_and(|ended| sent > ended) {
            (self.untold, self.untold_at) = (0, None);
        }
    }

    /// A call ended without telling the count.
    pub(super) fn count_untold(&mut self, now: Instant) {
        self.untold = self.untold.saturating_add(1);
        self.untold_at = Some(now);
    }

    /// A quarter of the window, and never all of it.
    fn full_reserve(&self) -> u32 {
        (self.allowed / 4).min(self.allowed.saturating_sub(1))
    }

    /// What calls of this rank leave to disconnects now, in a window of this length: a quarter at first, nothing towards the
    /// reset.
    pub(super) fn reserve(&self, rank: Rank, length: Duration, now: Instant) -> u32 {
        let left = self.resets_at.saturating_duration_since(now);
        if left <= tail(rank, length) {
            return 0;
        }
        let share = (left.as_secs_f64() / length.as_secs_f64()).min(1.0);
        // At most a quarter of a u32.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the full reserve")]
        let reserve = (f64::from(self.full_reserve()) * share - ROUNDING).ceil().max(0.0) as u32;
        reserve
    }

    /// When the reserve will have shrunk below this.
    pub(super) fn reserve_is_below(&self, remaining: u32, rank: Rank, length: Duration) -> Instant {
        let full = self.full_reserve().max(1);
        let left = length.mul_f64((f64::from(remaining.saturating_sub(1)) / f64::from(full)).min(1.0));
        self.resets_at.checked_sub(left.max(tail(rank, length))).unwrap_or(self.resets_at)
    }

    /// What may still be sent in this window while `under_way` calls have not been answered: each of them may be
    /// uncounted yet. Answered calls are within `count`, because the upstream's count never shrinks within a window. Where the
    /// window is shared, each of the other `replicas` may have as many under way.
    pub(super) fn remaining(&self, under_way: usize, replicas: usize) -> u32 {
        let under_way = u32::try_from(under_way).unwrap_or(u32::MAX);
        let ours = self.answered.saturating_add(self.untold).saturating_add(under_way);
        let shared = if self.count > ours { u32::try_from(replicas.max(1)).unwrap_or(u32::MAX) } else { 1 };
        let spoken_for = self.count.saturating_add(self.untold).saturating_add(under_way.saturating_mul(shared));
        self.allowed.saturating_sub(spoken_for)
    }
}

/// For short windows a part of them.
fn tail(rank: Rank, length: Duration) -> Duration {
    if rank == Rank::Job { Duration::ZERO } else { TAIL.min(length / 10) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(count: u32, reset: u64) -> RateLimit {
        RateLimit { allowed: 300, count, reset: Duration::from_secs(reset) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_never_raises_what_remains() {
        let start = Instant::now();
        let mut window = Window::new(limit(290, 40), start, start);
        // Written by the upstream before, arriving 5 s after.
        window.update(limit(12, 41), start, start + seconds(5));
        assert_eq!(window.remaining(0, 1), 10);
        assert_eq!(window.remaining(4, 1), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_of_the_window_before_does_not_spend_the_new_one() {
        let start = Instant::now();
        let mut window = Window::new(limit(290, 1), start, start);
        window.update(limit(1, 60), start + seconds(2), start + seconds(2));
        assert_eq!(window.remaining(0, 1), 299);
        window.update(limit(295, 1), start, start + seconds(3));
        assert_eq!(window.remaining(0, 1), 299);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ended_without_headers_counts_until_a_later_call_has_them() {
        let start = Instant::now();
        let mut window = Window::new(limit(10, 40), start, start);
        window.count_untold(start + seconds(3));
        window.count_untold(start + seconds(3));
        window.update(limit(11, 38), start + seconds(2), start + seconds(4));
        assert_eq!(window.remaining(0, 1), 287, "sent before they ended: they may be uncounted in it");
        window.update(limit(14, 36), start + seconds(4), start + seconds(4));
        assert_eq!(window.remaining(0, 1), 286);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reserve_is_a_quarter_at_first_and_nothing_towards_the_reset() {
        let (start, length) = (Instant::now(), seconds(60));
        let window = Window::new(limit(0, 60), start, start);
        let at = |rank, s: u64| window.reserve(rank, length, start + seconds(s));
        assert_eq!([0, 30, 54, 55, 60].map(|s| at(Rank::Lookup, s)), [75, 38, 8, 0, 0]);
        assert_eq!([0, 30, 54, 55, 59, 60].map(|s| at(Rank::Job, s)), [75, 38, 8, 7, 2, 0], "to jobs until the reset");
        for allowed in 0..=9 {
            let window = Window { allowed, ..window };
            let reserve = window.reserve(Rank::Lookup, length, start);
            assert!(allowed == 0 || reserve < allowed, "{allowed}: {reserve} leaves nothing for others");
            assert_eq!(reserve > 0, allowed >= 4, "{allowed}");
        }
        for (remaining, rank) in (1..=75).flat_map(|remaining| [(remaining, Rank::Lookup), (remaining, Rank::Job)]) {
            let free = window.reserve_is_below(remaining, rank, length);
            assert!(window.reserve(rank, length, free) < remaining, "{remaining} {rank:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_replaces_an_assumed_window() {
        let start = Instant::now();
        let mut window = Window::assumed(300, start + seconds(60));
        assert_eq!(window.remaining(7, 1), 293);
        window.update(limit(20, 12), start, start);
        assert_eq!(window, Window::new(limit(20, 12), start, start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_answer_does_not_put_the_reset_off() {
        let start = Instant::now();
        let mut window = Window::new(limit(1, 60), start, start + seconds(3));
        window.update(limit(2, 57), start + seconds(3), start + seconds(3));
        assert_eq!(window.resets_at, start + seconds(60));
        assert_eq!(window.remaining(0, 1), 298);
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_window_that_others_share_calls_under_way_count_once_for_each_replica() {
        let start = Instant::now();
        let mut own = Window::new(limit(1, 60), start, start);
        own.update(limit(2, 60), start, start);
        assert_eq!(own.remaining(10, 3), 288, "nobody else is counted in it");
        let shared = Window::new(limit(40, 60), start, start);
        assert_eq!(shared.remaining(10, 3), 230);
        assert_eq!(shared.remaining(10, 1), 250);
    }

    proptest! {
        #[test]
        fn nothing_overflows(allowed in any::<u32>(), count in any::<u32>(), more in any::<u32>(), way in any::<usize>()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let now = Instant::now();
            let mut window = Window::new(RateLimit { allowed, count, reset: Duration::from_secs(1) }, now, now);
            let mut raised = window;
            window.update(RateLimit { allowed, count: more, reset: Duration::from_secs(u64::from(u32::MAX)) }, now, now);
            window.count_untold(now);
            prop_assert!(window.remaining(way, 1) <= allowed);
            let before = raised.remaining(way, 1);
            raised.update(RateLimit { allowed, count: more, reset: Duration::from_secs(1) }, now, now + Duration::from_secs(3));
            prop_assert!(raised.remaining(way, 1) <= before);
        }
    }
}
