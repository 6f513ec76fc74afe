//! A stand-in for Genesys Cloud that speaks enough of the real API for the official SDKs, and misbehaves on command.
//!
//! Usable in-process ([`Sandbox::router`], also on a paused clock), over sockets ([`Sandbox::serve`]), and from tests
//! through the methods of [`Sandbox`]. docs/SANDBOX.md describes the control surface under `/sandbox`.
//!
//! The way of a request: `gate` (token, rate window) → `faults::act` (latency, trouble) → `api` (the operation), with
//! `journal` beside. What happens later (a disconnect takes effect, a conversation ends) is noted with its instant and
//! looked up: there are no background tasks, so a paused clock needs nothing more than to be moved.

mod answer;
mod api;
mod call;
mod clock;
mod connection;
mod control;
mod conversation;
mod conversations;
mod faults;
mod gate;
mod handle;
mod journal;
mod login;
mod render;
mod serve;
mod settings;
mod spec;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::ArcSwap;
use axum::Router;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::time::Instant;

pub use conversation::Medium;
pub use faults::act::Broken;
pub use faults::{
    Action, Answer, BodyFault, BodyKind, Cut, Fault, Forbidden, Foreign, Gateway, On, Redirect, TokenFault,
};
pub use handle::{Conference, IdTaken, Member};
pub use journal::{Counts, Entry, Kind};
pub use serve::listen;
pub use settings::{Settings, TokenTerms};
pub use spec::{ConversationSpec, ParticipantSpec};
pub use tokens::TokenView;

/// The stand-in. Clones share everything.
#[derive(Debug, Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client_id: String,
    client_secret: ArcSwap<SecretString>,
    switches: settings::Switches,
    conversations: conversations::Conversations,
    tokens: tokens::Tokens,
    faults: faults::Book,
    journal: Arc<journal::Journal>,
    refuse: watch::Sender<Instant>,
}

impl Sandbox {
    /// A stand-in without conversations. Its clock starts now; it must be called on a tokio runtime to share a paused one.
    #[must_use]
    pub fn new(config: &crate::config::Sandbox) -> Self {
        let clock = clock::Clock::start();
        let inner = Inner {
            client_id: config.client_id.clone(),
            client_secret: ArcSwap::from_pointee(config.client_secret.clone()),
            switches: settings::Switches::new(config),
            conversations: conversations::Conversations::new(clock),
            tokens: tokens::Tokens::default(),
            faults: faults::Book::default(),
            journal: Arc::new(journal::Journal::new(clock)),
            refuse: watch::Sender::new(Instant::now()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The whole surface, upstream and control, as a service.
    pub fn router(&self) -> Router {
        control::router().fallback(gate::pass).with_state(self.clone())
    }

    pub(crate) fn is_client(&self, id: &str, secret: &str) -> bool {
        self.inner.client_id == id && self.inner.client_secret.load().expose_secret() == secret
    }

    pub(crate) fn conversations(&self) -> &conversations::Conversations {
        &self.inner.conversations
    }

    pub(crate) fn tokens_store(&self) -> &tokens::Tokens {
        &self.inner.tokens
    }

    pub(crate) fn faults_book(&self) -> &faults::Book {
        &self.inner.faults
    }

    pub(crate) fn journal_store(&self) -> &Arc<journal::Journal> {
        &self.inner.journal
    }
}

/// A lock that outlives a panic of its holder: what it guards is changed in one step each.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(shared: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(shared: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    shared.write().unwrap_or_else(PoisonError::into_inner)
}

/// Serde adapter for durations that may be absent, written as `"250ms"`.
mod option_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::config::value::duration;

    #[derive(Deserialize, Serialize)]
    struct Written(#[serde(with = "duration")] Duration);

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Written>::deserialize(input)?.map(|written| written.0))
    }

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, output: S) -> Result<S::Ok, S::Error> {
        value.map(Written).serialize(output)
    }
}
