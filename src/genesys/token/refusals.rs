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
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::{LoginState, Token, TokenCache};
use crate::genesys::error::CallError;

/// A call that the API answered with 401.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) token: Arc<Token>,
    /// When it was sent.
    pub(crate) sent_at: Instant,
    /// When the 401 came.
    pub(crate) refused_at: Instant,
}

impl Refused {
    /// Whether the API has accepted the token for a call that was sent when the 401 had come: so it was good all the time.
    fn is_contradicted(&self) -> bool {
        self.token.is_accepted_since(self.refused_at)
    }

    /// Whether the API has accepted the token for a call that was sent after this one.
    fn is_doubtful(&self) -> bool {
        self.token.is_accepted_since(self.sent_at)
    }
}

/// What is to be done about a 401.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Settled {
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
pub(super) struct Refusals {
    /// Least time between two of them.
    interval: Duration,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    last: Option<Instant>,
    /// A token newer than this one is wanted.
    generation: u64,
}

impl Refusals {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, asked: Mutex::default() }
    }

    /// Whether a 401 asks for a newer token than this one.
    pub(super) fn ask_for_newer_than(&self, generation: u64) -> bool {
        generation > 0 && self.asked.lock().generation == generation
    }

    /// Asks for a newer token, once however many ask. `Err` tells the time until that is allowed.
    fn ask(&self, refused: &Token, now: Instant) -> Result<(), Duration> {
        let mut asked = self.asked.lock();
        if asked.generation >= refused.generation {
            return Ok(());
        }
        if let Some(allowed) = asked.last.map(|at| at + self.interval)
            && allowed > now
        {
            return Err(allowed - now);
        }
        *asked = Asked { last: Some(now), generation: refused.generation };
        Ok(())
    }
}

impl TokenCache {
    /// Settles a 401. `before` is the one that the same call met with an older token, if it did.
    ///
    /// # Errors
    /// There is no newer token by then: the login failed, or had not answered when `deadline` passed.
    pub(crate) async fn settle_401(
        &self,
        refused: &Refused,
        before: Option<&Refused>,
        deadline: Instant,
    ) -> Result<Settled, CallError> {
        let token = &refused.token;
        // Where there is other traffic, an API that has accepted us says soon whether it still does.
        let trusted = token.is_trusted() || before.is_some_and(|b| b.token.is_trusted());
        let asked = Instant::now();
        let left = deadline.saturating_duration_since(asked);
        let patience = if trusted { asked + self.shared.refusals.interval.min(left / 2) } else { asked };
        let rejected = |retry_after| {
            let doubtful = refused.is_doubtful() || before.is_some_and(Refused::is_doubtful);
            if doubtful { Settled::AboutTheResource } else { Settled::Rejected { retry_after } }
        };
        let mut published = self.shared.changed.subscribe();
        loop {
            let mut acceptance = std::pin::pin!(token.acceptance.notified());
            acceptance.as_mut().enable();
            token.doubted.store(true, Ordering::SeqCst);
            if refused.is_contradicted() || before.is_some_and(Refused::is_contradicted) {
                return Ok(Settled::AboutTheResource);
            }
            let now = Instant::now();
            let wake = match before {
                Some(_) if now >= patience => return Ok(rejected(self.shared.refusals.interval)),
                Some(_) => patience,
                None if self.generation() > token.generation => return Ok(Settled::Replay),
                None => match self.shared.refusals.ask(token, now) {
                    Ok(()) => {
                        self.shared.renew.notify_one();
                        self.patient_until(patience, now)?.unwrap_or(deadline)
                    }
                    Err(wait) if now >= patience => return Ok(rejected(wait)),
                    Err(wait) => patience.min(now + wait),
                },
            };
            if now >= deadline {
                return Err(CallError::LoginPending);
            }
            tokio::select! {
                () = acceptance => {}
                _ = published.changed() => {}
                () = sleep_until(wake.min(deadline)) => {}
            }
        }
    }

    /// While the login fails, how long to wait for a sign that the old token is good; `None` while it is under way.
    fn patient_until(&self, patience: Instant, now: Instant) -> Result<Option<Instant>, CallError> {
        match &self.shared.published.load().login {
            LoginState::Waiting { next, failure } if *next > now && now >= patience => {
                Err(CallError::NoToken { failure: failure.clone(), retry_after: *next - now })
            }
            LoginState::Waiting { next, .. } if *next > now => Ok(Some(patience)),
            _ => Ok(None),
        }
    }
}
