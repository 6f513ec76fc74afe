//! One instance of the service: build it, ask for its address, run it until it is asked to stop.

mod reload;
mod witness;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::BoxCloneSyncService;

use crate::audit::{Audit, Event};
use crate::callers::Callers;
use crate::callers::proxies::TrustedProxies;
use crate::claims::Claims;
use crate::config::value::SensitiveUrl;
use crate::config::{Config, ConfigError};
use crate::console;
use crate::disconnect::{Disconnector, Watch};
use crate::fleet::{Fleet, Look};
use crate::genesys::Client;
use crate::genesys::exchange::{Exchange, Wire};
use crate::http::{self, AppStateInner, Listener};
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
    /// The store that tells the mode does not answer.
    #[error(
        "the store cannot be read, so it is not known whether the service was set to observe mode; no participant was \
         disconnected. Try again once the store that store.url names answers"
    )]
    ModeUnread,
}

/// A service that listens, and has started its first login.
#[derive(Debug)]
pub struct App {
    config: Config,
    http: http::AppState,
    listener: TcpListener,
    admin: Option<TcpListener>,
    background: TaskTracker,
}

/// What carries requests to Genesys Cloud.
#[derive(Debug)]
pub enum UpstreamTransport {
    /// Connections, as configured.
    Sockets,
    /// Another exchange, such as a stand-in in this process.
    Over(Exchange),
}

/// What the process is to the others that share its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// One of those that serve: it counts where rates and windows are divided, and keeps up with the mode.
    Replica,
    /// A command that does one thing. It counts nowhere, and does nothing before it has read the mode that was set.
    Visitor,
}

impl App {
    /// Builds the service: its listeners, its store, and all that works in it. It serves once it runs, or in this process by
    /// [`App::routes`].
    ///
    /// # Errors
    /// A setting that cannot be used, or an address that is taken.
    pub async fn build(config: Config, upstream: UpstreamTransport) -> Result<Self, StartError> {
        Self::build_as(Membership::Replica, config, upstream).await
    }

    /// The same, as a replica or as a visitor to the store.
    ///
    /// # Errors
    /// As [`App::build`]; and for a visitor a store that cannot be read.
    pub async fn build_as(
        membership: Membership,
        config: Config,
        upstream: UpstreamTransport,
    ) -> Result<Self, StartError> {
        config.check_serve()?;
        crate::crypto_provider::install();
        let exchange = match upstream {
            UpstreamTransport::Sockets => {
                let wire = Wire::new(&config.genesys, config.disconnect.connect_timeout).map_err(ConfigError)?;
                BoxCloneSyncService::new(wire)
            }
            UpstreamTransport::Over(exchange) => exchange,
        };
        let listener = listen("server.bind", config.server.bind)?;
        let admin = config.admin.bind.map(|addr| listen("admin.bind", addr)).transpose()?;
        let tls = TlsSource::open(&config.server.tls)?;
        let store = Store::open(&config.store).await.map_err(ConfigError)?;
        let background = TaskTracker::new();
        let http = assemble(&config, exchange, tls, store, &background)?;
        match membership {
            Membership::Replica => enter_fleet(&http, &background).await,
            Membership::Visitor => visit_fleet(&http).await?,
        }
        if let Some(tls) = &http.tls {
            let (tls, ended) = (tls.clone(), http.shutdown.ended.clone());
            background.spawn(async move { tls.watch(ended).await });
        }
        Ok(Self { config, http, listener, admin, background })
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
    pub fn http(&self) -> &http::AppState {
        &self.http
    }

    /// What a listener serves, for requests that are made in this process.
    #[must_use]
    pub fn routes(&self, listener: Listener) -> http::Routes {
        http::router(&self.http, listener, |api| console::pages(api, &self.config.auth.jwt))
    }

    /// Serves until `asked` is done, then leaves in order. `hurry` cuts the grace short.
    pub async fn run_until(self, asked: impl Future<Output = ()>, hurry: impl Future<Output = ()>) {
        let shutdown = self.http.shutdown.clone();
        let settings = ServeSettings {
            tls: self.http.tls.clone(),
            stats: Arc::clone(&self.http.connections),
            proxies: Arc::new(self.http.proxies.clone()),
            ..ServeSettings::new(&self.config.server)
        };
        let main = match (&self.admin, self.config.server.bind.ip().is_loopback()) {
            (Some(_), _) => Listener::Callers,
            (None, loopback) => Listener::Both { metrics: loopback },
        };
        let callers = self.routes(main);
        let operators = self.admin.is_some().then(|| self.routes(Listener::Admin));
        let serving = server::serve(self.listener, callers, settings, shutdown.stopping.clone(), shutdown.cut.clone());
        let serving = tokio::spawn(serving);
        // Probes are answered until the very end.
        let admin = self.admin.zip(operators).map(|(listener, operators)| {
            let settings = ServeSettings::new(&self.config.server);
            tokio::spawn(server::serve(listener, operators, settings, shutdown.ended.clone(), shutdown.ended.clone()))
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
        end(&self.http, &self.background).await;
        tracing::info!(event = "stopped", "stopped");
    }

    /// Ends a service that was only asked in this process: what is under way ends first, however long it takes.
    pub async fn close(self) {
        let http = self.http;
        http.shutdown.stopping.cancel();
        http.tasks.close();
        http.tasks.wait().await;
        http.shutdown.ended.cancel();
        end(&http, &self.background).await;
    }
}

/// Starts the client's tasks and puts together what handlers share.
fn assemble(
    config: &Config,
    exchange: Exchange,
    tls: Option<TlsSource>,
    store: Store,
    background: &TaskTracker,
) -> Result<http::AppState, StartError> {
    let shutdown = Shutdown::default();
    let tasks = TaskTracker::new();
    let metrics = Arc::new(Metrics::new());
    let client = Client::start(config, exchange, metrics.upstream(), background, &shutdown.ended, &shutdown.stopping)
        .map_err(ConfigError)?;
    let fleet = Fleet::new(store.clone(), &config.store);
    let audit = Audit::open(&config.audit, fleet.instance(), &store).map_err(ConfigError)?;
    let (records, ended) = (audit.clone(), shutdown.ended.clone());
    background.spawn(async move { records.watch(ended).await });
    let changed = audit.clone();
    let callers = Callers::open(&config.auth)?
        .reporting(move |outcome, text| changed.event(Event::KeysChanged, outcome, text.to_owned()));
    let (watched, ended) = (callers.clone(), shutdown.ended.clone());
    background.spawn(async move { watched.watch(ended).await });
    let bind = config.server.bind;
    let claims = Claims::new(store.clone());
    let search = Search::new(client.clone());
    let disconnector =
        Disconnector::new(config, client, claims.clone(), Arc::clone(&metrics), tasks.clone(), &shutdown);
    let (items, records) = (Arc::clone(metrics.jobs()), audit.clone());
    let jobs = Jobs::new(store.clone(), &config.jobs, disconnector.clone(), callers.clone(), records, items);
    let shared = AppStateInner {
        search,
        watch: Watch::default(),
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
        traces: Traces::open(config.telemetry.otlp_endpoint.as_ref().map(SensitiveUrl::expose)).map_err(ConfigError)?,
        connections: Arc::default(),
        tls,
        log_dropped: OnceLock::new(),
        shutdown,
        tasks,
        max_body: usize::try_from(config.server.max_body.as_u64()).unwrap_or(usize::MAX),
        body_timeout: config.server.body_timeout,
    };
    shared.disconnector.set_witness(Arc::new(witness::StoreWitness(shared.store.clone())));
    Ok(http::AppState::new(shared))
}

/// Reads the stored mode, and leaves no trace among the replicas.
async fn visit_fleet(http: &http::AppState) -> Result<(), StartError> {
    let look = http.fleet.look().await.ok_or(StartError::ModeUnread)?;
    look.mode.into_iter().for_each(|mode| http.disconnector.set_mode(mode));
    Ok(())
}

/// Reads the stored mode before the first request, joins the others, and keeps up with them.
async fn enter_fleet(http: &http::AppState, background: &TaskTracker) {
    let (fleet, callers, disconnector) = (http.fleet.clone(), http.callers.clone(), http.disconnector.clone());
    let apply = move |look: Look| {
        if let Some(mode) = look.mode {
            disconnector.set_mode(mode);
        }
        callers.set_replicas(look.replicas);
        disconnector.client().gate().set_replicas(look.replicas);
    };
    fleet.enter().await.into_iter().for_each(&apply);
    let ended = http.shutdown.ended.clone();
    background.spawn(async move { fleet.run(ended, apply).await });
}

/// Waits for what works in the background, and then closes what it might have written to.
async fn end(http: &http::AppState, background: &TaskTracker) {
    background.close();
    background.wait().await;
    http.audit.close().await;
    http.traces.close().await;
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
