//! Limits how many connections are open, in total and from one address. When a limit is reached, the
//! connection that has been idle longest is closed, so that idle callers never lock others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::ServeSettings;
use super::phase::{ConnectionPhase, ConnectionState};
use crate::callers::of_one_client;

/// How often to look for an idle connection again while all places are taken.
const SEARCH_AGAIN: Duration = Duration::from_millis(50);
/// A search looks at every connection, so it frees more than one place: one in this many.
const FREED_SHARE: usize = 64;

/// The connections of one listener.
#[derive(Debug)]
pub(super) struct Places {
    epoch: Instant,
    settings: ServeSettings,
    slots: Arc<Semaphore>,
    by_network: Mutex<HashMap<IpAddr, Vec<Arc<ConnectionState>>>>,
}

/// The place of one connection, freed when dropped.
#[derive(Debug)]
pub(super) struct ConnectionPlace {
    places: Arc<Places>,
    network: IpAddr,
    pub(super) state: Arc<ConnectionState>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(settings: &ServeSettings) -> Arc<Self> {
        let count = settings.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            epoch: Instant::now(),
            settings: settings.clone(),
            slots: Arc::new(Semaphore::new(count)),
            by_network: Mutex::default(),
        })
    }

    /// Waits for a place for a connection from `addr`. `None` if that address already has as many busy connections as
    /// it may.
    pub(super) async fn take(self: &Arc<Self>, addr: IpAddr) -> Option<ConnectionPlace> {
        if !self.settings.proxies.trusts(addr) && !self.address_has_room(addr) {
            self.settings.stats.connection_refused();
            return None;
        }
        loop {
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                return Some(self.seat(addr, Some(slot)));
            }
            self.make_room();
            tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => return Some(self.seat(addr, slot.ok())),
                () = sleep(SEARCH_AGAIN) => {}
            }
        }
    }

    /// A free place, if there is one now.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Registers a connection.
    pub(super) fn seat(self: &Arc<Self>, addr: IpAddr, slot: Option<OwnedSemaphorePermit>) -> ConnectionPlace {
        let (network, state) = (of_one_client(addr), Arc::new(ConnectionState::new(self.epoch)));
        self.by_network.lock().entry(network).or_default().push(Arc::clone(&state));
        ConnectionPlace { places: Arc::clone(self), network, state, _slot: slot }
    }

    /// Whether one more connection may come from this address; if necessary, its longest idle one makes room.
    fn address_has_room(&self, addr: IpAddr) -> bool {
        let by_network = self.by_network.lock();
        let Some(open) = by_network.get(&of_one_client(addr)) else { return true };
        let staying = open.iter().filter(|state| !state.is_evicted()).count();
        staying < self.settings.max_connections_per_address || self.evict(&longest_idle(open, 1)) > 0
    }

    /// Asks the connections that have been idle longest to close.
    fn make_room(&self) {
        let by_network = self.by_network.lock();
        // Those asked earlier will close in a moment, unless they have become busy.
        if by_network.values().flatten().any(|state| state.is_evicted() && state.phase() != ConnectionPhase::Busy) {
            return;
        }
        let count = self.settings.max_connections.div_ceil(FREED_SHARE);
        self.evict(&longest_idle(by_network.values().flatten(), count));
    }

    fn evict(&self, states: &[&Arc<ConnectionState>]) -> usize {
        for state in states {
            state.evict();
            self.settings.stats.connection_evicted();
        }
        states.len()
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut by_network = self.places.by_network.lock();
        let Some(open) = by_network.get_mut(&self.network) else { return };
        open.retain(|state| !Arc::ptr_eq(state, &self.state));
        if open.is_empty() {
            by_network.remove(&self.network);
        }
    }
}

/// At most `count` of these, the longest idle first.
fn longest_idle<'a>(
    states: impl IntoIterator<Item = &'a Arc<ConnectionState>>,
    count: usize,
) -> Vec<&'a Arc<ConnectionState>> {
    let mut idle: Vec<_> = states.into_iter().filter_map(|state| Some((state.idle_since()?, state))).collect();
    idle.sort_unstable_by_key(|(since, _)| *since);
    idle.into_iter().take(count).map(|(_, state)| state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn places(adjust: impl FnOnce(&mut ServeSettings)) -> Arc<Places> {
        let mut settings = ServeSettings::new(&Config::defaults().server);
        adjust(&mut settings);
        Places::new(&settings)
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_at_its_limit_gives_up_its_own_longest_idle_connection() {
        let places = places(|settings| settings.max_connections_per_address = 2);
        let other = places.take(addr("192.0.2.9")).await.unwrap();
        let (first, second) =
            (places.take(addr("192.0.2.1")).await.unwrap(), places.take(addr("192.0.2.1")).await.unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        first.state.enter(ConnectionPhase::Idle);
        let third = places.take(addr("192.0.2.1")).await.unwrap();
        assert!(second.state.is_evicted() && !first.state.is_evicted() && !other.state.is_evicted());
        first.state.enter(ConnectionPhase::Busy);
        third.state.enter(ConnectionPhase::Busy);
        assert!(places.take(addr("192.0.2.1")).await.is_none(), "all of them are busy");
        drop(first);
        assert!(places.take(addr("192.0.2.1")).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn trusted_proxies_hold_as_many_as_they_like_and_ipv6_counts_by_network() {
        let places = places(|settings| {
            settings.max_connections_per_address = 1;
            let mut server = Config::defaults().server;
            server.trusted_proxies.0 = vec!["10.0.0.0/8".to_owned()];
            settings.proxies = Arc::new(crate::callers::proxies::TrustedProxies::new(&server).unwrap());
        });
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(places.take(addr("10.1.1.1")).await.unwrap());
            held.last().unwrap().state.enter(ConnectionPhase::Busy);
        }
        assert!(held.iter().all(|place| !place.state.is_evicted()));
        let one = places.take(addr("2001:db8::1")).await.unwrap();
        one.state.enter(ConnectionPhase::Busy);
        assert!(places.take(addr("2001:db8::2")).await.is_none());
        assert!(places.take(addr("2001:db8:0:1::1")).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_waits_while_all_places_are_busy() {
        let places = places(|settings| settings.max_connections = 1);
        let first = places.take(addr("192.0.2.1")).await.unwrap();
        first.state.enter(ConnectionPhase::Busy);
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take(addr("192.0.2.2")).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!waiting.is_finished() && !first.state.is_evicted());
        first.state.enter(ConnectionPhase::Idle);
        first.state.evicted().await;
        drop(first);
        assert!(waiting.await.unwrap().is_some());
    }
}
