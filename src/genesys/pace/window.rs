//! What the upstream's headers say about the current window: a pure account, no clock of its own.

use std::time::Duration;

use tokio::time::Instant;

use crate::genesys::answer::RateLimit;

/// Resets that differ by less belong to the same window: the header counts whole seconds.
const SAME_WINDOW: Duration = Duration::from_secs(2);

/// The account of one window. `count` only grows within a window, so that a late answer never raises what remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) allowed: u32,
    /// Most that any answer of this window has reported as counted.
    count: u32,
    /// Calls that ended without an answer: the upstream may have counted them.
    lost: u32,
    pub(super) resets_at: Instant,
}

impl Window {
    pub(super) fn new(limit: RateLimit, now: Instant) -> Self {
        Self { allowed: limit.allowed, count: limit.count, lost: 0, resets_at: now + limit.reset }
    }

    /// Takes a further answer into the account.
    pub(super) fn update(&mut self, limit: RateLimit, now: Instant) {
        let resets_at = now + limit.reset;
        if resets_at > self.resets_at + SAME_WINDOW {
            *self = Self::new(limit, now);
        } else {
            self.allowed = limit.allowed;
            if limit.count > self.count {
                // The lost calls came before this answer's request, so its count covers them as far as they were counted.
                self.lost = self.lost.saturating_sub(limit.count - self.count);
                self.count = limit.count;
            }
        }
    }

    pub(super) fn lose_one(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    /// What may still be sent in this window while `under_way` calls have not been answered: each of them may be
    /// uncounted yet. Answered calls are within `count`, because the upstream's count never shrinks within a window.
    pub(super) fn remaining(&self, under_way: usize) -> u32 {
        let spoken_for =
            self.count.saturating_add(self.lost).saturating_add(u32::try_from(under_way).unwrap_or(u32::MAX));
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

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_never_raises_what_remains() {
        let now = Instant::now();
        let mut window = Window::new(limit(290, 40), now);
        window.update(limit(12, 40), now);
        assert_eq!(window.remaining(0), 10);
        assert_eq!(window.remaining(4), 6);
        window.lose_one();
        assert_eq!(window.remaining(4), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_reset_starts_a_new_account() {
        let now = Instant::now();
        let mut window = Window::new(limit(300, 1), now);
        window.update(limit(1, 60), now + Duration::from_secs(2));
        assert_eq!(window.remaining(0), 299);
    }

    proptest! {
        #[test]
        fn nothing_overflows(allowed in any::<u32>(), count in any::<u32>(), more in any::<u32>(), way in any::<usize>()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let _guard = runtime.enter();
            let now = Instant::now();
            let mut window = Window::new(RateLimit { allowed, count, reset: Duration::from_secs(1) }, now);
            window.update(RateLimit { allowed, count: more, reset: Duration::from_secs(u64::from(u32::MAX)) }, now);
            window.lose_one();
            prop_assert!(window.remaining(way) <= allowed);
        }
    }
}
