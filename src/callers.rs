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
mod refusal;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

pub use caller::{Caller, CallerKind, Guards};
pub use key_status::{DigestStatus, KeyStatus, unlimited_keys};
pub use mint::{NewKey, new_key};
pub(crate) use networks::of_one_client;
pub use permission::{Permission, Permissions};
pub use refusal::Refusal;

use crate::config::{self, ConfigError};
use credential::{Credential, CredentialText};
use jwt::Verifier;
use keyring::KeyRing;
use throttle::Throttle;

/// Longest key that is looked up; ours are shorter.
const MAX_KEY: usize = 512;

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

/// A login at the OAuth endpoint.
#[derive(Debug, Clone)]
pub struct CallerLogin {
    /// The caller that logged in.
    pub caller: Caller,
    /// The access token to answer: the caller's own key.
    pub access_token: SecretString,
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

    /// Recognises the caller of a request that came from `peer`.
    ///
    /// # Errors
    /// Why the caller is not let in.
    pub async fn authenticate(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Caller, Refusal> {
        if let (true, Some(anonymous)) = (self.is_keyless(), &self.0.anonymous) {
            return Ok(anonymous.clone());
        }
        let found = match credential::find(headers) {
            Ok(Some(Credential::Key(key))) => self.by_key(key, peer),
            Ok(Some(Credential::Bearer(token))) => self.by_bearer(token, peer).await,
            Ok(None) => self.0.anonymous.clone().ok_or(Refusal::Missing),
            Err(refusal) => Err(refusal),
        };
        self.counted(found)
    }

    /// Recognises the caller of the OAuth endpoint by `Authorization: Basic` with name and key. Both must match.
    /// Without keys, every caller may log in, and gets back the key that it sent.
    ///
    /// # Errors
    /// Why the caller is not let in.
    pub fn log_in(&self, headers: &HeaderMap, peer: IpAddr) -> Result<CallerLogin, Refusal> {
        self.counted(credential::basic(headers).and_then(|pair| {
            let (name, key) = pair.ok_or(Refusal::Missing)?;
            if let (true, Some(anonymous)) = (self.is_keyless(), &self.0.anonymous) {
                return Ok(CallerLogin { caller: anonymous.clone(), access_token: key });
            }
            let caller = self.by_key(CredentialText(key.expose_secret()), peer)?;
            if caller.name() == name {
                Ok(CallerLogin { caller, access_token: key })
            } else {
                Err(self.throttled(peer, Refusal::UnknownKey))
            }
        }))
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

    fn by_key(&self, key: CredentialText<'_>, peer: IpAddr) -> Result<Caller, Refusal> {
        self.known_key(key).unwrap_or_else(|| Err(unknown(key))).map_err(|refusal| self.throttled(peer, refusal))
    }

    /// The caller with this identity, with its current permissions and guards; `None` if its key was removed or has
    /// expired. For queued work.
    #[must_use]
    pub fn by_identity(&self, identity: &str) -> Option<Caller> {
        if let Some(anonymous) = self.0.anonymous.as_ref().filter(|caller| **caller.identity() == *identity) {
            return Some(anonymous.clone());
        }
        let found = self.0.keys.as_ref()?.named(Caller::key_name(identity)?)?;
        found.expires().is_none_or(|end| SystemTime::now() < end).then_some(found)
    }

    /// A bearer token is a key or, if it has three parts, a token of the issuer.
    async fn by_bearer(&self, bearer: CredentialText<'_>, peer: IpAddr) -> Result<Caller, Refusal> {
        if let Some(found) = self.known_key(bearer) {
            return found.map_err(|refusal| self.throttled(peer, refusal));
        }
        let Some(tokens) = self.0.tokens.as_ref().filter(|_| bearer.0.bytes().filter(|b| *b == b'.').count() == 2)
        else {
            return Err(self.throttled(peer, unknown(bearer)));
        };
        if let Some(caller) = tokens.recall(bearer.0) {
            return Ok(caller);
        }
        // Verified even if the address is throttled, because this one may be valid. Boxed, because the future is large
        // and most callers have keys.
        Box::pin(tokens.verify(bearer.0)).await.map_err(|refusal| match refusal {
            Refusal::IssuerUnavailable(_) => refusal,
            wrong => self.throttled(peer, wrong),
        })
    }

    /// The caller of this key, or why a known key is refused; `None` for an unknown one.
    fn known_key(&self, key: CredentialText<'_>) -> Option<Result<Caller, Refusal>> {
        let caller = self.0.keys.as_ref().filter(|_| key.0.len() <= MAX_KEY)?.find(key.0)?;
        let expired = caller.expires().is_some_and(|at| at <= SystemTime::now());
        Some(if expired { Err(Refusal::KeyExpired) } else { Ok(caller) })
    }

    /// Counts a key that was sent from an address that its record does not allow, like a wrong key.
    ///
    /// # Errors
    /// [`Refusal::Throttled`], once there are too many from this address.
    pub fn refuse_from(&self, addr: IpAddr) -> Result<(), Refusal> {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        self.0.throttle.count(addr, self.replicas()).map_err(Refusal::Throttled)
    }

    /// Counts a wrong credential. The refusal, or [`Refusal::Throttled`] once there are too many from this address.
    fn throttled(&self, peer: IpAddr, refusal: Refusal) -> Refusal {
        match self.0.throttle.count(peer, self.replicas()) {
            Ok(()) => refusal,
            Err(wait) => Refusal::Throttled(wait),
        }
    }

    fn counted<T>(&self, found: Result<T, Refusal>) -> Result<T, Refusal> {
        if found.is_err() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
        }
        found
    }
}

/// Why a key that is not in the file is refused.
fn unknown(key: CredentialText<'_>) -> Refusal {
    if mint::is_mistyped(key.0) { Refusal::MistypedKey } else { Refusal::UnknownKey }
}

#[cfg(test)]
mod tests;
