//! Singleflight: requests with the same effect share one disconnect. IVR platforms repeat failed calls by themselves.
//!
//! Nothing is remembered that could become untrue: a result is shared only while it is under way, and for a short time after an
//! accepted disconnect it is remembered that one was sent, so that a repeat reads before it sends.

mod recent;

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt as _};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use recent::Recent;

/// What is under way, and what was accepted a moment ago.
#[derive(Debug)]
pub(crate) struct Singleflight<K, R> {
    state: Arc<Mutex<FlightTable<K, R>>>,
}

#[derive(Debug)]
struct FlightTable<K, R> {
    /// With those who wait for the result: mostly none.
    under_way: HashMap<K, Vec<oneshot::Sender<R>>>,
    accepted: Recent,
}

/// The part that a request plays.
#[derive(Debug)]
pub(crate) enum Role<K: Eq + Hash + Clone, R: Clone> {
    /// First: does the work.
    Leader(Leader<K, R>),
    /// A repeat: waits for the leader's result.
    Follower(Follower<R>),
}

/// Must complete; a leader that is dropped, also by a panic, leaves its followers with `None`.
#[derive(Debug)]
pub(crate) struct Leader<K: Eq + Hash + Clone, R: Clone> {
    state: Arc<Mutex<FlightTable<K, R>>>,
    key: K,
    completed: bool,
    /// A disconnect for the same key was accepted a moment ago.
    pub(crate) accepted_recently: bool,
}

/// Waits for a leader.
#[derive(Debug)]
pub(crate) struct Follower<R>(oneshot::Receiver<R>);

impl<K: Eq + Hash + Clone, R: Clone> Singleflight<K, R> {
    /// Remembers for this long after acceptance that a disconnect was sent.
    pub(crate) fn with_memory(memory: Duration) -> Self {
        let state = FlightTable { under_way: HashMap::new(), accepted: Recent::with_ttl(memory) };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Joins the work for `key`, or begins it.
    pub(crate) fn join(&self, key: &K) -> Role<K, R> {
        let mut state = self.state.lock();
        match state.under_way.entry(key.clone()) {
            Entry::Occupied(mut followers) => {
                let (sender, result) = oneshot::channel();
                followers.get_mut().push(sender);
                return Role::Follower(Follower(result));
            }
            Entry::Vacant(free) => {
                free.insert(Vec::new());
            }
        }
        let accepted_recently = state.accepted.contains(key, Instant::now());
        drop(state);
        Role::Leader(Leader { state: Arc::clone(&self.state), key: key.clone(), completed: false, accepted_recently })
    }
}

impl<K: Eq + Hash + Clone, R: Clone> Leader<K, R> {
    /// Ends the work with what `result` gives, which is asked for only where there are followers. `accepted`: a disconnect was
    /// sent and taken.
    pub(crate) fn complete(mut self, accepted: bool, result: impl FnOnce() -> R) {
        self.completed = true;
        let mut state = self.state.lock();
        if accepted {
            state.accepted.insert(&self.key, Instant::now());
        }
        // A request that comes from now on leads a new disconnect.
        let followers = state.under_way.remove(&self.key).unwrap_or_default();
        drop(state);
        if followers.is_empty() {
            return;
        }
        let result = result();
        for follower in followers {
            // A follower whose request was cut off needs no result.
            let _ = follower.send(result.clone());
        }
    }
}

impl<K: Eq + Hash + Clone, R: Clone> Drop for Leader<K, R> {
    fn drop(&mut self) {
        // Once it has completed, work under this key is another leader's.
        if !self.completed {
            self.state.lock().under_way.remove(&self.key);
        }
    }
}

impl<R> Follower<R> {
    /// The leader's result; `None` when it crashed.
    pub(crate) async fn result(self) -> Option<R> {
        self.0.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(singleflight: &Singleflight<u8, u8>, key: u8) -> Leader<u8, u8> {
        match singleflight.join(&key) {
            Role::Leader(leader) => leader,
            Role::Follower(_) => panic!("work is under way"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_share_the_result_of_the_first() {
        let singleflight = Singleflight::with_memory(Duration::from_secs(10));
        let first = leader(&singleflight, 1);
        let Role::Follower(second) = singleflight.join(&1) else { panic!("no follower") };
        assert!(matches!(singleflight.join(&2), Role::Leader(_)), "another key is other work");
        first.complete(false, || 7);
        assert_eq!(second.result().await, Some(7));
        assert!(!leader(&singleflight, 1).accepted_recently, "the result is not remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_crashed_leader_leaves_no_result_and_no_work_under_way() {
        let singleflight = Singleflight::with_memory(Duration::from_secs(10));
        let first = leader(&singleflight, 1);
        let Role::Follower(second) = singleflight.join(&1) else { panic!("no follower") };
        drop(first);
        assert_eq!(second.result().await, None);
        drop(leader(&singleflight, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_disconnect_is_remembered() {
        let singleflight = Singleflight::with_memory(Duration::from_secs(10));
        leader(&singleflight, 1).complete(true, || 7);
        leader(&singleflight, 2).complete(false, || 7);
        tokio::time::advance(Duration::from_millis(9_900)).await;
        assert!(leader(&singleflight, 1).accepted_recently);
        assert!(!leader(&singleflight, 2).accepted_recently);
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(!leader(&singleflight, 1).accepted_recently);
    }
}
