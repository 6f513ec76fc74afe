//! A caller that has been recognised, and what it may do.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::networks::Networks;
use super::permission::{Permission, Permissions};
use super::rate::Limiter;
use crate::config::Mode;
use crate::config::value::Rate;

/// Which participants a guarded key may reach: those of these purposes and in these queues. `None` is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guards {
    /// Purposes such as `agent` or `customer`, in lower case.
    pub purposes: Option<BTreeSet<String>>,
    /// Queue ids, in lower case.
    pub queue_ids: Option<BTreeSet<String>>,
}

impl Guards {
    /// Whether a participant of this purpose and in this queue may be reached. An unknown value does not pass a guard
    /// for it.
    #[must_use]
    pub fn permits(&self, purpose: Option<&str>, queue_id: Option<&str>) -> bool {
        let passes = |allowed: &Option<BTreeSet<String>>, value: Option<&str>| match (allowed, value) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(allowed), Some(value)) => allowed.contains(&value.to_ascii_lowercase()),
        };
        passes(&self.purposes, purpose) && passes(&self.queue_ids, queue_id)
    }
}

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// Not at all: it sent no credentials, or they were ignored.
    Anonymous,
    /// By a key of the keys file.
    Key,
    /// By a token of the issuer.
    Token,
}

/// The name of every caller without credentials.
pub(super) const ANONYMOUS: &str = "anonymous";
const KEY_PREFIX: &str = "key:";
const TOKEN_PREFIX: &str = "jwt:";

/// A recognised caller. Cheap to clone; stays as it is for its request, even if the keys are reloaded meanwhile.
#[derive(Debug, Clone)]
pub struct Caller(Arc<RecognisedCaller>);

#[derive(Debug)]
pub(super) struct Profile {
    pub(super) kind: CallerKind,
    /// The key's name, or the token's subject.
    pub(super) name: String,
    pub(super) permissions: Permissions,
    pub(super) mode: Option<Mode>,
    pub(super) guards: Option<Arc<Guards>>,
    pub(super) addresses: Option<Networks>,
    pub(super) expires: Option<SystemTime>,
    pub(super) limiter: Option<Arc<Limiter>>,
}

impl Profile {
    /// A caller that is limited by nothing but its permissions.
    pub(super) fn unlimited(kind: CallerKind, name: String, permissions: Permissions) -> Self {
        Self { kind, name, permissions, mode: None, guards: None, addresses: None, expires: None, limiter: None }
    }
}

#[derive(Debug)]
struct RecognisedCaller {
    identity: Arc<str>,
    profile: Profile,
}

impl Caller {
    pub(super) fn new(profile: Profile) -> Self {
        let identity = match profile.kind {
            CallerKind::Anonymous => profile.name.as_str().into(),
            CallerKind::Key => format!("{KEY_PREFIX}{}", profile.name).into(),
            CallerKind::Token => format!("{TOKEN_PREFIX}{}", profile.name).into(),
        };
        Self(Arc::new(RecognisedCaller { identity, profile }))
    }

    /// The caller of a token of the issuer, from what was stored of it. `identity` is as in records.
    #[must_use]
    pub fn of_stored_token(identity: &str, permissions: Permissions) -> Self {
        let name = identity.strip_prefix(TOKEN_PREFIX).unwrap_or(identity);
        Self::new(Profile::unlimited(CallerKind::Token, name.to_owned(), permissions))
    }

    /// The key's name in an identity such as `key:ivr`; `None` for other callers.
    pub(super) fn key_name(identity: &str) -> Option<&str> {
        identity.strip_prefix(KEY_PREFIX)
    }

    /// A caller without credentials.
    pub(super) fn anonymous(permissions: Permissions) -> Self {
        Self::new(Profile::unlimited(CallerKind::Anonymous, ANONYMOUS.to_owned(), permissions))
    }

    /// How it was recognised.
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        self.0.profile.kind
    }

    /// `key:ivr`, `jwt:alice` or `anonymous`: tells callers apart in logs, records, and whatever is kept per caller.
    #[must_use]
    pub fn identity(&self) -> &Arc<str> {
        &self.0.identity
    }

    /// The key's name or the token's subject alone.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.profile.name
    }

    /// All that it may do.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.0.profile.permissions
    }

    /// Whether it may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions().contains(permission)
    }

    /// The key's own mode, if its record has one.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.0.profile.mode
    }

    /// Which participants it may reach; `None`: all.
    #[must_use]
    pub fn guards(&self) -> Option<&Arc<Guards>> {
        self.0.profile.guards.as_ref()
    }

    /// Whether its key may be used from this address.
    #[must_use]
    pub fn may_call_from(&self, addr: IpAddr) -> bool {
        self.0.profile.addresses.as_ref().is_none_or(|networks| networks.contain(addr))
    }

    /// When its key or token expires.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.profile.expires
    }

    /// The key's rate, if its record has one.
    #[must_use]
    pub fn rate(&self) -> Option<Rate> {
        self.limiter().map(|limiter| limiter.rate())
    }

    /// Charges one request to this replica's share of the key's rate, while this many replicas are alive.
    ///
    /// # Errors
    /// The rate is used up; the time until the next request will be let through.
    pub fn charge(&self, replicas: usize) -> Result<(), Duration> {
        self.limiter().map_or(Ok(()), |limiter| limiter.charge(replicas))
    }

    pub(super) fn limiter(&self) -> Option<&Arc<Limiter>> {
        self.0.profile.limiter.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> Option<BTreeSet<String>> {
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_guard_passes_what_it_names_and_nothing_unknown() {
        let purposes = Guards { purposes: set(&["agent"]), queue_ids: None };
        assert!(purposes.permits(Some("Agent"), None));
        assert!(!purposes.permits(Some("customer"), Some("q")));
        assert!(!purposes.permits(None, None));
        let both = Guards { purposes: set(&["agent"]), queue_ids: set(&["q1", "q2"]) };
        assert!(both.permits(Some("agent"), Some("Q2")));
        assert!(!both.permits(Some("agent"), Some("q3")));
        assert!(!both.permits(Some("agent"), None));
        assert!(Guards::default().permits(None, None));
    }
}
