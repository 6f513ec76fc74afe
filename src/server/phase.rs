//! What a connection is busy with, shared between its stream (which limits times) and its service (which knows when
//! a request starts and when its answer ends).

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// New, or in the middle of a request head.
    Head,
    /// A request is being served.
    Busy,
    /// Waiting for the next request.
    Idle,
}

/// The state of one connection. Everything happens in one task; the atomics only make it shareable.
#[derive(Debug, Default)]
pub(super) struct State {
    phase: AtomicU8,
    unread_body: AtomicBool,
    stopping: AtomicBool,
}

impl State {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Head,
            1 => Phase::Busy,
            _ => Phase::Idle,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let value = match phase {
            Phase::Head => 0,
            Phase::Busy => 1,
            Phase::Idle => 2,
        };
        self.phase.store(value, Ordering::Relaxed);
    }

    /// Whether the body of the last request has not been read to its end.
    pub(super) fn has_unread_body(&self) -> bool {
        self.unread_body.load(Ordering::Relaxed)
    }

    pub(super) fn set_unread_body(&self, unread: bool) {
        self.unread_body.store(unread, Ordering::Relaxed);
    }

    /// Whether the connection is to end as soon as it is not busy.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
