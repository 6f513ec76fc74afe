//! Connections to the upstream over hyper, kept open between requests.
//!
//! Why not a library's pool: hyper-util's client cannot drop the idle connections that are as old as one that has gone silent,
//! and does not say whether a request that was given up had been sent; its look-ups cost every disconnect as much as sending
//! it. Its composable `client::pool::cache` has no nameable type and no way to close a connection that is given up midway.
//! What is left for us is small: one or two origins, a list of idle connections each, and a queue of those who wait for one.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use super::connector::Connector;

/// Largest buffer for what a connection reads, and so the longest head of an answer, in bytes. Each connection has one while it
/// reads: a crowd of long answers must not fill our memory.
const READ_BUFFER: usize = 32 * 1024;

type HttpConnection = SendRequest<Full<Bytes>>;
/// A connection, and whether it has carried a request before.
type Given = (HttpConnection, bool);

/// A request as it goes out.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// Connections to the origins that we talk to.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle_timeout: Duration,
    /// Idle connections kept for one origin.
    max_idle: usize,
    /// One or two: a linear scan is enough.
    origins: Mutex<Vec<Arc<PoolOrigin>>>,
}

/// Scheme, host and port, and the connections there.
#[derive(Debug)]
pub(super) struct PoolOrigin {
    url: Uri,
    host: HeaderValue,
    connector: Connector,
    idle_timeout: Duration,
    max_idle: usize,
    kept: Mutex<KeptConnections>,
}

#[derive(Debug, Default)]
struct KeptConnections {
    /// The one that was used last is at the end.
    idle: Vec<Idle>,
    /// Those who wait for a connection, the longest first. Whatever comes first, a new connection or one that is given back,
    /// goes to the first of them.
    waiting: VecDeque<oneshot::Sender<Result<Given, BoxError>>>,
    /// Connections that are being made.
    connecting: usize,
    /// A task closes the idle ones when their time is over.
    watched: bool,
}

#[derive(Debug)]
struct Idle {
    connection: HttpConnection,
    since: Instant,
}

impl Pool {
    /// Keeps up to `max_idle` connections to each origin open, for `idle_timeout`.
    pub(super) fn new(connector: Connector, idle_timeout: Duration, max_idle: usize) -> Self {
        Self { connector, idle_timeout, max_idle, origins: Mutex::default() }
    }

    /// The origin of a URL.
    pub(super) fn origin(&self, url: &Uri) -> Arc<PoolOrigin> {
        let (scheme, authority) = (url.scheme(), url.authority());
        let mut origins = self.origins.lock();
        let known = origins.iter().find(|o| o.url.scheme() == scheme && o.url.authority() == authority);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let mut base = Uri::builder().path_and_query("/");
        if let (Some(scheme), Some(authority)) = (scheme, authority) {
            base = base.scheme(scheme.clone()).authority(authority.clone());
        }
        let origin = Arc::new(PoolOrigin {
            url: base.build().unwrap_or_default(),
            host: host_of(url),
            connector: self.connector.clone(),
            idle_timeout: self.idle_timeout,
            max_idle: self.max_idle,
            kept: Mutex::default(),
        });
        origins.push(Arc::clone(&origin));
        origin
    }
}

/// The origin's `Host`, without the scheme's default port.
fn host_of(url: &Uri) -> HeaderValue {
    let usual = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let authority = url.authority();
    let name = authority.map_or("localhost", Authority::host);
    let host = match authority.and_then(Authority::port_u16) {
        Some(port) if port != usual => format!("{name}:{port}"),
        _ => name.to_owned(),
    };
    // The host of a URL is always a valid header value.
    HeaderValue::from_str(&host).unwrap_or(HeaderValue::from_static(""))
}

impl PoolOrigin {
    /// A connection: an idle one, or whichever comes first of a new one and one that another request gives back.
    ///
    /// # Errors
    /// No connection can be made.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<ConnectionLease, BoxError> {
        let given = {
            let mut kept = self.kept.lock();
            if let Some(connection) = self.take_idle(&mut kept) {
                return Ok(self.lend(connection, true, true));
            }
            let (give, given) = oneshot::channel();
            kept.waiting.push_back(give);
            kept.connecting += 1;
            given
        };
        // In a task of its own: it serves another request if this one finds a connection first, or is given up.
        let origin = Arc::clone(self);
        tokio::spawn(async move {
            let made = origin.connect().await;
            origin.take_in(made);
        });
        let (connection, reused) = given.await??;
        Ok(self.lend(connection, reused, true))
    }

    /// A new connection for one request, whatever is idle.
    ///
    /// # Errors
    /// No connection can be made.
    pub(super) async fn fresh(self: &Arc<Self>) -> Result<ConnectionLease, BoxError> {
        // Boxed, because it is large and rare.
        let connection = Box::pin(self.connect()).await?;
        Ok(self.lend(connection, false, false))
    }

    fn lend(self: &Arc<Self>, connection: HttpConnection, reused: bool, pooled: bool) -> ConnectionLease {
        let suspicion = Suspicion { origin: Arc::clone(self), since: Instant::now(), cleared: !reused };
        ConnectionLease { connection, reused, pooled, suspicion }
    }

    async fn connect(&self) -> Result<HttpConnection, BoxError> {
        let stream = self.connector.connect(self.url.clone()).await?;
        let (sender, connection) = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(stream).await?;
        // The request on it gets the error.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }

    /// The idle connection that was used last: one that rests for long is more likely to be closed by the other side.
    fn take_idle(&self, kept: &mut KeptConnections) -> Option<HttpConnection> {
        while let Some(last) = kept.idle.pop() {
            if last.since.elapsed() >= self.idle_timeout {
                // And so are all others.
                kept.idle.clear();
            } else if last.connection.is_ready() {
                return Some(last.connection);
            }
        }
        None
    }

    /// How the making of a connection ended. A failure is reported only if more requests wait than connections are being made.
    fn take_in(self: &Arc<Self>, made: Result<HttpConnection, BoxError>) {
        self.kept.lock().connecting -= 1;
        match made {
            Ok(connection) => self.put(connection, false),
            Err(error) => {
                let mut kept = self.kept.lock();
                kept.waiting.retain(|waiting| !waiting.is_closed());
                if kept.waiting.len() > kept.connecting
                    && let Some(first) = kept.waiting.pop_front()
                {
                    // It closed just now, which needs no log line.
                    let _ = first.send(Err(error));
                }
            }
        }
    }

    /// Gives a connection to the request that has waited longest, or keeps it.
    fn put(self: &Arc<Self>, mut connection: HttpConnection, reused: bool) {
        let mut kept = self.kept.lock();
        while let Some(first) = kept.waiting.pop_front() {
            match first.send(Ok((connection, reused))) {
                Ok(()) => return,
                Err(Ok((back, _))) => connection = back,
                Err(Err(_)) => return,
            }
        }
        if kept.idle.len() < self.max_idle {
            kept.idle.push(Idle { connection, since: Instant::now() });
        }
        if !std::mem::replace(&mut kept.watched, true) {
            tokio::spawn(close_in_time(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Closes the idle connections over which nothing has come since `silent`, the moment at which a request was sent over one
    /// of them that has had no answer. Those are likely to be as dead as that one.
    fn drop_idle_since_before(&self, silent: Instant) {
        self.kept.lock().idle.retain(|idle| idle.since > silent);
    }

    /// Closes what has been idle for too long. Says when to come again; `None` when nothing is left.
    fn close_old(&self) -> Option<Instant> {
        let mut kept = self.kept.lock();
        kept.idle.retain(|idle| idle.since.elapsed() < self.idle_timeout && !idle.connection.is_closed());
        let next = kept.idle.first().map(|oldest| oldest.since + self.idle_timeout);
        kept.watched = next.is_some();
        next
    }
}

/// Runs while an origin has idle connections.
async fn close_in_time(origin: Weak<PoolOrigin>, idle_timeout: Duration) {
    let mut next = Some(Instant::now() + idle_timeout);
    while let Some(at) = next {
        sleep_until(at).await;
        next = origin.upgrade().and_then(|origin| origin.close_old());
    }
}

/// A connection in use. Dropped before it is given back, it is closed.
#[derive(Debug)]
pub(super) struct ConnectionLease {
    connection: HttpConnection,
    reused: bool,
    /// It goes back to the pool.
    pooled: bool,
    suspicion: Suspicion,
}

/// A connection that was kept open and gives no answer speaks against all that have been idle since before: unless it is cleared,
/// they are closed when this is dropped.
#[derive(Debug)]
struct Suspicion {
    origin: Arc<PoolOrigin>,
    since: Instant,
    cleared: bool,
}

impl Drop for Suspicion {
    fn drop(&mut self) {
        if !self.cleared {
            self.origin.drop_idle_since_before(self.since);
        }
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum PoolFailure {
    /// Nothing of it has gone out: the connection was closed before.
    Unsent(Box<Outgoing>, hyper::Error),
    /// The connection broke, or what came over it is not HTTP.
    Broken(hyper::Error),
}

impl ConnectionLease {
    /// Whether it has carried a request before, so that it may have been closed meanwhile.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request.
    pub(super) async fn send(&mut self, mut request: Box<Outgoing>) -> Result<Response<Incoming>, PoolFailure> {
        request.headers_mut().insert(header::HOST, self.suspicion.origin.host.clone());
        let path = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
        let url = std::mem::replace(request.uri_mut(), path);
        self.connection.try_send_request(*request).await.map_err(|mut refused| match refused.take_message() {
            Some(mut request) => {
                *request.uri_mut() = url;
                PoolFailure::Unsent(Box::new(request), refused.into_error())
            }
            None => PoolFailure::Broken(refused.into_error()),
        })
    }

    /// Keeps the connection for the next request, if it can take one.
    pub(super) fn give_back(self) {
        let Self { mut connection, pooled, mut suspicion, .. } = self;
        suspicion.cleared = true;
        if !pooled || connection.is_closed() {
            return;
        }
        let origin = Arc::clone(&suspicion.origin);
        if connection.is_ready() {
            return origin.put(connection, true);
        }
        // It has something left to do, such as to see the end of the body.
        let origin = Arc::downgrade(&origin);
        tokio::spawn(async move {
            if connection.ready().await.is_ok()
                && let Some(origin) = origin.upgrade()
            {
                origin.put(connection, true);
            }
        });
    }
}

#[cfg(test)]
mod tests;
