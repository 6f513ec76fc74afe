//! The wire: one HTTP exchange, its body read up to a cap. The login and the API share it.

mod body;
mod client;
mod connector;
mod pool;
mod tls;

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;

use super::answer::Body;
use super::context::Context;
use super::error::{CallError, Cause};
use crate::config;
pub use body::BodyLimit;
use body::BodyReader;
use client::{HttpClient, Proxied};
pub use connector::Resolver;
use pool::{ConnectionLease, Outgoing, PoolFailure, PoolOrigin};

/// Any service that does one HTTP exchange: HTTP over sockets, or a router in the same process in tests.
pub type Exchange = BoxCloneSyncService<Request<Bytes>, Response<Body>, CallError>;

/// How an exchange is to be done, as an extension of the request.
#[derive(Debug, Clone, Default)]
pub struct ExchangeOptions {
    /// How much of the body is needed.
    pub body: BodyLimit,
    /// Which connection it goes on.
    pub connection: ConnectionChoice,
    /// Learns of a request that was given up before it was sent.
    pub context: Option<Arc<Context>>,
}

/// Which connection a request goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConnectionChoice {
    /// One that was kept open, where there is one.
    #[default]
    Pooled,
    /// A new one, which is closed afterwards.
    Fresh,
}

/// HTTP over sockets as an [`Exchange`].
#[derive(Debug, Clone)]
pub struct Wire(Arc<WireInner>);

#[derive(Debug)]
struct WireInner {
    client: HttpClient,
    bodies: BodyReader,
}

impl Wire {
    /// Makes the clients: no redirects, no retries, no proxy but the configured one, bounded idle connections.
    /// `connect_timeout` is shared among the addresses of a name; TLS has as long again.
    ///
    /// # Errors
    /// A proxy URL, a CA file or a client certificate that cannot be used, or no TLS roots.
    pub fn new(settings: &config::Genesys, connect_timeout: Duration) -> Result<Self, String> {
        Self::with_resolver(settings, connect_timeout, connector::system_resolver())
    }

    /// As [`Wire::new`], with names looked up by `resolver` (through a proxy, by the proxy).
    ///
    /// # Errors
    /// As [`Wire::new`].
    pub fn with_resolver(
        settings: &config::Genesys,
        connect_timeout: Duration,
        resolver: Resolver,
    ) -> Result<Self, String> {
        let client = HttpClient::new(settings, &tls::config(settings)?, connect_timeout, resolver)?;
        Ok(Self(Arc::new(WireInner { client, bodies: BodyReader::new() })))
    }
}

impl WireInner {
    async fn directly(
        &self,
        origin: &Arc<PoolOrigin>,
        request: Box<Outgoing>,
        wanted: ExchangeOptions,
    ) -> Result<Response<Body>, CallError> {
        let fresh = wanted.connection == ConnectionChoice::Fresh;
        let (response, lease) = send(origin, request, fresh, wanted.context.as_deref()).await?;
        let response = self.bodies.take(response, wanted.body).await;
        lease.give_back();
        Ok(response)
    }

    async fn by_proxy(
        &self,
        proxied: &Proxied,
        request: Request<Bytes>,
        wanted: ExchangeOptions,
    ) -> Result<Response<Body>, CallError> {
        let classify = |e: reqwest::Error| {
            let e = e.without_url();
            classify(&e, e.is_connect(), e.is_timeout())
        };
        let request = reqwest::Request::try_from(request).map_err(classify)?;
        let answer = proxied.send(request, wanted.connection == ConnectionChoice::Fresh).await.map_err(classify)?;
        Ok(self.bodies.take(answer.into(), wanted.body).await)
    }
}

/// Sends a request over the pool. The lease is to be given back when the answer's body has been read.
async fn send(
    origin: &Arc<PoolOrigin>,
    mut request: Box<Outgoing>,
    fresh: bool,
    context: Option<&Context>,
) -> Result<(Response<Incoming>, ConnectionLease), CallError> {
    loop {
        let unsent = Unsent(context);
        let leased = if fresh { origin.fresh().await } else { origin.lease().await };
        let mut lease = leased.map_err(|e| no_connection(&*e))?;
        unsent.sent();
        match lease.send(request).await {
            Ok(response) => return Ok((response, lease)),
            // Closed meanwhile, before anything was sent: take the next one.
            Err(PoolFailure::Unsent(back, _)) if lease.is_reused() => request = back,
            Err(PoolFailure::Unsent(_, error)) => return Err(no_connection(&error)),
            Err(PoolFailure::Broken(error)) => return Err(classify(&error, false, false)),
        }
    }
}

/// Notes that a request was not sent if it is given up while this lasts.
struct Unsent<'a>(Option<&'a Context>);

impl Unsent<'_> {
    fn sent(mut self) {
        self.0 = None;
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        if let Some(context) = self.0 {
            context.count_unsent();
        }
    }
}

impl tower::Service<Request<Bytes>> for Wire {
    type Response = Response<Body>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        let wanted: ExchangeOptions = request.extensions_mut().remove().unwrap_or_default();
        let shared = Arc::clone(&self.0);
        match &self.0.client {
            HttpClient::Direct(pool) => {
                request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(client::AGENT));
                // Boxed, because it is moved several times.
                let (origin, request) = (pool.origin(request.uri()), Box::new(request.map(Full::new)));
                Box::pin(async move { shared.directly(&origin, request, wanted).await })
            }
            HttpClient::Proxied(proxied) => {
                let proxied = Arc::clone(proxied);
                Box::pin(async move { shared.by_proxy(&proxied, request, wanted).await })
            }
        }
    }
}

/// Nothing was sent.
fn no_connection(error: &(dyn StdError + 'static)) -> CallError {
    let cause = Cause::of(error);
    let text = cause.to_string();
    CallError::Connect(tls::remedy(&text).map_or(cause, |remedy| Cause::text(&format!("{text} ({remedy})"))))
}

/// What became of a request that has no answer.
fn classify(error: &(dyn StdError + 'static), is_connect: bool, is_timeout: bool) -> CallError {
    if is_connect {
        // A time-out while connecting sent nothing.
        return no_connection(error);
    }
    if is_timeout {
        return CallError::Timeout;
    }
    let mut inner = Some(error);
    while let Some(cause) = inner {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed())
        {
            return CallError::ConnectionLost(Cause::of(error));
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
            if matches!(io.kind(), ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | UnexpectedEof) {
                return CallError::ConnectionLost(Cause::of(error));
            }
        }
        inner = cause.source();
    }
    CallError::BrokenAnswer(Cause::of(error))
}
