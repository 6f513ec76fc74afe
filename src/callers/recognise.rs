//! Recognises a caller by what its request carries, and counts what is refused.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};

use super::caller::Caller;
use super::credential::{self, Credential, CredentialText};
use super::refusal::Refusal;
use super::{Callers, mint};

/// Longest key that is looked up; ours are shorter.
const MAX_KEY: usize = 512;

/// A login at the OAuth endpoint.
#[derive(Debug, Clone)]
pub struct CallerLogin {
    /// The caller that logged in.
    pub caller: Caller,
    /// The access token to answer: the caller's own key.
    pub access_token: SecretString,
}

impl Callers {
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
