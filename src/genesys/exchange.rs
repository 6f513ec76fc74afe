//! The wire: one HTTP exchange, its body read up to a cap. The login and the API share it.

mod body;
mod client;
mod connector;
mod pool;

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use tower::util::BoxCloneSyncService;

use super::answer::Body;
use super::error::{CallError, Cause};
use crate::config;
pub use body::BodyLimit;
use body::BodyReader;
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

/// Which connection a request goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Connection {
    /// One that was kept open, where there is one.
    #[default]
    Pooled,
    /// A new one, which is closed afterwards.
    Fresh,
}

/// HTTP over sockets as an [`Exchange`].
#[derive(Debug, Clone)]
pub struct Wire(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    bodies: BodyReader,
}

impl Wire {
    /// Makes the clients: no redirects, no retries, no proxy but the configured one, bounded idle connections.
    ///
    /// # Errors
    /// An unusable proxy URL or CA file, or no TLS roots.
    pub fn new(settings: &config::Genesys, connect_timeout: Duration) -> Result<Self, String> {
        let tls = client::tls(settings)?;
        Ok(Self(Arc::new(Shared { client: Client::new(settings, &tls, connect_timeout)?, bodies: BodyReader::new() })))
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
                let response = self.bodies.take(response, limit).await;
                lease.give_back();
                Ok(response)
            }
            Client::Proxied { pooled, fresh: unpooled } => {
                let classify = |e: reqwest::Error| {
                    let e = e.without_url();
                    classify(&e, e.is_connect(), e.is_timeout())
                };
                let request = reqwest::Request::try_from(request).map_err(classify)?;
                let sent = if fresh { unpooled } else { pooled }.execute(request).await;
                Ok(self.bodies.take(sent.map_err(classify)?.into(), limit).await)
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
