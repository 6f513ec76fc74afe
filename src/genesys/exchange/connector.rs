//! Makes connections to the upstream: TCP, and TLS where the URL says so, within a bounded time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::BoxError;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// Between probes of an idle connection.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);

type ByteStream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Finds the addresses of a name.
pub type Resolver = BoxCloneSyncService<Name, std::vec::IntoIter<SocketAddr>, io::Error>;

/// The system's resolver.
pub(super) fn system_resolver() -> Resolver {
    BoxCloneSyncService::new(GaiResolver::new().map_response(|found| found.collect::<Vec<_>>().into_iter()))
}

/// Bounds the time for a connection: TCP has `limit`, shared among the addresses of a name and with both families tried; TLS
/// and the look-up of the name have as long again.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    connector: HttpsConnector<HttpConnector<Resolver>>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: &ClientConfig, limit: Duration, resolver: Resolver) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        // One address that drops what it gets must leave time for the others.
        tcp.set_connect_timeout(Some(limit));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self { connector, limit }
    }

    /// A connection to the host of `url`.
    ///
    /// # Errors
    /// No such host, refused, too slow, or a TLS handshake that failed.
    pub(super) async fn connect(&self, url: Uri) -> Result<ByteStream, BoxError> {
        let connecting = self.connector.clone().oneshot(url);
        timeout(self.limit * 2, connecting).await.map_err(|_| "no connection in time")?
    }
}
