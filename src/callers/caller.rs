//! A caller that has been recognised, and what it may do.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::rate::Limiter;
use crate::config::Mode;

/// One thing that a caller may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Disconnect a participant, one by one or by a selector with a bound.
    Disconnect,
    /// Read conversations and participants.
    Read,
    /// Tear a conversation down, and the selectors `all` and `except`.
    Teardown,
}

impl Permission {
    /// The word for it in keys files, claims and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Read => "read",
            Self::Teardown => "teardown",
        }
    }

    /// The permission of that word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Disconnect, Self::Read, Self::Teardown].into_iter().find(|permission| permission.as_str() == word)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u8);

impl Permissions {
    /// What a key may do whose record names no permissions: disconnect and read.
    #[must_use]
    pub fn of_a_key() -> Self {
        [Permission::Disconnect, Permission::Read].into_iter().collect()
    }

    /// Whether the set has this permission.
    #[must_use]
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// The set of these words.
    ///
    /// # Errors
    /// The first word that is no permission.
    pub fn from_words(words: &[String]) -> Result<Self, &str> {
        words.iter().map(|word| Permission::from_word(word).ok_or(word.as_str())).collect()
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | 1 << permission as u8))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Permission::Disconnect, Permission::Read, Permission::Teardown];
        out.debug_set().entries(all.into_iter().filter(|permission| self.contains(*permission))).finish()
    }
}

/// Whom a guarded key may touch: participants of these purposes, in these queues. A missing set guards nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Guards {
    /// Purposes such as `agent` or `customer`, in lower case.
    pub purposes: Option<BTreeSet<String>>,
    /// Queue ids, in lower case.
    pub queue_ids: Option<BTreeSet<String>>,
}

impl Guards {
    /// Whether a participant of this purpose and in this queue may be touched. What is not known does not pass a
    /// guard that asks for it.
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

/// By what a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKind {
    /// By nothing: it gave no credentials, and such callers are admitted.
    Anonymous,
    /// By a key of the keys file.
    Key,
    /// By a token of the issuer.
    Token,
}

/// Who calls. Cheap to clone; stays valid for its request when the keys are reloaded meanwhile.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Profile>);

#[derive(Debug)]
pub(super) struct Profile {
    pub(super) kind: CallerKind,
    pub(super) name: Arc<str>,
    pub(super) permissions: Permissions,
    pub(super) mode: Option<Mode>,
    pub(super) guards: Option<Arc<Guards>>,
    pub(super) expires: Option<SystemTime>,
    pub(super) limiter: Option<Arc<Limiter>>,
}

impl Caller {
    pub(super) fn new(profile: Profile) -> Self {
        Self(Arc::new(profile))
    }

    /// A caller without credentials.
    pub(super) fn anonymous(permissions: Permissions) -> Self {
        let kind = CallerKind::Anonymous;
        let name = Arc::from("anonymous");
        Self::new(Profile { kind, name, permissions, mode: None, guards: None, expires: None, limiter: None })
    }

    /// By what it was recognised. With the name, this tells callers apart.
    #[must_use]
    pub fn kind(&self) -> CallerKind {
        self.0.kind
    }

    /// The key's name, the token's subject, or `anonymous`; for logs and the audit.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    /// All that it may do.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.0.permissions
    }

    /// Whether it may do this.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.0.permissions.contains(permission)
    }

    /// The key's own mode, if its record has one.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.0.mode
    }

    /// Whom it may touch; `None` is anybody.
    #[must_use]
    pub fn guards(&self) -> Option<&Arc<Guards>> {
        self.0.guards.as_ref()
    }

    /// When its key or token expires.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.expires
    }

    /// Charges one request to the key's rate.
    ///
    /// # Errors
    /// The rate is used up; the time until the next request will be let through.
    pub fn charge(&self) -> Result<(), Duration> {
        self.0.limiter.as_ref().map_or(Ok(()), |limiter| limiter.charge())
    }

    pub(super) fn limiter(&self) -> Option<&Arc<Limiter>> {
        self.0.limiter.as_ref()
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

    #[test]
    fn permissions_are_read_from_words_and_unknown_words_are_named() {
        let words = ["read".to_owned(), "teardown".to_owned()];
        let permissions = Permissions::from_words(&words).unwrap();
        assert!(permissions.contains(Permission::Read) && permissions.contains(Permission::Teardown));
        assert!(!permissions.contains(Permission::Disconnect));
        assert_eq!(Permissions::from_words(&["write".to_owned()]), Err("write"));
    }
}
