//! The bearer token: what it is, and how those who need one get it without a lock.
//!
//! One writer task (`writer`) logs in and publishes; readers load the current state. Tokens have generations. A 401 never
//! takes a token away from the other calls: it asks for a newer one (`renewals`), and the old one serves until that is granted.

pub(crate) mod bearer;
pub(crate) mod failure;
pub(crate) mod login;
mod renewals;
mod settle;
pub(crate) mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::CallError;
pub use bearer::Token;
pub use failure::LoginFailure;
use renewals::Renewals;
pub(crate) use renewals::{AfterRefusal, RefusedCall};

/// What the writer is doing about the login.
#[derive(Debug, Clone)]
pub(crate) enum LoginState {
    /// Nothing: the token is fine.
    Idle,
    /// A login attempt is in flight.
    UnderWay,
    /// The last attempt failed; the next one starts then.
    Waiting { next: Instant, failure: LoginFailure },
}

#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) token: Option<Arc<Token>>,
    pub(crate) login: LoginState,
}

/// The lock-free side of the token cache. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenCache {
    shared: Arc<TokenInner>,
}

#[derive(Debug)]
struct TokenInner {
    published: ArcSwap<Published>,
    /// Wakes those who wait for a change of what is published.
    changed: watch::Sender<u64>,
    /// Wakes the writer: a token met a 401, or the operator asked for a renewal.
    renew: Notify,
    renewal_forced: AtomicBool,
    renewals: Renewals,
}

impl TokenCache {
    /// An empty cache. 401s ask for a renewal once in `renewal_interval` at most.
    pub(crate) fn new(renewal_interval: Duration) -> Self {
        let first = Published { token: None, login: LoginState::UnderWay };
        Self {
            shared: Arc::new(TokenInner {
                published: ArcSwap::from_pointee(first),
                changed: watch::Sender::new(0),
                renew: Notify::new(),
                renewal_forced: AtomicBool::new(false),
                renewals: Renewals::new(renewal_interval),
            }),
        }
    }

    /// The token to send now, if there is one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Token>> {
        self.shared.published.load().token.as_ref().filter(|t| t.usable(Instant::now())).cloned()
    }

    /// The token to send, after waiting for the login attempt in flight if that is needed.
    ///
    /// # Errors
    /// [`CallError::NoToken`] at once while the next login attempt is still to come; [`CallError::LoginPending`] when
    /// `deadline` passes while a login is in flight.
    pub async fn acquire(&self, deadline: Instant) -> Result<Arc<Token>, CallError> {
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let mut changed = self.shared.changed.subscribe();
        loop {
            let published = self.shared.published.load_full();
            let now = Instant::now();
            if let Some(token) = published.token.as_ref().filter(|t| t.usable(now)) {
                return Ok(Arc::clone(token));
            }
            if let LoginState::Waiting { next, failure } = &published.login
                && *next > now
            {
                return Err(CallError::NoToken { failure: failure.clone(), retry_after: *next - now });
            }
            // Idle or due: the writer is about to start; in flight: it will publish how it ended.
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                return Err(CallError::LoginPending);
            }
        }
    }

    /// Why there is no usable token, in words; `None` when there is one.
    #[must_use]
    pub fn not_ready(&self) -> Option<String> {
        if self.current().is_some() {
            return None;
        }
        Some(match &self.shared.published.load().login {
            LoginState::Waiting { failure, .. } => format!("no usable token: {failure}"),
            LoginState::UnderWay | LoginState::Idle => "no usable token yet: the login has not answered".to_owned(),
        })
    }

    /// Asks the writer to log in again now, for example because the operator has changed the secret.
    pub fn renew_now(&self) {
        self.shared.renewal_forced.store(true, Ordering::Relaxed);
        self.shared.renew.notify_one();
    }

    /// Generation of the newest token; 0 before the first one.
    fn generation(&self) -> u64 {
        self.shared.published.load().token.as_ref().map_or(0, |t| t.generation)
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.changed.subscribe()
    }

    /// Age and time to expiry of the newest token, for metrics.
    #[must_use]
    pub fn ages(&self) -> Option<(Duration, Duration)> {
        let published = self.shared.published.load();
        let token = published.token.as_ref()?;
        let now = Instant::now();
        Some((now.saturating_duration_since(token.granted_at), token.expires_at.saturating_duration_since(now)))
    }

    fn publish(&self, token: Option<Arc<Token>>, login: LoginState) {
        self.shared.published.store(Arc::new(Published { token, login }));
        self.shared.changed.send_modify(|version| *version += 1);
    }

    /// Returns once a 401 asks for a newer token than there is, or the operator forced a renewal. A wake-up left over from a
    /// token that has been replaced meanwhile is not one.
    async fn renewal_wanted(&self) {
        loop {
            let refused = self.shared.renewals.ask_for_newer_than(self.generation());
            if refused || self.shared.renewal_forced.swap(false, Ordering::Relaxed) {
                return;
            }
            self.shared.renew.notified().await;
        }
    }
}
