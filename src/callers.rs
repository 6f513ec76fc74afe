//! Who calls, and what they may do: keys of a file, tokens of an issuer, or anonymous callers.
//!
//! - Neither keys nor an issuer configured: every caller is `anonymous`, and credentials are ignored.
//! - Keys or an issuer configured: credentials are needed, unless `auth.anonymous` also admits callers without any.
//!   Wrong credentials are refused in either case. A keys file without keys admits no caller.
//! - `X-API-Key` wins over `Authorization: Bearer`; a bearer token is looked up as a key first.
//! - Wrong credentials are counted per client address, and beyond `auth.wrong_key_rate` refused with `Retry-After`. Valid keys and
//!   tokens always pass: one caller behind a proxy's address must not lock out the others.
//! - A key used from outside its `addresses` counts as wrong: it is not valid there, and if it were never slowed down, a stranger
//!   could test any number of stolen keys.

pub mod browser;
mod caller;
mod credential;
mod jwt;
mod key_status;
mod keyring;
mod keys;
mod mint;
mod networks;
mod permission;
pub mod proxies;
mod rate;
mod recognise;
mod refusal;
mod throttle;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use caller::{Caller, CallerKind, Guards};
pub use key_status::{DigestStatus, KeyStatus, unlimited_keys};
pub use mint::{NewKey, new_key};
pub(crate) use networks::of_one_client;
pub use permission::{Permission, Permissions};
pub use recognise::CallerLogin;
pub use refusal::Refusal;

use crate::config::{self, ConfigError};
use jwt::Verifier;
use keyring::KeyRing;
use throttle::Throttle;

/// Recognises callers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Callers(Arc<CallersInner>);

#[derive(Debug)]
struct CallersInner {
    keys: Option<KeyRing>,
    tokens: Option<Verifier>,
    anonymous: Option<Caller>,
    throttle: Throttle,
    refused: AtomicU64,
    /// Living replicas, which share each rate.
    replicas: AtomicUsize,
}

/// What is counted, for `/metrics` and `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallerStats {
    /// Keys in force.
    pub keys: usize,
    /// How often a changed keys file was loaded.
    pub key_reloads: u64,
    /// How often a changed keys file could not be used.
    pub key_reload_failures: u64,
    /// How often the token issuer's keys could not be fetched.
    pub issuer_failures: u64,
    /// Requests whose credentials were refused or missing.
    pub refused: u64,
}

impl Callers {
    /// Reads the keys file, if there is one.
    ///
    /// # Errors
    /// The keys file cannot be read or has a mistake, or the anonymous permissions or the token issuer cannot be used.
    pub fn open(auth: &config::Auth) -> Result<Self, ConfigError> {
        let keys = auth.keys_file.as_deref().map(KeyRing::open).transpose()?;
        let tokens = Verifier::open(&auth.jwt)?;
        let permissions = Permissions::from_words(&auth.anonymous_permissions.0)
            .map_err(|error| ConfigError(format!("auth.anonymous_permissions: {error}")))?;
        let admits_anonymous = (keys.is_none() && tokens.is_none()) || auth.anonymous;
        Ok(Self(Arc::new(CallersInner {
            keys,
            tokens,
            anonymous: admits_anonymous.then(|| Caller::anonymous(permissions)),
            throttle: Throttle::new(auth.wrong_key_rate),
            refused: AtomicU64::new(0),
            replicas: AtomicUsize::new(1),
        })))
    }

    /// Calls `report` with `changed` and the names of the keys when some were added, removed or changed, and with
    /// `rejected` and the reason when a changed file cannot be used.
    #[must_use]
    pub fn reporting(self, report: impl Fn(&'static str, &str) + Send + Sync + 'static) -> Self {
        if let Some(keys) = &self.0.keys {
            keys.set_report(report);
        }
        self
    }

    /// Whether neither keys nor an issuer are configured, so that every caller is anonymous.
    #[must_use]
    pub fn is_keyless(&self) -> bool {
        self.0.keys.is_none() && self.0.tokens.is_none()
    }

    /// Reads the keys file now, for SIGHUP. Returns how many keys are in force.
    ///
    /// # Errors
    /// The file cannot be used, which is also logged; the previous keys stay in force.
    pub async fn reload(&self) -> Result<usize, ConfigError> {
        let Some(keys) = &self.0.keys else { return Ok(0) };
        keys.0.reload().await?;
        Ok(keys.len())
    }

    /// Watches the keys file and the issuer's keys until `stop`. Run it once, in a task of its own.
    pub async fn watch(&self, stop: CancellationToken) {
        let keys = async {
            if let Some(keys) = &self.0.keys {
                keys.0.watch().await;
            }
        };
        let tokens = async {
            if let Some(tokens) = &self.0.tokens {
                tokens.watch().await;
            }
        };
        stop.run_until_cancelled(async { tokio::join!(keys, tokens) }).await;
    }

    /// Sets how many replicas are alive, including this one: each admits its share of a rate.
    pub fn set_replicas(&self, replicas: usize) {
        self.0.replicas.store(replicas.max(1), Ordering::Relaxed);
    }

    fn replicas(&self) -> usize {
        self.0.replicas.load(Ordering::Relaxed)
    }

    /// Charges one request to the caller's rate.
    ///
    /// # Errors
    /// The rate is used up; the time until the next request will be let through.
    pub fn charge(&self, caller: &Caller) -> Result<(), Duration> {
        caller.charge(self.replicas())
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> CallerStats {
        let keys = self.0.keys.as_ref();
        CallerStats {
            keys: keys.map_or(0, KeyRing::len),
            key_reloads: keys.map_or(0, |keys| keys.0.reloads()),
            key_reload_failures: keys.map_or(0, |keys| keys.0.failures()),
            issuer_failures: self.0.tokens.as_ref().map_or(0, Verifier::failures),
            refused: self.0.refused.load(Ordering::Relaxed),
        }
    }

    /// Each key as operators see it, sorted by name.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyStatus> {
        self.0.keys.as_ref().map_or_else(Vec::new, KeyRing::status)
    }
}

#[cfg(test)]
mod tests;
