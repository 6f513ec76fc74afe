//! The wire: one HTTP exchange by reqwest, its body read up to a cap. The login and the API share it.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use tokio::sync::Semaphore;
use tower::util::BoxCloneSyncService;

use super::answer::{Body, BodyEnd};
use super::error::{CallError, Cause};
use crate::config;

/// Any service that does one HTTP exchange: reqwest over sockets, or a router in the same process in tests.
pub type Exchange = BoxCloneSyncService<Request<Bytes>, Response<Body>, CallError>;

/// How much of the body a caller of the exchange wants, as an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit {
    /// Bytes after which reading ends.
    pub bytes: usize,
    /// With a 2xx the status says it all: the body is given only a moment, so that the connection can be used again.
    pub success_needs_no_body: bool,
}

impl Default for BodyLimit {
    fn default() -> Self {
        Self { bytes: SMALL_BODY, success_needs_no_body: false }
    }
}

/// Which connection a request goes on, as an extension of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Connection {
    /// One that was kept open, where there is one.
    #[default]
    Pooled,
    /// A new one, which is closed afterwards.
    Fresh,
}

/// Enough for any error body or login answer.
const SMALL_BODY: usize = 16 * 1024;
/// Enough for a conversation with a long history.
pub(crate) const CONVERSATION_BODY: usize = 1024 * 1024;
/// Up to this, bodies are read freely; beyond, at most [`LARGE_BODIES`] at a time, which bounds our memory.
const ORDINARY_BODY: usize = 16 * 1024;
const LARGE_BODIES: usize = 2;
/// Connections kept open while nobody needs them.
const IDLE_CONNECTIONS: usize = 256;
/// What a body that nobody needs is given to end.
const UNNEEDED_BODY_WAIT: Duration = Duration::from_millis(100);

/// The reqwest client as an [`Exchange`].
#[derive(Debug, Clone)]
pub struct Wire {
    client: reqwest::Client,
    /// Keeps no connection open.
    fresh: reqwest::Client,
    large_bodies: Arc<Semaphore>,
}

impl Wire {
    /// Makes the client: no redirects, no retries, no proxy but the configured one, bounded idle connections.
    ///
    /// # Errors
    /// An unusable proxy URL or CA file, or no TLS roots.
    pub fn new(settings: &config::Genesys, connect_timeout: Duration) -> Result<Self, String> {
        Ok(Self {
            client: Self::client(settings, connect_timeout, IDLE_CONNECTIONS)?,
            fresh: Self::client(settings, connect_timeout, 0)?,
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
        })
    }

    fn client(settings: &config::Genesys, connect_timeout: Duration, idle: usize) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("hangup/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(idle)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30));
        if let Some(proxy) = &settings.proxy {
            let proxy = reqwest::Proxy::all(proxy).map_err(|e| {
                format!("genesys.proxy: no usable proxy URL ({}); write it as \"http://host:port\"", e.without_url())
            })?;
            builder = builder.proxy(proxy);
        }
        if let Some(path) = &settings.ca_file {
            let pem = std::fs::read(path).map_err(|e| {
                format!("genesys.ca_file = \"{}\": cannot be read ({e}); check the path", path.display())
            })?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).ok().filter(|roots| !roots.is_empty());
            let roots = roots.ok_or_else(|| {
                format!("genesys.ca_file = \"{}\": holds no PEM certificate; give the CA's certificate", path.display())
            })?;
            builder = builder.tls_certs_only(roots);
        }
        builder.build().map_err(|e| format!("no HTTP client: {}", Cause::of(&e)))
    }

    async fn exchange(self, request: Request<Bytes>) -> Result<Response<Body>, CallError> {
        let limit = request.extensions().get::<BodyLimit>().copied().unwrap_or_default();
        let client = match request.extensions().get::<Connection>() {
            Some(Connection::Fresh) => &self.fresh,
            Some(Connection::Pooled) | None => &self.client,
        };
        let request = reqwest::Request::try_from(request).map_err(|e| classify(&e.without_url()))?;
        let mut response = client.execute(request).await.map_err(|e| classify(&e.without_url()))?;
        let mut head = Response::new(());
        *head.status_mut() = response.status();
        *head.headers_mut() = std::mem::take(response.headers_mut());
        let success = response.status().is_success();
        let reading = self.read(response, limit.bytes);
        let body = if success && limit.success_needs_no_body {
            tokio::time::timeout(UNNEEDED_BODY_WAIT, reading)
                .await
                .unwrap_or(Body { bytes: Bytes::new(), end: BodyEnd::Broken })
        } else {
            reading.await
        };
        Ok(head.map(|()| body))
    }

    async fn read(&self, mut response: reqwest::Response, limit: usize) -> Body {
        let length = response.content_length();
        if length.is_some_and(|length| length > limit as u64) {
            return Body { bytes: Bytes::new(), end: BodyEnd::TooLarge };
        }
        let mut bytes = BytesMut::new();
        let mut large = None;
        loop {
            match response.chunk().await {
                // The usual case, the whole body in one piece, is not copied.
                Ok(Some(chunk)) if length == Some(chunk.len() as u64) => return Body::complete(chunk),
                Ok(Some(chunk)) => {
                    if bytes.len() + chunk.len() > limit {
                        return Body { bytes: bytes.freeze(), end: BodyEnd::TooLarge };
                    }
                    if large.is_none() && bytes.len() + chunk.len() > ORDINARY_BODY {
                        large = self.large_bodies.acquire().await.ok();
                    }
                    bytes.extend_from_slice(&chunk);
                }
                Ok(None) => return Body::complete(bytes.freeze()),
                Err(_) => return Body { bytes: bytes.freeze(), end: BodyEnd::Broken },
            }
        }
    }
}

impl tower::Service<Request<Bytes>> for Wire {
    type Response = Response<Body>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}

/// Time-outs first: they also say `is_request()`.
fn classify(error: &reqwest::Error) -> CallError {
    if error.is_connect() {
        // A time-out while connecting sent nothing.
        return CallError::Connect(Cause::of(error));
    }
    if error.is_timeout() {
        return CallError::Timeout;
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(hyper) = inner.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed())
        {
            return CallError::ConnectionLost(Cause::of(error));
        }
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
            if matches!(io.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | UnexpectedEof) {
                return CallError::ConnectionLost(Cause::of(error));
            }
        }
        source = inner.source();
    }
    CallError::BrokenAnswer(Cause::of(error))
}
