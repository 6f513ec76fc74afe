//! The settings of a listener, and the service that answers its requests.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use tower::Service;

use super::stats::ServeStats;
use super::tls::TlsSource;
use crate::callers::proxies::TrustedProxies;
use crate::config;

/// After a stop, the backlog and idle connections are read for this long, so that a request that has already reached
/// the kernel is not reset.
pub(super) const FINAL_READ: Duration = Duration::from_millis(20);

/// The settings of a listener.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Connections held open at once.
    pub max_connections: usize,
    /// The same for one address, except those of `proxies`.
    pub max_connections_per_address: usize,
    /// Reverse proxies, which connect for many callers.
    pub proxies: Arc<TrustedProxies>,
    /// Longest time until the head of a request is complete, and for a TLS handshake.
    pub header_timeout: Duration,
    /// Longest time that a connection waits for its next request.
    pub idle_timeout: Duration,
    /// Longest time that an answer may wait for its caller to read it; every `read_pace` bytes that are read add a second.
    pub write_timeout: Duration,
    /// Once `write_timeout` is over, bytes of an answer that a caller must read per second.
    pub read_pace: u32,
    /// The TLS configuration; plain HTTP if there is none.
    pub tls: Option<TlsSource>,
    /// What is counted; keep a clone for `/metrics`.
    pub stats: Arc<ServeStats>,
}

impl ServeSettings {
    /// Settings from `[server]`, for plain HTTP, with fixed values for what is not configurable.
    #[must_use]
    pub fn new(server: &config::Server) -> Self {
        Self {
            max_connections: server.max_connections,
            max_connections_per_address: server.max_connections_per_address,
            proxies: Arc::default(),
            header_timeout: server.header_timeout,
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            read_pace: 1024,
            tls: None,
            stats: Arc::default(),
        }
    }
}

/// A service that answers requests, such as a router.
pub trait HttpService:
    Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}
