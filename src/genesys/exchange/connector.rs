//! Makes connections to the upstream: TCP, and TLS where the URL says so, within a bounded time.

use std::error::Error as StdError;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt as _;

/// Between probes of an idle connection.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn StdError + Send + Sync>;

/// Bounds the time for a connection, its TLS handshake included.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    connector: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: &ClientConfig, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
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
    pub(super) async fn connect(&self, url: Uri) -> Result<Connection, BoxError> {
        let connecting = self.connector.clone().oneshot(url);
        timeout(self.limit, connecting).await?
    }
}
