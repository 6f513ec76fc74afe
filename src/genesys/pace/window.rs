//! What the upstream's headers say about the current window: a pure account, no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::genesys::answer::RateLimit;

/// Resets that differ by less belong to the same window: the header counts whole seconds, rounded either way.
const SAME_WINDOW: Duration = Duration::from_secs(2);

/// The account of one window. `count` only grows within a window, so that a late answer never raises what remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) allowed: u32,
    /// Most that any answer of this window has reported as counted.
    count: u32,
    /// Calls that ended without telling the count: the upstream may have counted them.
    untold: u32,
    /// When the last of those ended.
    untold_at: Option<Instant>,
    /// No answer has told of this window yet.
    assumed: bool,
    /// The reset is not before this,
    resets_from: Instant,
    /// and not after that, give or take the header's rounding.
    pub(super) resets_at: Instant,
}

impl Window {
    /// As an answer tells it, to a call that was sent at `sent`. The upstream wrote it somewhen between then and now.
    pub(super) fn new(limit: RateLimit, sent: Instant, now: Instant) -> Self {
        Self {
            allowed: limit.allowed,
            count: limit.count,
            untold: 0,
            untold_at: None,
            assumed: false,
            resets_from: sent + limit.reset,
            resets_at: now + limit.reset,
        }
    }

    /// A window that must have begun, of which no answer has told yet. The first one will.
    pub(super) fn assumed(allowed: u32, resets_at: Instant) -> Self {
        Self { allowed, count: 0, untold: 0, untold_at: None, assumed: true, resets_from: resets_at, resets_at }
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

    /// What may still be sent in this window while `under_way` calls have not been answered: each of them may be
    /// uncounted yet. Answered calls are within `count`, because the upstream's count never shrinks within a window.
    pub(super) fn remaining(&self, under_way: usize) -> u32 {
        let spoken_for =
            self.count.saturating_add(self.untold).saturating_add(u32::try_from(under_way).unwrap_or(u32::MAX));
        self.allowed.saturating_sub(spoken_for)
    }
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
        assert_eq!(window.remaining(0), 10);
        assert_eq!(window.remaining(4), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_of_the_window_before_does_not_spend_the_new_one() {
        let start = Instant::now();
        let mut window = Window::new(limit(290, 1), start, start);
        window.update(limit(1, 60), start + seconds(2), start + seconds(2));
        assert_eq!(window.remaining(0), 299);
        window.update(limit(295, 1), start, start + seconds(3));
        assert_eq!(window.remaining(0), 299);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ended_untold_counts_until_a_later_call_tells() {
        let start = Instant::now();
        let mut window = Window::new(limit(10, 40), start, start);
        window.count_untold(start + seconds(3));
        window.count_untold(start + seconds(3));
        window.update(limit(11, 38), start + seconds(2), start + seconds(4));
        assert_eq!(window.remaining(0), 287, "sent before they ended: they may be uncounted in it");
        window.update(limit(14, 36), start + seconds(4), start + seconds(4));
        assert_eq!(window.remaining(0), 286);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_replaces_an_assumed_window() {
        let start = Instant::now();
        let mut window = Window::assumed(300, start + seconds(60));
        assert_eq!(window.remaining(7), 293);
        window.update(limit(20, 12), start, start);
        assert_eq!(window, Window::new(limit(20, 12), start, start));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_answer_does_not_put_the_reset_off() {
        let start = Instant::now();
        let mut window = Window::new(limit(1, 60), start, start + seconds(3));
        window.update(limit(2, 57), start + seconds(3), start + seconds(3));
        assert_eq!(window.resets_at, start + seconds(60));
        assert_eq!(window.remaining(0), 298);
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
            prop_assert!(window.remaining(way) <= allowed);
            let before = raised.remaining(way);
            raised.update(RateLimit { allowed, count: more, reset: Duration::from_secs(1) }, now, now + Duration::from_secs(3));
            prop_assert!(raised.remaining(way) <= before);
        }
    }
}
