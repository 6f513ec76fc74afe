//! One instance of the service: build it, ask for its address, run it until it is told to stop.

mod reload;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use crate::audit::{Audit, Event, StoreWitness};
use crate::callers::Callers;
use crate::callers::proxies::TrustedProxies;
use crate::claims::Claims;
use crate::config::value::SensitiveUrl;
use crate::config::{Config, ConfigError};
use crate::disconnect::Disconnector;
use crate::fleet::{Fleet, Look};
use crate::genesys::Client;
use crate::genesys::exchange::{Exchange, Wire};
use crate::http::{self, Listener, Shared};
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::search::Search;
use crate::server::{self, ServeSettings, TlsSource};
use crate::shutdown::Shutdown;
use crate::store::Store;
use crate::telemetry::traces::Traces;

pub use reload::{Reloaded, Reloader};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address that cannot be listened on.
    #[error("{key} = \"{addr}\": cannot listen there ({cause}); choose another address or stop what uses it")]
    Listen {
        /// The configuration key.
        key: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
}

/// A service that listens, and has started its first login.
#[derive(Debug)]
pub struct App {
    config: Config,
    http: http::App,
    listener: TcpListener,
    admin: Option<TcpListener>,
    tls: Option<TlsSource>,
    background: TaskTracker,
}

impl App {
    /// Builds the service over sockets.
    ///
    /// # Errors
    /// A setting that cannot be used, or an address that is taken.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        config.check_serve()?;
        server::tls::install_crypto_provider();
        let wire = Wire::new(&config.genesys, config.disconnect.connect_timeout).map_err(ConfigError)?;
        Self::build_over(config, BoxCloneSyncService::new(wire)).await
    }

    /// Builds the service over another exchange than sockets, for tests on a paused clock.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_over(config: Config, exchange: Exchange) -> Result<Self, StartError> {
        let listener = listen("server.bind", config.server.bind)?;
        let admin = config.admin.bind.map(|addr| listen("admin.bind", addr)).transpose()?;
        let tls = TlsSource::open(&config.server.tls)?;
        let store = Store::open(&config.store).await.map_err(ConfigError)?;
        let parts = Parts::start(&config, exchange, store)?;
        parts.enter_fleet().await;
        if let Some(tls) = &tls {
            let (tls, ended) = (tls.clone(), parts.http.shutdown.ended.clone());
            parts.background.spawn(async move { tls.watch(ended).await });
        }
        Ok(Self { config, http: parts.http, listener, admin, tls, background: parts.background })
    }

    /// Where callers reach it.
    ///
    /// # Errors
    /// The system does not say.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where operators reach it, when that is elsewhere.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// What handlers share, for those who switch modes or reload keys from outside.
    #[must_use]
    pub fn http(&self) -> &http::App {
        &self.http
    }

    /// Serves until `asked` is done, then leaves in order. `hurry` cuts the grace short.
    pub async fn run_until(self, asked: impl Future<Output = ()>, hurry: impl Future<Output = ()>) {
        let shutdown = self.http.shutdown.clone();
        let settings = ServeSettings {
            tls: self.tls.clone(),
            stats: Arc::clone(&self.http.connections),
            proxies: Arc::new(self.http.proxies.clone()),
            ..ServeSettings::new(&self.config.server)
        };
        let main = match (&self.admin, self.config.server.bind.ip().is_loopback()) {
            (Some(_), _) => Listener::Callers,
            (None, loopback) => Listener::Both { metrics: loopback },
        };
        let serving = server::serve(
            self.listener,
            http::router(&self.http, main),
            settings,
            shutdown.stopping.clone(),
            shutdown.cut.clone(),
        );
        let serving = tokio::spawn(serving);
        // Probes are answered until the very end.
        let admin = self.admin.map(|listener| {
            let settings = ServeSettings::new(&self.config.server);
            let router = http::router(&self.http, Listener::Admin);
            tokio::spawn(server::serve(listener, router, settings, shutdown.ended.clone(), shutdown.ended.clone()))
        });
        let (jobs, stopping) = (self.http.jobs.clone(), shutdown.stopping.clone());
        self.http.tasks.spawn(async move { jobs.run(stopping).await });
        asked.await;
        let work = async {
            let _ = serving.await;
        };
        shutdown.walk(&self.config.shutdown, hurry, work, &self.http.tasks).await;
        if let Some(admin) = admin {
            let _ = admin.await;
        }
        self.background.close();
        self.background.wait().await;
        // Nobody is left who could add to it.
        self.http.audit.close().await;
        self.http.traces.close().await;
        tracing::info!(event = "stopped", "stopped");
    }
}

/// The service without its listeners.
struct Parts {
    http: http::App,
    background: TaskTracker,
}

impl Parts {
    /// Starts the client's tasks and puts together what handlers share.
    fn start(config: &Config, exchange: Exchange, store: Store) -> Result<Self, StartError> {
        let shutdown = Shutdown::default();
        let (tasks, background) = (TaskTracker::new(), TaskTracker::new());
        let metrics = Arc::new(Metrics::new());
        let client =
            Client::start(config, exchange, metrics.upstream(), &background, &shutdown.ended, &shutdown.stopping)
                .map_err(ConfigError)?;
        let fleet = Fleet::new(store.clone(), &config.store);
        let audit = Audit::open(&config.audit, fleet.instance(), &store).map_err(ConfigError)?;
        let (records, ended) = (audit.clone(), shutdown.ended.clone());
        background.spawn(async move { records.watch(ended).await });
        let changed = audit.clone();
        let callers = Callers::open(&config.auth)?
            .reporting(move |changes| changed.event(Event::KeysChanged, "changed", changes.to_owned()));
        let (watched, ended) = (callers.clone(), shutdown.ended.clone());
        background.spawn(async move { watched.watch(ended).await });
        let bind = config.server.bind;
        let claims = Claims::new(store.clone());
        let search = Search::new(client.clone());
        let disconnector =
            Disconnector::new(config, client, claims.clone(), Arc::clone(&metrics), tasks.clone(), &shutdown);
        let jobs = Jobs::new(store.clone(), &config.jobs, disconnector.clone(), callers.clone(), audit.clone());
        let shared = Shared {
            search,
            disconnector,
            jobs,
            fleet,
            started: http::Started::default(),
            recent_errors: http::RecentErrors::default(),
            on_loopback: on_loopback(bind),
            admin_on_loopback: config.admin.bind.is_none_or(on_loopback),
            callers,
            proxies: TrustedProxies::new(&config.server)?,
            claims,
            store,
            metrics,
            audit,
            traces: Traces::open(config.telemetry.otlp_endpoint.as_ref().map(SensitiveUrl::expose))
                .map_err(ConfigError)?,
            connections: Arc::default(),
            log_dropped: OnceLock::new(),
            shutdown,
            tasks,
            max_body: usize::try_from(config.server.max_body.as_u64()).unwrap_or(usize::MAX),
            body_timeout: config.server.body_timeout,
        };
        shared.disconnector.set_witness(Arc::new(StoreWitness(shared.store.clone())));
        Ok(Self { http: http::App::new(shared), background })
    }

    /// Reads the stored mode before the first request, joins the others, and keeps up with them.
    async fn enter_fleet(&self) {
        let (fleet, callers) = (self.http.fleet.clone(), self.http.callers.clone());
        let disconnector = self.http.disconnector.clone();
        let apply = move |look: Look| {
            if let Some(mode) = look.mode {
                disconnector.set_mode(mode);
            }
            callers.set_replicas(look.replicas);
            disconnector.client().gate().set_replicas(look.replicas);
        };
        fleet.enter().await.into_iter().for_each(&apply);
        let ended = self.http.shutdown.ended.clone();
        self.background.spawn(async move { fleet.run(ended, apply).await });
    }
}

/// The router of one listener over another exchange than sockets: everything but the listeners, with a store that ends with the
/// process, for tests on a paused clock.
///
/// # Errors
/// A setting that cannot be used.
pub fn in_process(
    config: &Config,
    exchange: Exchange,
    listener: Listener,
) -> Result<(http::App, http::Routes), StartError> {
    let parts = Parts::start(config, exchange, Store::memory().map_err(ConfigError)?)?;
    let router = http::router(&parts.http, listener);
    Ok((parts.http, router))
}

fn on_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

fn listen(key: &'static str, addr: SocketAddr) -> Result<TcpListener, StartError> {
    server::bind(addr).map_err(|cause| StartError::Listen { key, addr, cause })
}

/// A token that is cancelled when the process is asked to stop: SIGTERM or Ctrl-C.
#[must_use]
pub fn stop_signals() -> (CancellationToken, CancellationToken) {
    let (asked, hurry) = (CancellationToken::new(), CancellationToken::new());
    let (first, second) = (asked.clone(), hurry.clone());
    tokio::spawn(async move {
        let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        let Ok(mut term) = term else { return };
        for token in [first, second] {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            token.cancel();
        }
    });
    (asked, hurry)
}
