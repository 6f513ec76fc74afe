//! For whom upstream calls are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::rank::Rank;
use crate::telemetry::traces::Parent;

/// Who asks, and under which request id. Made once where the request comes in, and shared by all that is done for it.
#[derive(Debug)]
pub struct Requester {
    /// Name of the caller's key; for fairness at the gate, and logs.
    pub caller: Arc<str>,
    /// The request id that is answered.
    pub request_id: Arc<str>,
    /// The trace that upstream attempts belong to; it is passed on to the upstream.
    pub trace: Parent,
    /// The highest rank of its calls at the gate: those of jobs go after everything else.
    pub rank: Rank,
    sent: AtomicBool,
}

impl Requester {
    /// A requester with the rank of disconnects, outside any trace.
    #[must_use]
    pub fn new(caller: Arc<str>, request_id: Arc<str>) -> Self {
        let (trace, rank) = (Parent::default(), Rank::Disconnect);
        Self { caller, request_id, trace, rank, sent: AtomicBool::new(false) }
    }

    /// Puts upstream attempts into this trace.
    #[must_use]
    pub fn in_trace(mut self, trace: Parent) -> Self {
        self.trace = trace;
        self
    }

    /// Lets none of its calls go before those of this rank.
    #[must_use]
    pub fn with_rank(mut self, rank: Rank) -> Self {
        self.rank = rank;
        self
    }

    /// The same for one of several disconnects of a request: each knows for itself whether it was sent.
    #[must_use]
    pub(crate) fn for_one_of_several(&self) -> Self {
        let (caller, request_id) = (Arc::clone(&self.caller), Arc::clone(&self.request_id));
        Self::new(caller, request_id).in_trace(self.trace.clone()).with_rank(self.rank)
    }

    /// Whether a disconnect request may have gone upstream: what is given up before has no effect.
    pub(crate) fn may_have_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn note_sent(&self) {
        self.sent.store(true, Ordering::Relaxed);
    }
}
