//! How the console asks: its requests pass the same router as all others, with the caller's own headers. Besides the answer it
//! learns what no body says, and it may share reads with others who watch the same conversation.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::OptionalFromRequestParts;
use http::request::Parts;
use parking_lot::Mutex;

use crate::callers::Caller;

/// Put into a request's extensions by a part of this process. It grants nothing: it cannot come from outside, and every check
/// is made as always.
#[derive(Debug, Clone, Default)]
pub struct InProcess {
    pub(super) within: Option<Duration>,
    aside: Arc<Mutex<Aside>>,
}

/// What the answer does not say.
#[derive(Debug, Clone, Default)]
pub struct Aside {
    /// Who was recognised.
    pub caller: Option<Caller>,
    /// Whether it may see the status and switch the mode.
    pub operator: bool,
    /// Whether its disconnects only read: the service or its key is in observe mode.
    pub observing: bool,
    /// Names of queues, by id, of the conversation that was read.
    pub queues: BTreeMap<String, String>,
}

impl InProcess {
    /// For a request that may use a read of the conversation for another caller, at most `within` ago; `None`: it needs a read of
    /// its own.
    #[must_use]
    pub fn new(within: Option<Duration>) -> Self {
        Self { within, ..Self::default() }
    }

    /// What was learnt beside the answer.
    #[must_use]
    pub fn learnt(&self) -> Aside {
        self.aside.lock().clone()
    }

    pub(super) fn learn(&self, change: impl FnOnce(&mut Aside)) {
        change(&mut self.aside.lock());
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for InProcess {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}
