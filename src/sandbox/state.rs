//! The sandbox's state, which all its requests share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio::time::Instant;

use super::clock::Clock;
use super::conversations::Conversations;
use super::directory::Directory;
use super::faults::FaultRules;
use super::journal::Journal;
use super::settings::Switches;
use super::tokens::Tokens;

/// A stand-in for Genesys Cloud. Clones share everything.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    client_id: String,
    pub(super) client_secret: ArcSwap<SecretString>,
    pub(super) switches: Switches,
    conversations: Conversations,
    directory: Directory,
    tokens: Tokens,
    faults: FaultRules,
    journal: Arc<Journal>,
    pub(super) refuse: watch::Sender<Instant>,
}

impl Sandbox {
    /// A sandbox without conversations. Its clock starts now; call this on a tokio runtime to use a paused one.
    #[must_use]
    pub fn new(config: &crate::config::Sandbox) -> Self {
        let clock = Clock::start();
        let inner = Inner {
            client_id: config.client_id.clone(),
            client_secret: ArcSwap::from_pointee(config.client_secret.clone()),
            switches: Switches::new(config),
            conversations: Conversations::new(clock),
            directory: Directory::default(),
            tokens: Tokens::default(),
            faults: FaultRules::default(),
            journal: Arc::new(Journal::new(clock)),
            refuse: watch::Sender::new(Instant::now()),
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn is_client(&self, id: &str, secret: &str) -> bool {
        self.inner.client_id == id && self.inner.client_secret.load().expose_secret() == secret
    }

    pub(crate) fn conversations(&self) -> &Conversations {
        &self.inner.conversations
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    pub(crate) fn tokens_store(&self) -> &Tokens {
        &self.inner.tokens
    }

    pub(crate) fn fault_rules(&self) -> &FaultRules {
        &self.inner.faults
    }

    pub(crate) fn journal_store(&self) -> &Arc<Journal> {
        &self.inner.journal
    }
}
