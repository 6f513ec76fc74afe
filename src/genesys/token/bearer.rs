//! One bearer token, and what the API has made of it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use tokio::sync::Notify;
use tokio::time::Instant;

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
    /// Nothing speaks against it: the API accepted the one before, or there was none.
    trusted: bool,
    /// When the latest of the calls that the API accepted it for was sent, in nanoseconds after `granted_at` and at least 1.
    /// 0: it has never been accepted.
    accepted: AtomicU64,
    /// Set while a call that met a 401 waits to learn whether others are accepted.
    pub(super) doubted: AtomicBool,
    /// Signals an acceptance to those calls.
    pub(super) acceptance: Notify,
}

impl Token {
    /// A token that has followed `previous`.
    pub(in crate::genesys) fn new(
        previous: Option<&Self>,
        header: HeaderValue,
        granted_at: Instant,
        renew_at: Instant,
        end: Instant,
    ) -> Self {
        Self {
            header,
            generation: previous.map_or(1, |previous| previous.generation + 1),
            granted_at,
            renew_at,
            expires_at: end,
            trusted: previous.is_none_or(Self::is_accepted),
            accepted: AtomicU64::new(0),
            doubted: AtomicBool::new(false),
            acceptance: Notify::new(),
        }
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The bare token, to remove it from texts that the upstream echoes.
    pub(crate) fn secret(&self) -> &[u8] {
        self.header.as_bytes().strip_prefix(b"Bearer ").unwrap_or_default()
    }

    /// The API accepted it for a call that was sent at `sent_at`.
    pub(crate) fn note_accepted(&self, sent_at: Instant) {
        let since_grant = sent_at.saturating_duration_since(self.granted_at).as_nanos().max(1);
        self.accepted.fetch_max(u64::try_from(since_grant).unwrap_or(u64::MAX), Ordering::SeqCst);
        if self.doubted.load(Ordering::SeqCst) && self.doubted.swap(false, Ordering::SeqCst) {
            self.acceptance.notify_waiters();
        }
    }

    /// Whether the API has ever accepted it.
    pub(super) fn is_accepted(&self) -> bool {
        self.accepted.load(Ordering::SeqCst) > 0
    }

    /// Whether the API may be expected to accept it.
    pub(super) fn is_trusted(&self) -> bool {
        self.trusted || self.is_accepted()
    }

    /// Whether the API has accepted it for a call that was sent later than `at`.
    pub(super) fn is_accepted_since(&self, at: Instant) -> bool {
        let accepted = self.accepted.load(Ordering::SeqCst);
        accepted > 0 && self.granted_at + Duration::from_nanos(accepted) > at
    }

    /// Whether it may still be sent.
    pub(crate) fn usable(&self, now: Instant) -> bool {
        now < self.expires_at
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Token").field("generation", &self.generation).finish_non_exhaustive()
    }
}
