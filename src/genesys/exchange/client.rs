//! The HTTP clients under the wire: hyper's own on the straight way, reqwest through a proxy.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::config;
use crate::genesys::error::Cause;

/// Named to the upstream.
const AGENT: &str = concat!("hangup/", env!("CARGO_PKG_VERSION"));
const KEEPALIVE: Duration = Duration::from_secs(30);

/// What sends requests.
#[derive(Debug)]
pub(super) enum Client {
    /// hyper's client, a pool and little else: on the way of every disconnect it costs a fraction of what reqwest costs.
    Direct(Direct),
    /// reqwest, which knows how to ask a proxy.
    Proxied(reqwest::Client),
}

pub(super) type Direct = legacy::Client<Bounded, Full<Bytes>>;

impl Client {
    /// Keeps up to `idle` connections open while nobody needs them.
    ///
    /// # Errors
    /// An unusable proxy URL.
    pub(super) fn new(
        settings: &config::Genesys,
        tls: &ClientConfig,
        connect_timeout: Duration,
        idle: usize,
    ) -> Result<Self, String> {
        match &settings.proxy {
            None => Ok(Self::Direct(direct(settings, tls, connect_timeout, idle))),
            Some(proxy) => proxied(settings, proxy.expose(), tls, connect_timeout, idle).map(Self::Proxied),
        }
    }
}

fn direct(settings: &config::Genesys, tls: &ClientConfig, connect_timeout: Duration, idle: usize) -> Direct {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    let connector = hyper_rustls::HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(idle)
        .build(Bounded { connector: Arc::new(connector), limit: connect_timeout })
}

fn proxied(
    settings: &config::Genesys,
    proxy: &str,
    tls: &ClientConfig,
    connect_timeout: Duration,
    idle: usize,
) -> Result<reqwest::Client, String> {
    let proxy = reqwest::Proxy::all(proxy).map_err(|e| {
        format!("genesys.proxy: no usable proxy URL ({}); write it as \"http://host:port\"", e.without_url())
    })?;
    reqwest::Client::builder()
        .http1_only()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .proxy(proxy)
        .tls_backend_preconfigured(tls.clone())
        .user_agent(AGENT)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(settings.idle_timeout)
        .pool_max_idle_per_host(idle)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .build()
        .map_err(|e| format!("no HTTP client: {}", Cause::of(&e)))
}

/// Sends a request straight to the upstream.
pub(super) async fn send_direct(client: &Direct, mut request: Request<Bytes>) -> Result<Response<Incoming>, Error> {
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    client.request(request.map(Full::new)).await
}

/// The certificates that are trusted: those of `genesys.ca_file`, else the system's.
///
/// # Errors
/// A CA file that cannot be used, or no TLS roots.
pub(super) fn tls(settings: &config::Genesys) -> Result<ClientConfig, String> {
    let Some(path) = &settings.ca_file else {
        return ClientConfig::with_platform_verifier().map_err(|e| format!("no TLS roots: {e}"));
    };
    let unusable = |what: String, remedy: &str| format!("genesys.ca_file = \"{}\": {what}; {remedy}", path.display());
    let pem = std::fs::read(path).map_err(|e| unusable(format!("cannot be read ({e})"), "check the path"))?;
    let mut roots = RootCertStore::empty();
    let all_taken = CertificateDer::pem_slice_iter(&pem).all(|root| root.is_ok_and(|root| roots.add(root).is_ok()));
    if roots.is_empty() || !all_taken {
        return Err(unusable("holds no PEM certificate".to_owned(), "give the CA's certificate"));
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// Bounds the time for a connection, its TLS handshake included. Cheap to clone, as the client does for each request.
#[derive(Debug, Clone)]
pub(super) struct Bounded {
    connector: Arc<HttpsConnector<HttpConnector>>,
    limit: Duration,
}

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn StdError + Send + Sync>;

impl tower::Service<Uri> for Bounded {
    type Response = Connection;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = (*self.connector).clone().oneshot(uri);
        let limit = self.limit;
        Box::pin(async move { timeout(limit, connecting).await? })
    }
}
