//! What was accepted a moment ago, in a few bytes each: a burst leaves a hundred thousand of them.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// Remembers keys for a time.
#[derive(Debug)]
pub(super) struct Accepted {
    hasher: RandomState,
    memory: Duration,
    /// In the order of time. Room is given back by the slice.
    slices: VecDeque<Slice>,
}

/// Parts of the memory, at least.
const SLICES: u32 = 10;
/// What a table of 32,768 places takes. One more would double it, and leave half of it empty: a new slice begins instead.
const FULL: usize = (1 << 15) / 8 * 7;

/// What was accepted within one [`SLICES`]th of the memory, or less where it is full before.
#[derive(Debug)]
struct Slice {
    began: Instant,
    length: Duration,
    entries: HashSet<Entry, BuildHasherDefault<AsItIs>>,
}

/// The key's hash, with a seed of this process; that two of those at hand are the same will not be seen. Bits from its middle,
/// which a table uses least, give way to the time within the slice.
#[derive(Debug, Clone, Copy)]
struct Entry(u64);

/// Parts of a slice, to which times are rounded down.
const TICKS: u32 = 1 << 10;
const TIME_SHIFT: u32 = 40;
const TIME_BITS: u64 = (TICKS as u64 - 1) << TIME_SHIFT;

/// Takes what is a hash already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Accepted {
    pub(super) fn for_so_long(memory: Duration) -> Self {
        Self { hasher: RandomState::new(), memory, slices: VecDeque::new() }
    }

    pub(super) fn contains(&self, key: &impl Hash, now: Instant) -> bool {
        let hash = self.hasher.hash_one(key);
        // The last slice knows the latest time.
        let latest = self.slices.iter().rev().find_map(|slice| slice.when(hash));
        latest.is_some_and(|at| now.saturating_duration_since(at) < self.memory)
    }

    pub(super) fn remember(&mut self, key: &impl Hash, now: Instant) {
        let hash = self.hasher.hash_one(key);
        let length = self.memory / SLICES;
        match self.slices.back_mut() {
            Some(slice) if slice.takes(now) => slice.insert(hash, now),
            last => {
                // As much room as was needed last: what grows leaves a trail of smaller tables behind.
                let room = last.map_or(0, |slice| slice.entries.len());
                let entries = HashSet::with_capacity_and_hasher(room, BuildHasherDefault::default());
                let mut slice = Slice { began: now, length, entries };
                slice.insert(hash, now);
                self.slices.push_back(slice);
            }
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        let old = |slice: &Slice| now.saturating_duration_since(slice.began) >= slice.length + self.memory;
        while self.slices.front().is_some_and(old) {
            self.slices.pop_front();
        }
    }
}

impl Slice {
    fn takes(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) < self.length && self.entries.len() < FULL
    }

    fn insert(&mut self, hash: u64, now: Instant) {
        let ticks = now.saturating_duration_since(self.began).as_nanos() * u128::from(TICKS);
        let tick = ticks.checked_div(self.length.as_nanos()).unwrap_or(0) as u64;
        // An earlier time of the same key gives way.
        self.entries.replace(Entry(hash & !TIME_BITS | tick << TIME_SHIFT & TIME_BITS));
    }

    /// When it was accepted, if it was within this slice.
    fn when(&self, hash: u64) -> Option<Instant> {
        let tick = (self.entries.get(&Entry(hash))?.0 & TIME_BITS) >> TIME_SHIFT;
        Some(self.began + self.length * tick as u32 / TICKS)
    }
}

impl Entry {
    fn hash_bits(self) -> u64 {
        self.0 & !TIME_BITS
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.hash_bits() == other.hash_bits()
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash_bits());
    }
}

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash << 8 | u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_is_remembered_for_its_time_and_no_longer() {
        let mut accepted = Accepted::for_so_long(ms(10_000));
        // Wherever in a slice it falls.
        for key in 0..33 {
            accepted.remember(&key, Instant::now());
            advance(ms(300)).await;
        }
        // 9.9 s after the first.
        for key in 0..33 {
            advance(ms(95)).await;
            accepted.forget_old(Instant::now());
            assert!(accepted.contains(&key, Instant::now()), "{key}");
            advance(ms(5)).await;
            assert!(!accepted.contains(&key, Instant::now()), "{key}");
            advance(ms(200)).await;
        }
        advance(ms(1_000)).await;
        accepted.forget_old(Instant::now());
        assert!(accepted.slices.is_empty(), "what is forgotten takes no memory");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_accepted_again_is_remembered_from_then() {
        let mut accepted = Accepted::for_so_long(ms(10_000));
        for wait in [0, 500, 6_000] {
            advance(ms(wait)).await;
            accepted.remember(&1, Instant::now());
        }
        advance(ms(9_990)).await;
        accepted.forget_old(Instant::now());
        assert!(accepted.contains(&1, Instant::now()));
        advance(ms(20)).await;
        assert!(!accepted.contains(&1, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_time_nothing_is_remembered() {
        let mut accepted = Accepted::for_so_long(Duration::ZERO);
        accepted.remember(&1, Instant::now());
        assert!(!accepted.contains(&1, Instant::now()));
        accepted.forget_old(Instant::now());
        assert!(accepted.slices.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_thousand_take_a_few_bytes_each_and_none_is_taken_for_another() {
        let mut accepted = Accepted::for_so_long(ms(10_000));
        for key in 0..100_000 {
            accepted.remember(&key, Instant::now());
            advance(Duration::from_micros(80)).await;
        }
        assert!((0..100_000).all(|key| accepted.contains(&key, Instant::now())));
        assert!(!(100_000..200_000).any(|key| accepted.contains(&key, Instant::now())));
        assert!(room(&accepted) < 250_000, "{}", room(&accepted));
        assert_eq!(size_of::<Entry>(), 8);
    }

    fn room(accepted: &Accepted) -> usize {
        accepted.slices.iter().map(|slice| slice.entries.capacity()).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn however_fast_they_come_little_room_is_empty_and_each_is_remembered_for_its_time() {
        let mut accepted = Accepted::for_so_long(ms(10_000));
        let begin = Instant::now();
        for key in 0..300_000 {
            accepted.remember(&key, Instant::now());
            advance(Duration::from_micros(30)).await;
        }
        assert!(room(&accepted) < 330_000, "{}", room(&accepted));
        // The first of them came 9 s ago.
        assert!((0..300_000).all(|key| accepted.contains(&key, Instant::now())));
        let later = begin + ms(10_000) + Duration::from_micros(30 * 150_000);
        accepted.forget_old(later);
        assert!(!(0..149_000).any(|key| accepted.contains(&key, later)));
        assert!((151_000..300_000).all(|key| accepted.contains(&key, later)));
    }
}
