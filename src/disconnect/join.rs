//! Join: repeats of a mission share its flight. IVR platforms repeat failed calls by themselves.
//!
//! Nothing is remembered that could become untrue: a flight's result is shared only while it is under way, and for a
//! short time after an accepted disconnect it is remembered that one was sent, so that a repeat looks before it sends.

mod accepted;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use accepted::Accepted;

/// The missions under way, and those accepted a moment ago.
#[derive(Debug)]
pub(crate) struct Flights<K, R> {
    state: Arc<Mutex<State<K, R>>>,
}

#[derive(Debug)]
struct State<K, R> {
    /// With those who wait for the result: mostly nobody.
    under_way: HashMap<K, Vec<oneshot::Sender<R>>>,
    accepted: Accepted,
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
    landed: bool,
    /// A disconnect for the same key was accepted a moment ago.
    pub(crate) accepted_recently: bool,
}

/// Waits for a pilot.
#[derive(Debug)]
pub(crate) struct Passenger<R>(oneshot::Receiver<R>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash + Clone, R: Clone> Flights<K, R> {
    /// Remembers for so long after acceptance that a disconnect was sent.
    pub(crate) fn remembering(memory: Duration) -> Self {
        let state = State { under_way: HashMap::new(), accepted: Accepted::for_so_long(memory) };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Joins the flight for `key`, or starts it.
    pub(crate) fn board(&self, key: &K) -> Role<K, R> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.accepted.forget_old(now);
        match state.under_way.entry(key.clone()) {
            Entry::Occupied(mut flight) => {
                let (tell, told) = oneshot::channel();
                flight.get_mut().push(tell);
                return Role::Passenger(Passenger(told));
            }
            Entry::Vacant(free) => {
                free.insert(Vec::new());
            }
        }
        let accepted_recently = state.accepted.contains(key, now);
        drop(state);
        Role::Pilot(Pilot { flights: Arc::clone(&self.state), key: key.clone(), landed: false, accepted_recently })
    }
}

impl<K: Eq + Hash + Clone, R: Clone> Pilot<K, R> {
    /// Ends the flight with this result. `accepted`: a disconnect was sent and taken.
    pub(crate) fn land(mut self, result: &R, accepted: bool) {
        self.landed = true;
        let mut state = lock(&self.flights);
        if accepted {
            state.accepted.remember(&self.key, Instant::now());
        }
        // Whoever boards from now on starts anew.
        let passengers = state.under_way.remove(&self.key).unwrap_or_default();
        drop(state);
        for passenger in passengers {
            // Whoever is gone needs no result.
            let _ = passenger.send(result.clone());
        }
    }
}

impl<K: Eq + Hash + Clone, R: Clone> Drop for Pilot<K, R> {
    fn drop(&mut self) {
        // Once it has landed, a flight under this key is somebody else's.
        if !self.landed {
            lock(&self.flights).under_way.remove(&self.key);
        }
    }
}

impl<R> Passenger<R> {
    /// The pilot's result; `None` when it crashed.
    pub(crate) async fn result(self) -> Option<R> {
        self.0.await.ok()
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
        first.land(&7, false);
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
    async fn an_accepted_disconnect_is_remembered() {
        let flights = Flights::remembering(Duration::from_secs(10));
        pilot(&flights, 1).land(&7, true);
        pilot(&flights, 2).land(&7, false);
        tokio::time::advance(Duration::from_millis(9_900)).await;
        assert!(pilot(&flights, 1).accepted_recently);
        assert!(!pilot(&flights, 2).accepted_recently);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(!pilot(&flights, 1).accepted_recently);
    }
}
