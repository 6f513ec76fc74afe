//! The fleet: who else is alive, and the mode that holds for all.
//!
//! Each replica writes a heartbeat every 3 s, and looks around every second. What it saw last holds while the store is out of
//! reach. Nothing here is on the way of a disconnect.

mod namesake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Mode, StoreKind};
use crate::instance;
use crate::store::{Replica, Store, StoreError};
use namesake::Namesake;

/// A change of the mode reaches all within two of these.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks between two heartbeats.
const LOOKS_PER_BEAT: u32 = 3;
/// Between two rounds in which the store forgets what has ended.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// Parts of the old audit that one round removes.
const PURGES_AT_ONCE: usize = 20;

/// This replica's view of the fleet. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<FleetInner>);

#[derive(Debug)]
struct FleetInner {
    store: Store,
    instance: Arc<str>,
    keep_audit: Duration,
    keep_jobs: Duration,
    live: AtomicUsize,
    /// The mode was read from the store, or the store has none.
    mode_known: AtomicBool,
    /// The store has one.
    mode_stored: AtomicBool,
    /// Counts the changes of the mode that were made here, before and after each: what was read meanwhile may be older.
    mode_changes: AtomicU64,
    replicas: Mutex<Vec<Replica>>,
    namesake: Mutex<Namesake>,
}

/// What a replica sees when it looks around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The mode, where one was set for all.
    pub mode: Option<Mode>,
    /// Replicas that are alive, this one included.
    pub replicas: usize,
}

impl Fleet {
    /// Alone, until the first look.
    #[must_use]
    pub fn new(store: Store, settings: &config::Store) -> Self {
        Self(Arc::new(FleetInner {
            store,
            instance: settings.instance.as_deref().map_or_else(instance::name, Arc::from),
            keep_audit: settings.keep_audit,
            keep_jobs: settings.keep_jobs,
            live: AtomicUsize::new(1),
            mode_known: AtomicBool::new(false),
            mode_stored: AtomicBool::new(false),
            mode_changes: AtomicU64::new(0),
            replicas: Mutex::default(),
            namesake: Mutex::default(),
        }))
    }

    /// What this replica is called.
    #[must_use]
    pub fn instance(&self) -> &Arc<str> {
        &self.0.instance
    }

    /// How many replicas are alive, this one included: at least 1. The last count holds without the store.
    #[must_use]
    pub fn live(&self) -> usize {
        self.0.live.load(Ordering::Relaxed)
    }

    /// The replicas that were alive at the last look.
    #[must_use]
    pub fn replicas(&self) -> Vec<Replica> {
        self.0.replicas.lock().clone()
    }

    /// Whether the mode is the stored one; otherwise it is the configured one, because none was set or the store could not be read
    /// yet.
    #[must_use]
    pub fn mode_is_stored(&self) -> bool {
        self.0.mode_stored.load(Ordering::Relaxed)
    }

    /// Sets the mode of all replicas.
    ///
    /// # Errors
    /// The store could not take it. It may have, where it did not answer.
    pub async fn set_mode(&self, mode: Mode) -> Result<(), StoreError> {
        self.0.mode_changes.fetch_add(1, Ordering::Relaxed);
        let set = self.0.store.set_mode(mode).await;
        self.0.mode_changes.fetch_add(1, Ordering::Relaxed);
        set?;
        self.0.mode_stored.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The first heartbeat, and the first look, if the store lets us.
    pub async fn enter(&self) -> Option<Look> {
        let entered = self.0.store.enter(&self.0.instance).await;
        self.0.namesake.lock().beaten(entered.is_ok().then(Instant::now));
        let look = self.look().await;
        if !self.0.mode_known.load(Ordering::Relaxed) {
            tracing::warn!(
                event = "mode_unread",
                "the store cannot be read: the configured mode holds until the stored one has been"
            );
        }
        look
    }

    /// Looks who is alive, and which mode was set; `None` where the store cannot be read.
    pub async fn look(&self) -> Option<Look> {
        let changes = self.0.mode_changes.load(Ordering::Relaxed);
        let began = Instant::now();
        let seen = self.0.store.read_fleet().await.ok()?;
        let is_current = self.0.mode_changes.load(Ordering::Relaxed) == changes;
        self.0.mode_known.store(true, Ordering::Relaxed);
        self.0.mode_stored.store(seen.mode.is_some(), Ordering::Relaxed);
        let others = seen.replicas.iter().filter(|replica| replica.instance != *self.0.instance).count();
        let live = others + 1;
        let before = self.0.live.swap(live, Ordering::Relaxed);
        if before != live {
            tracing::info!(event = "fleet_changed", replicas = live, before, "another number of replicas is alive");
        }
        let own = seen.replicas.iter().find(|replica| replica.instance == *self.0.instance);
        if let Some(own) = own
            && self.0.namesake.lock().looked(began, own.silent)
        {
            tracing::warn!(
                event = "instance_twice",
                instance = &*self.0.instance,
                "another process has the same store.instance: the two count as one replica, so that rates and windows are divided by \
                 too few. Give each process a name of its own, or leave store.instance unset"
            );
        }
        *self.0.replicas.lock() = seen.replicas;
        Some(Look { mode: seen.mode.filter(|_| is_current), replicas: live })
    }

    /// Keeps the heartbeat going until `stop`, hands each look to `apply`, and has the store forget what has ended.
    pub async fn run(&self, stop: CancellationToken, apply: impl Fn(Look)) {
        let alone = *self.0.store.kind() == StoreKind::Memory;
        tokio::join!(
            // A store in memory is not shared.
            async {
                if !alone {
                    stop.run_until_cancelled(self.watch(apply)).await;
                    let _ = self.0.store.leave(&self.0.instance).await;
                }
            },
            stop.run_until_cancelled(self.purge()),
        );
    }

    async fn watch(&self, apply: impl Fn(Look)) {
        let mut looks: u32 = 0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(look) = self.look().await {
                apply(look);
            }
            // After the look, which sees who else has written a heartbeat under our name since the last one.
            looks = (looks + 1) % LOOKS_PER_BEAT;
            if looks == 0 {
                let beaten = self.0.store.beat(&self.0.instance).await;
                self.0.namesake.lock().beaten(beaten.is_ok().then(Instant::now));
            }
        }
    }

    async fn purge(&self) {
        loop {
            tokio::time::sleep(PURGE_EVERY).await;
            let _ = self.0.store.purge_claims().await;
            let _ = self.0.store.purge_replicas().await;
            while matches!(self.0.store.purge_jobs(self.0.keep_jobs).await, Ok(true)) {}
            for _ in 0..PURGES_AT_ONCE {
                if !matches!(self.0.store.purge_audit(self.0.keep_audit).await, Ok(true)) {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
