//! What was accepted a moment ago: keys by their hash, each for a time.

use std::hash::{BuildHasher as _, Hash};
use std::time::Duration;

use foldhash::fast::RandomState;
use foldhash::{HashMap, HashMapExt as _};
use tokio::time::Instant;

/// Entries that are kept without looking for old ones.
const UNSWEPT: usize = 1_024;

/// Remembers keys for a time. That two keys share a hash costs one look more, and is not to be seen otherwise.
#[derive(Debug)]
pub(super) struct Recent {
    hasher: RandomState,
    ttl: Duration,
    begun: Instant,
    /// By hash, in microseconds after `begun`: two thirds of an `Instant`'s entry, of which there are many under load.
    since: HashMap<u64, u64>,
    /// Size at which old entries are looked for: twice what was left the last time, so that the cost per entry stays constant.
    crowded: usize,
}

impl Recent {
    pub(super) fn with_ttl(ttl: Duration) -> Self {
        Self { hasher: RandomState::default(), ttl, begun: Instant::now(), since: HashMap::new(), crowded: UNSWEPT }
    }

    pub(super) fn contains(&self, key: &impl Hash, now: Instant) -> bool {
        let (now, ttl) = (self.after_begin(now), micros(self.ttl));
        self.since.get(&self.hasher.hash_one(key)).is_some_and(|since| now.saturating_sub(*since) < ttl)
    }

    pub(super) fn insert(&mut self, key: &impl Hash, now: Instant) {
        let (now, ttl) = (self.after_begin(now), micros(self.ttl));
        if self.since.len() >= self.crowded {
            self.since.retain(|_, since| now.saturating_sub(*since) < ttl);
            self.since.shrink_to(2 * self.since.len());
            self.crowded = UNSWEPT.max(2 * self.since.len());
        }
        self.since.insert(self.hasher.hash_one(key), now);
    }

    fn after_begin(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.begun))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_is_remembered_for_its_time_and_from_the_last_time() {
        let mut recent = Recent::with_ttl(ms(10_000));
        for wait in [0, 500, 6_000] {
            advance(ms(wait)).await;
            recent.insert(&1, Instant::now());
        }
        advance(ms(9_990)).await;
        assert!(recent.contains(&1, Instant::now()));
        advance(ms(20)).await;
        assert!(!recent.contains(&1, Instant::now()));
        let mut none = Recent::with_ttl(Duration::ZERO);
        none.insert(&1, Instant::now());
        assert!(!none.contains(&1, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_thousand_are_kept_and_old_ones_give_their_room_back() {
        let mut recent = Recent::with_ttl(ms(10_000));
        for key in 0..100_000 {
            recent.insert(&key, Instant::now());
            advance(Duration::from_micros(80)).await;
        }
        assert!((0..100_000).all(|key| recent.contains(&key, Instant::now())));
        assert!(!(100_000..200_000).any(|key| recent.contains(&key, Instant::now())));
        // An hour of five a second.
        for key in 0..18_000 {
            recent.insert(&key, Instant::now());
            advance(ms(200)).await;
        }
        assert!(recent.since.len() <= 100_000 + 18_000 && recent.crowded <= 400_000);
        for key in 0..300_000 {
            recent.insert(&key, Instant::now());
            advance(ms(1)).await;
        }
        assert!(recent.since.capacity() < 60_000, "{}", recent.since.capacity());
    }
}
