//! Settles a 401 by the rules in `renewals`.

use std::sync::atomic::Ordering;

use tokio::time::{Instant, sleep_until};

use super::renewals::{AfterRefusal, RefusedCall};
use super::{LoginState, TokenCache};
use crate::genesys::error::CallError;

impl TokenCache {
    /// Settles a 401. `before` is the one that the same call met with an older token, if it did.
    ///
    /// # Errors
    /// There is no newer token by then: the login failed, or had not answered when `deadline` passed.
    pub(crate) async fn settle_401(
        &self,
        refused: &RefusedCall,
        before: Option<&RefusedCall>,
        deadline: Instant,
    ) -> Result<AfterRefusal, CallError> {
        let token = &refused.token;
        // If there is other traffic, an API that accepted the token will soon show whether it still does.
        let trusted = token.is_trusted() || before.is_some_and(|b| b.token.is_trusted());
        let asked = Instant::now();
        let left = deadline.saturating_duration_since(asked);
        let patience = if trusted { asked + self.shared.renewals.interval.min(left / 2) } else { asked };
        let rejected = |retry_after| {
            let doubtful = refused.is_doubtful() || before.is_some_and(RefusedCall::is_doubtful);
            if doubtful { AfterRefusal::AboutTheResource } else { AfterRefusal::Rejected { retry_after } }
        };
        let mut published = self.shared.changed.subscribe();
        loop {
            let mut acceptance = std::pin::pin!(token.acceptance.notified());
            acceptance.as_mut().enable();
            token.doubted.store(true, Ordering::SeqCst);
            if refused.is_contradicted() || before.is_some_and(RefusedCall::is_contradicted) {
                return Ok(AfterRefusal::AboutTheResource);
            }
            let now = Instant::now();
            let wake = match before {
                Some(_) if now >= patience => return Ok(rejected(self.shared.renewals.interval)),
                Some(_) => patience,
                None if self.generation() > token.generation => return Ok(AfterRefusal::Replay),
                None => match self.shared.renewals.ask(token, now) {
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
