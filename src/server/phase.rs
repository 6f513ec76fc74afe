//! What a connection is doing, shared between its stream (which has time limits), its service (which knows when a
//! request starts and when its answer ends) and the listener (which closes idle connections when it needs their
//! places).

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// New, or in the middle of a request head.
    Head,
    /// A request is being served.
    Busy,
    /// Waiting for the next request.
    Idle,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// When the listener began; times are counted from here.
    epoch: Instant,
    phase: AtomicU8,
    /// Microseconds after `epoch` at which the phase began.
    since: AtomicU64,
    unread_body: AtomicBool,
    stopping: AtomicBool,
    evicted: AtomicBool,
    eviction: Notify,
}

impl ConnectionState {
    /// A connection that has just been accepted by a listener that began at `epoch`.
    pub(super) fn new(epoch: Instant) -> Self {
        let state = Self {
            epoch,
            phase: AtomicU8::new(0),
            since: AtomicU64::new(0),
            unread_body: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            evicted: AtomicBool::new(false),
            eviction: Notify::new(),
        };
        state.enter(ConnectionPhase::Head);
        state
    }

    pub(super) fn phase(&self) -> ConnectionPhase {
        match self.phase.load(Ordering::Relaxed) {
            0 => ConnectionPhase::Head,
            1 => ConnectionPhase::Busy,
            _ => ConnectionPhase::Idle,
        }
    }

    pub(super) fn enter(&self, phase: ConnectionPhase) {
        let value = match phase {
            ConnectionPhase::Head => 0,
            ConnectionPhase::Busy => 1,
            ConnectionPhase::Idle => 2,
        };
        if phase != ConnectionPhase::Busy {
            let since = self.epoch.elapsed().as_micros();
            self.since.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.phase.store(value, Ordering::Relaxed);
    }

    /// Since when it could be evicted, in microseconds after `epoch`; `None` if it is busy, or evicted already.
    pub(super) fn idle_since(&self) -> Option<u64> {
        let idle = self.phase() != ConnectionPhase::Busy && !self.is_evicted();
        idle.then(|| self.since.load(Ordering::Relaxed))
    }

    /// Asks the connection to make room for another.
    pub(super) fn evict(&self) {
        self.evicted.store(true, Ordering::Relaxed);
        self.eviction.notify_one();
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Waits until the connection is asked to make room.
    pub(super) async fn evicted(&self) {
        self.eviction.notified().await;
    }

    /// Whether some of the last request's body has not been read.
    pub(super) fn has_unread_body(&self) -> bool {
        self.unread_body.load(Ordering::Relaxed)
    }

    pub(super) fn set_unread_body(&self, unread: bool) {
        self.unread_body.store(unread, Ordering::Relaxed);
    }

    /// Whether the connection must end as soon as it is not busy.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
