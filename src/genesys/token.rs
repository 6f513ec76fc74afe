//! The bearer token: what it is, and how those who need one get it without a lock.
//!
//! One writer task (`writer`) logs in and publishes; readers load the current state. Tokens have generations, so
//! that a 401 invalidates exactly the token that met it.

pub(crate) mod login;
pub(crate) mod writer;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::error::CallError;
pub use login::LoginFailure;

/// A bearer token that the login granted.
pub struct Token {
    /// `Bearer …`, marked sensitive.
    header: HeaderValue,
    /// Counts the tokens of this process, from 1.
    pub generation: u64,
    /// When it was granted.
    pub granted_at: Instant,
    /// When the background renewal is due.
    pub(crate) renew_at: Instant,
    /// From then on it is never sent: a little before the upstream's own end.
    pub expires_at: Instant,
    /// The API has answered something else than 401 to it.
    accepted: AtomicBool,
    /// The API has answered 401 to it, and its renewal is under way.
    revoked: AtomicBool,
}

impl Token {
    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The bare token, to remove it from texts that the upstream echoes.
    pub(crate) fn secret(&self) -> &[u8] {
        self.header.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default()
    }

    pub(crate) fn mark_accepted(&self) {
        // Usually it is set already: do not make the cache line travel.
        if !self.accepted.load(Ordering::Relaxed) {
            self.accepted.store(true, Ordering::Relaxed);
        }
    }

    fn usable(&self, now: Instant) -> bool {
        now < self.expires_at && !self.revoked.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Token").field("generation", &self.generation).finish_non_exhaustive()
    }
}

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
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    published: ArcSwap<Published>,
    /// Wakes those who wait for a change of what is published.
    changed: watch::Sender<u64>,
    /// Wakes the writer: a token was revoked, or somebody asked for a renewal.
    renew: Notify,
    renewal_forced: AtomicBool,
    /// Last renewal of a token that the API had never accepted.
    unaccepted_renewal: Mutex<Option<Instant>>,
    unaccepted_interval: Duration,
}

impl TokenCache {
    pub(crate) fn new(unaccepted_interval: Duration) -> Self {
        let first = Published { token: None, login: LoginState::UnderWay };
        Self {
            shared: Arc::new(Shared {
                published: ArcSwap::from_pointee(first),
                changed: watch::Sender::new(0),
                renew: Notify::new(),
                renewal_forced: AtomicBool::new(false),
                unaccepted_renewal: Mutex::new(None),
                unaccepted_interval,
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

    /// Reports a 401 that met `token`. After `Ok` a newer token is there or on its way.
    ///
    /// # Errors
    /// The time until another renewal is allowed: tokens that the API has never accepted are renewed seldom, so that an
    /// API that answers 401 for ever causes no storm of logins.
    pub(crate) fn unauthorized(&self, token: &Token) -> Result<(), Duration> {
        let published = self.shared.published.load();
        let newer = published.token.as_ref().is_some_and(|current| current.generation > token.generation);
        if newer || token.revoked.load(Ordering::Relaxed) {
            return Ok(());
        }
        if !token.accepted.load(Ordering::Relaxed) {
            let mut last = self.shared.unaccepted_renewal.lock().unwrap_or_else(PoisonError::into_inner);
            // Somebody else may have come first while we waited for the lock.
            if token.revoked.load(Ordering::Relaxed) {
                return Ok(());
            }
            let now = Instant::now();
            if let Some(allowed) = last.map(|at| at + self.shared.unaccepted_interval)
                && allowed > now
            {
                return Err(allowed - now);
            }
            *last = Some(now);
            token.revoked.store(true, Ordering::Relaxed);
        } else if token.revoked.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.shared.renew.notify_one();
        Ok(())
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

    /// Generation of the newest token; changes are awaited on the receiver.
    #[must_use]
    pub fn generation(&self) -> u64 {
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

    /// Returns once the newest token met a 401, or somebody forced a renewal. A wake-up left over from a token that has
    /// been replaced meanwhile is not one.
    async fn renewal_wanted(&self) {
        loop {
            let revoked =
                self.shared.published.load().token.as_ref().is_some_and(|t| t.revoked.load(Ordering::Relaxed));
            if revoked || self.shared.renewal_forced.swap(false, Ordering::Relaxed) {
                return;
            }
            self.shared.renew.notified().await;
        }
    }
}
