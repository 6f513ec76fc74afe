//! Granted tokens, each with its expiry and its rate window.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tokio::time::Instant;

use super::settings::Settings;

/// Once this many tokens are remembered, dead ones are forgotten. Until then they tell "expired" from "never granted".
const REMEMBERED: usize = 10_000;

/// A token for display: its id, never its text.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TokenView {
    /// Number of the grant, as in the journal: `t1`, `t2`, …
    pub id: String,
    /// `live`, `expired`, `idled_out` or `revoked`.
    pub state: &'static str,
    /// Seconds until it expires; 0 for a dead one.
    pub expires_in: u64,
    /// Requests that carried it, including refused ones.
    pub uses: u64,
}

#[derive(Default)]
pub(crate) struct Tokens {
    by_text: RwLock<HashMap<String, Arc<Token>>>,
    granted: AtomicU64,
    /// The window of all tokens, if they share one.
    shared: Mutex<Window>,
}

pub(crate) struct Token {
    pub(crate) id: String,
    number: u64,
    state: Mutex<TokenState>,
}

struct TokenState {
    expires: Instant,
    last_use: Instant,
    killed: Option<TokenRefusal>,
    uses: u64,
    window: Window,
}

/// A fixed window. A new one begins with the first request after the last one is over.
#[derive(Default)]
struct Window {
    start: Option<Instant>,
    count: u64,
}

/// Why a request's token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    Missing,
    Unknown,
    Expired,
    Idle,
    Revoked,
}

impl TokenRefusal {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Idle => "idled_out",
            Self::Revoked => "revoked",
        }
    }
}

/// The state of a token's rate window, including this request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowUsage {
    pub(crate) allowed: u32,
    pub(crate) count: u64,
    /// Whole seconds until the window resets, at least 1.
    pub(crate) reset: u64,
}

impl WindowUsage {
    pub(crate) fn exceeded(self) -> bool {
        self.count > u64::from(self.allowed)
    }
}

impl Tokens {
    /// Grants a token, and returns its text.
    pub(crate) fn grant(&self, lifetime: Duration) -> String {
        let now = Instant::now();
        let number = self.granted.fetch_add(1, Ordering::Relaxed) + 1;
        let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 48]>());
        let state = TokenState {
            expires: now.checked_add(lifetime).unwrap_or(now),
            last_use: now,
            killed: None,
            uses: 0,
            window: Window::default(),
        };
        let token = Arc::new(Token { id: format!("t{number}"), number, state: Mutex::new(state) });
        let mut map = self.by_text.write();
        if map.len() >= REMEMBERED {
            map.retain(|_, old| old.check(now, Duration::ZERO).is_ok());
        }
        map.insert(text.clone(), token);
        text
    }

    /// The token that a request carries, and whether it is accepted.
    pub(crate) fn authenticate(
        &self,
        authorization: Option<&HeaderValue>,
        idle_timeout: Duration,
    ) -> (Option<Arc<Token>>, Result<(), TokenRefusal>) {
        let presented = authorization.and_then(|v| v.to_str().ok()).and_then(|v| {
            let (scheme, text) = v.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(text.trim())
        });
        let Some(text) = presented.filter(|t| !t.is_empty()) else {
            return (None, Err(TokenRefusal::Missing));
        };
        let Some(token) = self.by_text.read().get(text).cloned() else {
            return (None, Err(TokenRefusal::Unknown));
        };
        let now = Instant::now();
        let verdict = token.check(now, idle_timeout);
        let mut state = token.state.lock();
        state.uses += 1;
        match verdict {
            Ok(()) => state.last_use = now,
            Err(reason) => state.killed = Some(reason),
        }
        drop(state);
        (Some(token), verdict)
    }

    /// Counts a request against the token's window, or against the shared one.
    pub(crate) fn count(&self, token: &Token, settings: &Settings) -> WindowUsage {
        let (allowed, length) = (settings.rate_limit, settings.rate_window);
        if settings.rate_shared {
            self.shared.lock().count(allowed, length)
        } else {
            token.state.lock().window.count(allowed, length)
        }
    }

    /// Revokes every token, and returns how many were live.
    pub(crate) fn revoke_all(&self) -> usize {
        let now = Instant::now();
        let map = self.by_text.read();
        let live: Vec<_> = map.values().filter(|t| t.check(now, Duration::ZERO).is_ok()).collect();
        live.iter().for_each(|token| token.state.lock().killed = Some(TokenRefusal::Revoked));
        live.len()
    }

    /// All tokens that are remembered, oldest first.
    pub(crate) fn list(&self, idle_timeout: Duration) -> Vec<TokenView> {
        let now = Instant::now();
        let mut tokens: Vec<Arc<Token>> = self.by_text.read().values().cloned().collect();
        tokens.sort_by_key(|token| token.number);
        tokens.iter().map(|token| token.view(now, idle_timeout)).collect()
    }
}

impl Window {
    /// Counts a request, and opens a new window when the old one is over.
    fn count(&mut self, allowed: u32, length: Duration) -> WindowUsage {
        let now = Instant::now();
        let start = match self.start {
            Some(start) if now.duration_since(start) < length => start,
            _ => {
                self.count = 0;
                *self.start.insert(now)
            }
        };
        self.count += 1;
        let left = length.saturating_sub(now.duration_since(start));
        WindowUsage {
            allowed,
            count: self.count,
            reset: left.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX),
        }
    }
}

impl Token {
    fn check(&self, now: Instant, idle_timeout: Duration) -> Result<(), TokenRefusal> {
        let state = self.state.lock();
        if let Some(reason) = state.killed {
            Err(reason)
        } else if state.expires <= now {
            Err(TokenRefusal::Expired)
        } else if !idle_timeout.is_zero() && now.duration_since(state.last_use) >= idle_timeout {
            Err(TokenRefusal::Idle)
        } else {
            Ok(())
        }
    }

    fn view(&self, now: Instant, idle_timeout: Duration) -> TokenView {
        let verdict = self.check(now, idle_timeout);
        let state = self.state.lock();
        TokenView {
            id: self.id.clone(),
            state: verdict.map_or_else(TokenRefusal::word, |()| "live"),
            expires_in: verdict.map_or(0, |()| state.expires.saturating_duration_since(now).as_secs()),
            uses: state.uses,
        }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Tokens({} granted)", self.granted.load(Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Token({})", self.id)
    }
}
