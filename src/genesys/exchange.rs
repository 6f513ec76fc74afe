//! The wire: one HTTP exchange, its body read up to a cap. The login and the API share it.

mod client;
mod connector;
mod pool;

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Semaphore;
use tower::util::BoxCloneSyncService;

use super::answer::{Body, BodyEnd};
use super::error::{CallError, Cause};
use crate::config;
use client::Client;
use pool::Failure;

/// Any service that does one HTTP exchange: HTTP over sockets, or a router in the same process in tests.
pub type Exchange = BoxCloneSyncService<Request<Bytes>, Response<Body>, CallError>;

/// How an exchange is to be done, as an extension of the request. Without one it is done as most disconnects want it, for an
/// extension costs each request a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How much of the body is needed.
    pub body: BodyLimit,
    /// Which connection it goes on.
    pub connection: Connection,
}

/// How much of a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit {
    /// Bytes after which reading ends.
    pub bytes: usize,
    /// With a 2xx the status says it all: the body is given only a moment, so that the connection can be used again.
    pub success_needs_no_body: bool,
}

impl Default for BodyLimit {
    /// For disconnects: a 2xx says it all, an error body tells why.
    fn default() -> Self {
        Self { bytes: SMALL_BODY, success_needs_no_body: true }
    }
}

impl BodyLimit {
    /// For a login.
    pub(crate) const GRANT: Self = Self { bytes: SMALL_BODY, success_needs_no_body: false };
    /// For a read: enough for a conversation with a long history.
    pub(crate) const CONVERSATION: Self = Self { bytes: 1024 * 1024, success_needs_no_body: false };
}

/// Which connection a request goes on.
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
/// Up to this, bodies are read freely; beyond, at most [`LARGE_BODIES`] at a time, which bounds our memory.
const ORDINARY_BODY: usize = 16 * 1024;
const LARGE_BODIES: usize = 2;
/// What a body that nobody needs is given to end.
const UNNEEDED_BODY_WAIT: Duration = Duration::from_millis(100);

/// HTTP over sockets as an [`Exchange`].
#[derive(Debug, Clone)]
pub struct Wire(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    large_bodies: Semaphore,
}

impl Wire {
    /// Makes the clients: no redirects, no retries, no proxy but the configured one, bounded idle connections.
    ///
    /// # Errors
    /// An unusable proxy URL or CA file, or no TLS roots.
    pub fn new(settings: &config::Genesys, connect_timeout: Duration) -> Result<Self, String> {
        let tls = client::tls(settings)?;
        Ok(Self(Arc::new(Shared {
            client: Client::new(settings, &tls, connect_timeout)?,
            large_bodies: Semaphore::new(LARGE_BODIES),
        })))
    }
}

impl Shared {
    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Body>, CallError> {
        let Wanted { body: limit, connection } = request.extensions_mut().remove().unwrap_or_default();
        let fresh = connection == Connection::Fresh;
        match &self.client {
            Client::Direct(pool) => {
                request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(client::AGENT));
                let sent = pool.send(request.map(Full::new), fresh).await;
                let (response, lease) = sent.map_err(|e| classify(&e, matches!(e, Failure::Connect(_)), false))?;
                let response = self.take(response, limit).await;
                lease.give_back();
                response
            }
            Client::Proxied { pooled, fresh: unpooled } => {
                let classify = |e: reqwest::Error| {
                    let e = e.without_url();
                    classify(&e, e.is_connect(), e.is_timeout())
                };
                let request = reqwest::Request::try_from(request).map_err(classify)?;
                let sent = if fresh { unpooled } else { pooled }.execute(request).await;
                self.take(sent.map_err(classify)?.into(), limit).await
            }
        }
    }

    /// Reads what is wanted of the body.
    async fn take<B>(&self, response: Response<B>, limit: BodyLimit) -> Result<Response<Body>, CallError>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let (head, body) = response.into_parts();
        let reading = self.read(body, limit.bytes);
        let body = if head.status.is_success() && limit.success_needs_no_body {
            let broken = Body { bytes: Bytes::new(), end: BodyEnd::Broken };
            tokio::time::timeout(UNNEEDED_BODY_WAIT, reading).await.unwrap_or(broken)
        } else {
            reading.await
        };
        Ok(Response::from_parts(head, body))
    }

    async fn read<B>(&self, mut body: B, limit: usize) -> Body
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length > limit as u64) {
            return Body { bytes: Bytes::new(), end: BodyEnd::TooLarge };
        }
        let mut bytes = BytesMut::new();
        let mut large = None;
        loop {
            let chunk = match body.frame().await.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(chunk))) => chunk,
                // Trailers: nothing that we need.
                Some(Ok(Err(_))) => continue,
                None => return Body::complete(bytes.freeze()),
                Some(Err(_)) => return Body { bytes: bytes.freeze(), end: BodyEnd::Broken },
            };
            // The usual case, the whole body in one piece, is not copied.
            if length == Some(chunk.len() as u64) {
                return Body::complete(chunk);
            }
            if bytes.len() + chunk.len() > limit {
                return Body { bytes: bytes.freeze(), end: BodyEnd::TooLarge };
            }
            if large.is_none() && bytes.len() + chunk.len() > ORDINARY_BODY {
                large = self.large_bodies.acquire().await.ok();
                // At once: what grows by doubling leaves a trail of pieces behind.
                bytes.reserve(limit - bytes.len());
            }
            bytes.extend_from_slice(&chunk);
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
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.exchange(request).await })
    }
}

/// What became of a request that has no answer.
fn classify(error: &(dyn StdError + 'static), is_connect: bool, is_timeout: bool) -> CallError {
    if is_connect {
        // A time-out while connecting sent nothing.
        return CallError::Connect(Cause::of(error));
    }
    if is_timeout {
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
