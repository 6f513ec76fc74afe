//! Which way to disconnect this org has. Found out once in a process's life, by the first mission; the others wait for it.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Duration, Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::OperationChoice;
use crate::genesys::error::CallError;
use crate::genesys::request::Operation;

/// A way to disconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The seeds' POST.
    Post,
    /// The published PATCH.
    Patch,
}

/// After a probe that an outage ended, waiting missions go ahead side by side for this long.
const OUTAGE: Duration = Duration::from_secs(1);

const UNKNOWN: u8 = 0;
const POST: u8 = 1;
const PATCH: u8 = 2;

/// What the process has found out.
#[derive(Debug)]
pub(super) struct Discovery {
    choice: OperationChoice,
    found: AtomicU8,
    /// Held by the mission that probes; the others wait here, first come, first served.
    probe: Mutex<Option<Instant>>,
}

/// How a mission goes about it.
#[derive(Debug)]
pub(super) enum Turn<'a> {
    /// This way. In `auto`, the other one is still open when it fails.
    Known(Way),
    /// Find out. The guard lets the next one go when it is dropped.
    Probe(Option<ProbeGuard<'a>>),
}

/// Held while probing.
#[derive(Debug)]
pub(super) struct ProbeGuard<'a>(MutexGuard<'a, Option<Instant>>);

impl ProbeGuard<'_> {
    /// The probe ended without a result because the upstream fails: those who wait need not queue behind each other.
    pub(super) fn outage(mut self) {
        *self.0 = Some(Instant::now() + OUTAGE);
    }
}

impl Discovery {
    pub(super) fn new(choice: OperationChoice) -> Self {
        Self { choice, found: AtomicU8::new(UNKNOWN), probe: Mutex::new(None) }
    }

    /// Whether both ways are open.
    pub(super) fn is_auto(&self) -> bool {
        self.choice == OperationChoice::Auto
    }

    fn known(&self) -> Option<Way> {
        match (self.choice, self.found.load(Ordering::Relaxed)) {
            (OperationChoice::Post, _) | (OperationChoice::Auto, POST) => Some(Way::Post),
            (OperationChoice::Patch, _) | (OperationChoice::Auto, PATCH) => Some(Way::Patch),
            (OperationChoice::Auto, _) => None,
        }
    }

    /// The operation that this org accepts, once it is known.
    pub(super) fn operation(&self) -> Option<Operation> {
        self.known().map(|way| match way {
            Way::Post => Operation::ParticipantDisconnect,
            Way::Patch => Operation::ParticipantState,
        })
    }

    /// The way to go; waits while another mission is finding out.
    ///
    /// # Errors
    /// The deadline, or the end of the service, came first.
    pub(super) async fn turn(&self, deadline: Instant, stopping: &CancellationToken) -> Result<Turn<'_>, CallError> {
        if let Some(way) = self.known() {
            return Ok(Turn::Known(way));
        }
        let guard = tokio::select! {
            guard = timeout_at(deadline, self.probe.lock()) => guard.map_err(|_| CallError::Timeout)?,
            () = stopping.cancelled() => return Err(CallError::ShuttingDown),
        };
        if let Some(way) = self.known() {
            return Ok(Turn::Known(way));
        }
        if guard.is_some_and(|until| Instant::now() < until) {
            return Ok(Turn::Probe(None));
        }
        Ok(Turn::Probe(Some(ProbeGuard(guard))))
    }

    /// The org has accepted this way.
    pub(super) fn found(&self, way: Way) {
        let value = match way {
            Way::Post => POST,
            Way::Patch => PATCH,
        };
        if self.is_auto() && self.found.swap(value, Ordering::Relaxed) != value {
            tracing::info!(event = "operation_found", operation = ?way, "found out how this org disconnects");
        }
    }
}
