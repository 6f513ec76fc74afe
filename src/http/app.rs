//! What handlers share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::task::TaskTracker;
use tracing_appender::non_blocking::ErrorCounter;

use super::recent_errors::RecentErrors;
use crate::audit::Audit;
use crate::callers::Callers;
use crate::callers::proxies::TrustedProxies;
use crate::claims::Claims;
use crate::disconnect::{Disconnector, Watch};
use crate::fleet::Fleet;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::search::Search;
use crate::server::{ServeStats, TlsSource};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::traces::Traces;

/// What handlers share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<AppStateInner>);

/// See [`AppState`].
#[derive(Debug)]
pub struct AppStateInner {
    /// The use case.
    pub disconnector: Disconnector,
    /// Reads of a conversation that all who watch it share.
    pub watch: Watch,
    /// Finding live conversations.
    pub search: Search,
    /// Who may call.
    pub callers: Callers,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// Whom requests may reach.
    pub claims: Claims,
    /// What is queued.
    pub jobs: Jobs,
    /// The other replicas.
    pub fleet: Fleet,
    /// What outlives the process.
    pub store: Store,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Who disconnected whom.
    pub audit: Audit,
    /// Where spans go.
    pub traces: Traces,
    /// Connections of the callers' listener.
    pub connections: Arc<ServeStats>,
    /// The TLS files of the callers' listener, where it has any.
    pub tls: Option<TlsSource>,
    /// Log lines that were dropped, where a log is installed.
    pub log_dropped: OnceLock<ErrorCounter>,
    /// The steps of leaving.
    pub shutdown: Shutdown,
    /// Work that outlives its caller.
    pub tasks: TaskTracker,
    /// When the process started.
    pub started: Started,
    /// The last errors, for the status.
    pub recent_errors: RecentErrors,
    /// Whether the main listener is on loopback: pages in a browser there must be kept away.
    pub on_loopback: bool,
    /// The same for the listener of the operators' side.
    pub admin_on_loopback: bool,
    /// Largest body, in bytes.
    pub max_body: usize,
    /// Longest time for a body.
    pub body_timeout: Duration,
}

/// When the process started, on the clock for durations and as text.
#[derive(Debug)]
pub struct Started {
    /// For durations.
    pub at: tokio::time::Instant,
    /// RFC 3339, UTC.
    pub text: String,
}

impl Default for Started {
    fn default() -> Self {
        Self { at: tokio::time::Instant::now(), text: crate::audit::now() }
    }
}

impl std::ops::Deref for AppState {
    type Target = AppStateInner;
    fn deref(&self) -> &AppStateInner {
        &self.0
    }
}

impl AppState {
    /// Shares these between handlers.
    #[must_use]
    pub fn new(shared: AppStateInner) -> Self {
        Self(Arc::new(shared))
    }
}
