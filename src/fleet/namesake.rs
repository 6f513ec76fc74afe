//! Notices another process that writes heartbeats under our name: the two would count as one.

use std::time::Duration;

use tokio::time::Instant;

/// The database's clock and ours may differ by this much over a few seconds.
const TOLERANCE: Duration = Duration::from_millis(100);
/// Intervals between our heartbeats in which another one was seen, one after the other, until it is said: a process that takes over
/// from its predecessor meets a last heartbeat of it, and a clock may be set.
const INTERVALS: u32 = 2;

/// What was seen under our name since we wrote our last heartbeat.
#[derive(Debug, Default)]
pub(super) struct Namesake {
    last_beat: Option<Instant>,
    /// Another heartbeat was seen since then.
    seen: bool,
    /// Intervals before this one in which it was, too.
    before: u32,
    said: bool,
}

impl Namesake {
    /// We have written a heartbeat by then; `None` where it may not have been written.
    pub(super) fn beaten(&mut self, by: Option<Instant>) {
        self.before = if self.seen { self.before + 1 } else { 0 };
        self.said &= self.seen;
        (self.last_beat, self.seen) = (by, false);
    }

    /// A look that began then has seen a heartbeat of our name that was this old. Says whether another process is to be warned of
    /// now.
    pub(super) fn looked(&mut self, began: Instant, silent: Duration) -> bool {
        let Some(last) = self.last_beat else { return false };
        self.seen |= silent + TOLERANCE < began.saturating_duration_since(last);
        let is_news = self.seen && self.before + 1 >= INTERVALS && !self.said;
        self.said |= is_news;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks each second, and a heartbeat of ours with every third one; the other's come 1.5 s later while `other` says so.
    fn warnings(seconds: u64, other: impl Fn(u64) -> bool) -> Vec<u64> {
        let (mut namesake, start) = (Namesake::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        let (mut row, mut warned) = (0, Vec::new());
        namesake.beaten(Some(at(0)));
        for second in 1..=seconds {
            let now = second * 1000;
            if second % 3 == 2 && other(second) {
                row = now - 500;
            }
            if namesake.looked(at(now), Duration::from_millis(now - row)) {
                warned.push(second);
            }
            if second % 3 == 0 {
                row = now;
                namesake.beaten(Some(at(now)));
            }
        }
        warned
    }

    #[test]
    fn a_process_that_goes_on_under_our_name_is_warned_of_once() {
        assert_eq!(warnings(60, |_| true), [5]);
        assert_eq!(warnings(60, |second| !(20..40).contains(&second)), [5, 44], "and again once it has come back");
    }

    #[test]
    fn neither_ours_nor_the_last_heartbeat_of_a_predecessor_is_another_process() {
        assert_eq!(warnings(60, |_| false), Vec::<u64>::new());
        for last in [2, 5, 29] {
            assert_eq!(warnings(60, |second| second == last), Vec::<u64>::new());
        }
    }

    #[test]
    fn nothing_is_concluded_after_a_heartbeat_that_may_not_have_been_written() {
        let (mut namesake, start) = (Namesake::default(), Instant::now());
        for second in (0..30).step_by(3) {
            namesake.beaten(None);
            assert!(!namesake.looked(start + Duration::from_secs(second + 2), Duration::ZERO));
        }
    }
}
