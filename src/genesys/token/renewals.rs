//! What a 401 means: that the token is dead, or that the resource asked for answers 401 to every token.
//!
//! | seen | then |
//! |---|---|
//! | the same token is accepted for a call that was sent after the 401 had come | the 401 is about the resource |
//! | nothing of the kind yet, and a renewal is allowed | a newer token is asked for, and the call is replayed with it |
//! | refused again, though a call sent after this one was accepted | the 401 is about the resource |
//! | refused again, and no such call was accepted | the API rejects what its login grants |
//!
//! Why not believe at once in a call that was sent later and accepted: where a token is revoked under load, calls overtake
//! each other, and the last one that was accepted may have been sent after the first one that was refused.
//!
//! A resource that answers 401 for ever would otherwise make a login of every request. So renewals have a least distance
//! whatever was accepted, and no 401 takes the token away from the calls for which it is good.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::bearer::Token;

/// A call that the API answered with 401.
#[derive(Debug)]
pub(crate) struct RefusedCall {
    pub(crate) token: Arc<Token>,
    /// When it was sent.
    pub(crate) sent_at: Instant,
    /// When the 401 came.
    pub(crate) refused_at: Instant,
}

impl RefusedCall {
    /// Whether the API has accepted the token for a call that was sent when the 401 had come: so it was good all the time.
    pub(super) fn is_contradicted(&self) -> bool {
        self.token.is_accepted_since(self.refused_at)
    }

    /// Whether the API has accepted the token for a call that was sent after this one.
    pub(super) fn is_doubtful(&self) -> bool {
        self.token.is_accepted_since(self.sent_at)
    }
}

/// What is to be done about a 401.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterRefusal {
    /// A newer token is there.
    Replay,
    /// The token is good.
    AboutTheResource,
    /// The API rejects what its login grants.
    Rejected {
        /// When another login is allowed.
        retry_after: Duration,
    },
}

/// The renewals that 401s asked for.
#[derive(Debug)]
pub(super) struct Renewals {
    /// Least time between two of them.
    pub(super) interval: Duration,
    asked: Mutex<RenewalAsked>,
}

#[derive(Debug, Default)]
struct RenewalAsked {
    last: Option<Instant>,
    /// A token newer than this one is wanted.
    generation: u64,
}

impl Renewals {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, asked: Mutex::default() }
    }

    /// Whether a 401 asks for a newer token than this one.
    pub(super) fn ask_for_newer_than(&self, generation: u64) -> bool {
        generation > 0 && self.asked.lock().generation == generation
    }

    /// Asks for a newer token, once however many ask. `Err` is the time until that is allowed.
    pub(super) fn ask(&self, refused: &Token, now: Instant) -> Result<(), Duration> {
        let mut asked = self.asked.lock();
        if asked.generation >= refused.generation {
            return Ok(());
        }
        if let Some(allowed) = asked.last.map(|at| at + self.interval)
            && allowed > now
        {
            return Err(allowed - now);
        }
        *asked = RenewalAsked { last: Some(now), generation: refused.generation };
        Ok(())
    }
}
