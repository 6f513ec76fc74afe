//! Connections to the upstream over hyper, kept open between requests.
//!
//! hyper-util's client does the same for any number of hosts; its look-ups by host and its URLs cost every disconnect as
//! much as sending it. We talk to one or two origins.

use std::error::Error as StdError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::time::{Instant, sleep_until};

use super::connector::Connector;

/// Largest buffer for what a connection reads, and so the longest head of an answer, in bytes. Each connection has one while it
/// reads: a crowd of long answers must not fill our memory.
const READ_BUFFER: usize = 32 * 1024;

/// Connections that nobody needs now, by origin.
#[derive(Debug)]
pub(super) struct Pool {
    connector: Connector,
    idle_timeout: Duration,
    /// Connections kept for one origin.
    max_idle: usize,
    /// Those who are talked to are few: they are looked through one by one.
    origins: Mutex<Vec<Arc<Origin>>>,
}

#[derive(Debug)]
struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    idle_timeout: Duration,
    max_idle: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The one that was used last is at the end.
    idle: Vec<Idle>,
    /// Somebody will close the idle ones when their time is over.
    watched: bool,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

/// A connection in use. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Lease {
    sender: SendRequest<Full<Bytes>>,
    /// Where it is kept, unless it is not to be.
    home: Option<Weak<Origin>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection could be made; nothing was sent.
    #[error(transparent)]
    Connect(Box<dyn StdError + Send + Sync>),
    /// The connection broke, or what came over it was no HTTP.
    #[error("{0}")]
    Exchange(#[source] hyper::Error),
}

impl Pool {
    /// Keeps up to `max_idle` connections to each origin open, for `idle_timeout`.
    pub(super) fn new(connector: Connector, idle_timeout: Duration, max_idle: usize) -> Self {
        Self { connector, idle_timeout, max_idle, origins: Mutex::default() }
    }

    /// Sends a request to the origin of its URL, on a connection that was kept open if there is one, else (or when it is to
    /// be `fresh`) on a new one. The lease is to be given back once the answer's body has been read.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        fresh: bool,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let url = std::mem::take(request.uri_mut());
        let origin = self.origin(&url);
        request.headers_mut().insert(header::HOST, origin.host.clone());
        *request.uri_mut() = path_of(&url);
        loop {
            let kept = if fresh { None } else { origin.take() };
            let was_kept = kept.is_some();
            let sender = match kept {
                Some(sender) => sender,
                // Boxed, for it is large and rare.
                None => Box::pin(self.connect(&url)).await?,
            };
            let mut lease = Lease { sender, home: (!fresh).then(|| Arc::downgrade(&origin)) };
            let mut refused = match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, lease)),
                Err(refused) => refused,
            };
            match refused.take_message() {
                // It was closed in the meantime, and nothing of the request has gone out: the next one.
                Some(unsent) if was_kept => request = unsent,
                _ => return Err(Failure::Exchange(refused.into_error())),
            }
        }
    }

    /// The origin of a URL.
    fn origin(&self, url: &Uri) -> Arc<Origin> {
        let scheme = url.scheme().unwrap_or(&Scheme::HTTP);
        let mut origins = lock(&self.origins);
        let known = origins.iter().find(|o| o.scheme == *scheme && url.authority() == Some(&o.authority));
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let authority = url.authority().cloned().unwrap_or_else(|| Authority::from_static("localhost"));
        let origin = Arc::new(Origin {
            scheme: scheme.clone(),
            host: host_of(scheme, &authority),
            authority,
            idle_timeout: self.idle_timeout,
            max_idle: self.max_idle,
            kept: Mutex::default(),
        });
        origins.push(Arc::clone(&origin));
        origin
    }

    async fn connect(&self, url: &Uri) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = self.connector.connect(url.clone()).await.map_err(Failure::Connect)?;
        let handshake = http1::Builder::new().max_buf_size(READ_BUFFER).handshake(stream);
        let (sender, connection) = handshake.await.map_err(|e| Failure::Connect(e.into()))?;
        // Whoever has sent a request is told how the connection ended.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What goes into the first line of a request.
fn path_of(url: &Uri) -> Uri {
    url.path_and_query().cloned().map(Uri::from).unwrap_or_default()
}

/// The origin's `Host`: without a port that goes without saying.
fn host_of(scheme: &Scheme, authority: &Authority) -> HeaderValue {
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = match authority.port_u16() {
        Some(port) if port != usual => format!("{}:{port}", authority.host()),
        _ => authority.host().to_owned(),
    };
    // Whatever is a host in a URL is a header's value.
    HeaderValue::from_str(&host).unwrap_or(HeaderValue::from_static(""))
}

impl Origin {
    /// The idle connection that was used last: one that rests for long is more likely to be closed by the other side.
    fn take(&self) -> Option<SendRequest<Full<Bytes>>> {
        let idle = &mut lock(&self.kept).idle;
        while let Some(last) = idle.pop() {
            if last.since.elapsed() >= self.idle_timeout {
                // And so are all others.
                idle.clear();
            } else if last.sender.is_ready() {
                return Some(last.sender);
            }
        }
        None
    }

    fn keep(self: &Arc<Self>, sender: SendRequest<Full<Bytes>>) {
        let mut kept = lock(&self.kept);
        if kept.idle.len() < self.max_idle {
            kept.idle.push(Idle { sender, since: Instant::now() });
        }
        if !std::mem::replace(&mut kept.watched, true) {
            tokio::spawn(close_in_time(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Closes what has been idle for too long. Says when to come again; `None` when nothing is left.
    fn close_old(&self) -> Option<Instant> {
        let mut kept = lock(&self.kept);
        kept.idle.retain(|idle| idle.since.elapsed() < self.idle_timeout && !idle.sender.is_closed());
        let next = kept.idle.first().map(|oldest| oldest.since + self.idle_timeout);
        kept.watched = next.is_some();
        next
    }
}

/// Runs while an origin has idle connections.
async fn close_in_time(origin: Weak<Origin>, idle_timeout: Duration) {
    let mut next = Some(Instant::now() + idle_timeout);
    while let Some(at) = next {
        sleep_until(at).await;
        next = origin.upgrade().and_then(|origin| origin.close_old());
    }
}

impl Lease {
    /// Keeps the connection for the next request, if it can take one.
    pub(super) fn give_back(self) {
        let Self { mut sender, home: Some(origin) } = self else { return };
        let keep = move |sender| {
            if let Some(origin) = origin.upgrade() {
                origin.keep(sender);
            }
        };
        if sender.is_ready() {
            keep(sender);
        } else if !sender.is_closed() {
            // It has something left to do, such as to see the end of the body.
            tokio::spawn(async move {
                if sender.ready().await.is_ok() {
                    keep(sender);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests;
