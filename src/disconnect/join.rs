//! Join: repeats of a mission share its flight. IVR platforms repeat failed calls by themselves.
//!
//! Nothing is remembered that could become untrue: a flight's result is shared only while it is under way, and for a
//! short time after an accepted disconnect it is remembered that one was sent, so that a repeat looks before it sends.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The missions under way, and those accepted a moment ago.
#[derive(Debug)]
pub(crate) struct Flights<K, R> {
    state: Arc<Mutex<State<K, R>>>,
    memory: Duration,
}

#[derive(Debug)]
struct State<K, R> {
    under_way: HashMap<K, watch::Receiver<Option<R>>>,
    accepted: Accepted,
}

/// What was accepted a moment ago: a few bytes each, for a burst leaves a hundred thousand of them. Keys are kept as their
/// hashes, of 64 bits and with a seed of this process: that two of those at hand are the same will not be seen.
#[derive(Debug)]
struct Accepted {
    hasher: RandomState,
    start: Instant,
    /// By hash, the millisecond in which it is to be forgotten.
    until: HashMap<u64, u64>,
    /// The same in the order of time.
    forget: VecDeque<(u64, u64)>,
}

/// The part that a request plays.
#[derive(Debug)]
pub(crate) enum Role<K: Eq + Hash + Clone, R: Clone> {
    /// First: carries the mission through.
    Pilot(Pilot<K, R>),
    /// A repeat: waits for the pilot's result.
    Passenger(Passenger<R>),
}

/// Must land; a pilot that is dropped, also by a panic, leaves its passengers with `None`.
#[derive(Debug)]
pub(crate) struct Pilot<K: Eq + Hash + Clone, R: Clone> {
    flights: Arc<Mutex<State<K, R>>>,
    key: K,
    result: watch::Sender<Option<R>>,
    memory: Duration,
    /// A disconnect for the same key was accepted a moment ago.
    pub(crate) accepted_recently: bool,
}

/// Waits for a pilot.
#[derive(Debug)]
pub(crate) struct Passenger<R>(watch::Receiver<Option<R>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash + Clone, R: Clone> Flights<K, R> {
    /// Remembers for so long after acceptance that a disconnect was sent.
    pub(crate) fn remembering(memory: Duration) -> Self {
        let state = State { under_way: HashMap::new(), accepted: Accepted::new() };
        Self { state: Arc::new(Mutex::new(state)), memory }
    }

    /// Joins the flight for `key`, or starts it.
    pub(crate) fn board(&self, key: &K) -> Role<K, R> {
        let mut state = lock(&self.state);
        state.accepted.forget_old();
        if let Some(flight) = state.under_way.get(key) {
            return Role::Passenger(Passenger(flight.clone()));
        }
        let (result, flight) = watch::channel(None);
        state.under_way.insert(key.clone(), flight);
        let accepted_recently = state.accepted.contains(key);
        drop(state);
        Role::Pilot(Pilot {
            flights: Arc::clone(&self.state),
            key: key.clone(),
            result,
            memory: self.memory,
            accepted_recently,
        })
    }
}

impl Accepted {
    fn new() -> Self {
        let hasher = RandomState::new();
        Self { hasher, start: Instant::now(), until: HashMap::new(), forget: VecDeque::new() }
    }

    /// Milliseconds since the start: half the size of an instant.
    fn clock(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn contains(&self, key: &impl Hash) -> bool {
        self.until.contains_key(&self.hasher.hash_one(key))
    }

    fn remember(&mut self, key: &impl Hash, memory: Duration) {
        let until = self.clock() + memory.as_millis() as u64;
        let hash = self.hasher.hash_one(key);
        self.until.insert(hash, until);
        self.forget.push_back((hash, until));
    }

    fn forget_old(&mut self) {
        let now = self.clock();
        while let Some(&(hash, until)) = self.forget.front()
            && until <= now
        {
            self.forget.pop_front();
            // Accepted anew meanwhile: a later entry forgets it.
            if self.until.get(&hash) == Some(&until) {
                self.until.remove(&hash);
            }
        }
    }
}

impl<K: Eq + Hash + Clone, R: Clone> Pilot<K, R> {
    /// Ends the flight with this result. `accepted`: a disconnect was sent and taken.
    pub(crate) fn land(self, result: R, accepted: bool) {
        if accepted {
            lock(&self.flights).accepted.remember(&self.key, self.memory);
        }
        self.result.send_replace(Some(result));
    }
}

impl<K: Eq + Hash + Clone, R: Clone> Drop for Pilot<K, R> {
    fn drop(&mut self) {
        // Before the sender goes: whoever boards from now on starts anew.
        lock(&self.flights).under_way.remove(&self.key);
    }
}

impl<R: Clone> Passenger<R> {
    /// The pilot's result; `None` when it crashed.
    pub(crate) async fn result(mut self) -> Option<R> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pilot(flights: &Flights<u8, u8>, key: u8) -> Pilot<u8, u8> {
        match flights.board(&key) {
            Role::Pilot(pilot) => pilot,
            Role::Passenger(_) => panic!("a flight is under way"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_share_the_result_of_the_first() {
        let flights = Flights::remembering(Duration::from_secs(10));
        let first = pilot(&flights, 1);
        let Role::Passenger(second) = flights.board(&1) else { panic!("no passenger") };
        assert!(matches!(flights.board(&2), Role::Pilot(_)), "another key is another flight");
        first.land(7, false);
        assert_eq!(second.result().await, Some(7));
        assert!(!pilot(&flights, 1).accepted_recently, "the result is not remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crashed_pilot_leaves_no_result_and_no_flight() {
        let flights = Flights::remembering(Duration::from_secs(10));
        let first = pilot(&flights, 1);
        let Role::Passenger(second) = flights.board(&1) else { panic!("no passenger") };
        drop(first);
        assert_eq!(second.result().await, None);
        drop(pilot(&flights, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_disconnect_is_remembered_for_ten_seconds() {
        let flights = Flights::remembering(Duration::from_secs(10));
        pilot(&flights, 1).land(7, true);
        tokio::time::advance(Duration::from_millis(9_900)).await;
        assert!(pilot(&flights, 1).accepted_recently);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(!pilot(&flights, 1).accepted_recently);
        assert!(lock(&flights.state).accepted.until.is_empty(), "what is forgotten takes no memory");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_accepted_is_remembered_and_forgotten_after_weeks_too() {
        let flights = Flights::remembering(Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(u64::from(u32::MAX) - 4_000)).await;
        pilot(&flights, 1).land(7, true);
        for _ in 0..9 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(pilot(&flights, 1).accepted_recently);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!pilot(&flights, 1).accepted_recently);
        assert!(lock(&flights.state).accepted.until.is_empty());
        pilot(&flights, 1).land(7, true);
        tokio::time::advance(Duration::from_secs(30 * 24 * 3600)).await;
        assert!(!pilot(&flights, 1).accepted_recently, "a quiet month later");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_accepted_again_is_remembered_from_then() {
        let flights = Flights::remembering(Duration::from_secs(10));
        pilot(&flights, 1).land(7, true);
        tokio::time::advance(Duration::from_secs(6)).await;
        pilot(&flights, 1).land(7, true);
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(pilot(&flights, 1).accepted_recently);
    }
}
