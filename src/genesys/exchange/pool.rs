//! Connections to the upstream over hyper, kept open between requests.
//!
//! hyper-util's client does the same for any number of hosts; its look-ups by host and its URLs cost every disconnect as
//! much as sending it. We talk to one or two origins.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use tokio::time::{Instant, sleep_until};

use super::connector::Connector;

/// Connections that nobody needs now, by origin. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connector: Connector,
    idle_timeout: Duration,
    /// Connections kept for one origin.
    max_idle: usize,
    origins: Mutex<Vec<Origin>>,
}

/// Those who are talked to are few: they are looked through one by one.
#[derive(Debug)]
struct Origin {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
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
    /// Where it is from in the pool, unless it is not to be kept.
    home: Option<(Weak<Shared>, usize)>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection could be made; nothing was sent.
    Connect(Box<dyn StdError + Send + Sync>),
    /// The connection broke, or what came over it was no HTTP.
    Exchange(hyper::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(out),
            Self::Exchange(error) => error.fmt(out),
        }
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connect(error) => error.source(),
            Self::Exchange(error) => Some(error),
        }
    }
}

impl Pool {
    /// Keeps up to `max_idle` connections to each origin open, for `idle_timeout`.
    pub(super) fn new(connector: Connector, idle_timeout: Duration, max_idle: usize) -> Self {
        Self(Arc::new(Shared { connector, idle_timeout, max_idle, origins: Mutex::default() }))
    }

    /// Sends a request to the origin of its URL, on a connection that was kept open if there is one, else (or when it is to
    /// be `fresh`) on a new one. The lease is to be given back once the answer's body has been read.
    pub(super) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        fresh: bool,
    ) -> Result<(Response<Incoming>, Lease), Failure> {
        let url = std::mem::take(request.uri_mut());
        let (origin, host) = self.0.origin(&url);
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = path_of(&url);
        loop {
            let (mut lease, kept) = match if fresh { None } else { self.0.take(origin) } {
                Some(sender) => (self.lease(sender, origin), true),
                None => {
                    // Boxed, for it is large and rare.
                    let sender = Box::pin(self.0.connect(&url)).await?;
                    (if fresh { Lease { sender, home: None } } else { self.lease(sender, origin) }, false)
                }
            };
            let mut refused = match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, lease)),
                Err(refused) => refused,
            };
            match refused.take_message() {
                // It was closed in the meantime, and nothing of the request has gone out: the next one.
                Some(unsent) if kept => request = unsent,
                _ => return Err(Failure::Exchange(refused.into_error())),
            }
        }
    }

    fn lease(&self, sender: SendRequest<Full<Bytes>>, origin: usize) -> Lease {
        Lease { sender, home: Some((Arc::downgrade(&self.0), origin)) }
    }
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Origin>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of a URL's origin, and its `Host`.
    fn origin(&self, url: &Uri) -> (usize, HeaderValue) {
        let scheme = url.scheme().unwrap_or(&Scheme::HTTP);
        let mut origins = self.lock();
        let known = origins.iter().position(|o| o.scheme == *scheme && url.authority() == Some(&o.authority));
        let place = known.unwrap_or_else(|| {
            let authority = url.authority().cloned().unwrap_or_else(|| Authority::from_static("localhost"));
            let host = host_of(scheme, &authority);
            origins.push(Origin { scheme: scheme.clone(), authority, host, idle: Vec::new(), watched: false });
            origins.len() - 1
        });
        let host = origins.get(place).map(|origin| origin.host.clone());
        (place, host.unwrap_or(HeaderValue::from_static("")))
    }

    /// The idle connection that was used last: one that rests for long is more likely to be closed by the other side.
    fn take(&self, origin: usize) -> Option<SendRequest<Full<Bytes>>> {
        let mut origins = self.lock();
        let idle = &mut origins.get_mut(origin)?.idle;
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

    async fn connect(&self, url: &Uri) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let stream = self.connector.connect(url.clone()).await.map_err(Failure::Connect)?;
        let (sender, connection) = handshake(stream).await.map_err(|e| Failure::Connect(e.into()))?;
        // Whoever has sent a request is told how the connection ended.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }

    fn keep(self: &Arc<Self>, origin: usize, sender: SendRequest<Full<Bytes>>) {
        let mut origins = self.lock();
        let Some(Origin { idle, watched, .. }) = origins.get_mut(origin) else { return };
        if idle.len() < self.max_idle {
            idle.push(Idle { sender, since: Instant::now() });
        }
        if !std::mem::replace(watched, true) {
            tokio::spawn(close_in_time(Arc::downgrade(self), origin, self.idle_timeout));
        }
    }

    /// Closes what has been idle for too long. Says when to come again; `None` when nothing is left.
    fn close_old(&self, origin: usize) -> Option<Instant> {
        let mut origins = self.lock();
        let Origin { idle, watched, .. } = origins.get_mut(origin)?;
        idle.retain(|idle| idle.since.elapsed() < self.idle_timeout && !idle.sender.is_closed());
        let next = idle.first().map(|oldest| oldest.since + self.idle_timeout);
        *watched = next.is_some();
        next
    }
}

/// Runs while an origin has idle connections.
async fn close_in_time(pool: Weak<Shared>, origin: usize, idle_timeout: Duration) {
    let mut next = Some(Instant::now() + idle_timeout);
    while let Some(at) = next {
        sleep_until(at).await;
        next = pool.upgrade().and_then(|pool| pool.close_old(origin));
    }
}

impl Lease {
    /// Keeps the connection for the next request, if it can take one.
    pub(super) fn give_back(self) {
        let Self { mut sender, home: Some((pool, origin)) } = self else { return };
        let keep = move |sender| {
            if let Some(pool) = pool.upgrade() {
                pool.keep(origin, sender);
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
mod tests {
    use http_body_util::BodyExt as _;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    fn pool(idle_timeout: Duration) -> Pool {
        crate::server::tls::install_crypto_provider();
        let tls = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Pool::new(Connector::new(&tls, Duration::from_secs(5)), idle_timeout, 8)
    }

    async fn upstream() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a/path?q=1", listener.local_addr().unwrap());
        (listener, url)
    }

    /// Sends a request, and gives the connection back when its answer has been read.
    async fn ask(pool: &Pool, url: &str, fresh: bool) -> String {
        let request = Request::get(url).body(Full::default()).unwrap();
        let (response, lease) = pool.send(request, fresh).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        lease.give_back();
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Answers one request, and says what its head was.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(ANSWER).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    #[tokio::test]
    async fn a_connection_is_used_again_until_it_has_been_idle_for_too_long() {
        let (listener, url) = upstream().await;
        let pool = pool(Duration::from_millis(200));
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..3 {
                let head = answer(&mut stream).await;
                assert!(head.starts_with("GET /a/path?q=1 HTTP/1.1\r\n"), "{head}");
                let host = format!("host: {}\r\n", listener.local_addr().unwrap());
                assert!(head.contains(&host), "{head}");
            }
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "closed by the pool");
        };
        let asking = async {
            for _ in 0..3 {
                assert_eq!(ask(&pool, &url, false).await, "ok");
            }
        };
        tokio::join!(server, asking);
        assert!(pool.0.lock()[0].idle.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_the_upstream_has_closed_meanwhile_is_replaced() {
        let (listener, url) = upstream().await;
        let pool = pool(Duration::from_secs(60));
        for _ in 0..2 {
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                answer(&mut stream).await;
            };
            assert_eq!(tokio::join!(server, ask(&pool, &url, false)).1, "ok");
            while pool.0.lock()[0].idle.iter().any(|idle| !idle.sender.is_closed()) {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn a_fresh_connection_is_closed_after_its_answer() {
        let (listener, url) = upstream().await;
        let pool = pool(Duration::from_secs(60));
        for _ in 0..2 {
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                answer(&mut stream).await;
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            };
            assert_eq!(tokio::join!(server, ask(&pool, &url, true)).1, "ok");
        }
    }

    #[tokio::test]
    async fn no_connection_and_a_broken_answer_are_told_apart() {
        let (listener, url) = upstream().await;
        let pool = pool(Duration::from_secs(60));
        let request = || Request::get(&url).body(Full::default()).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"no HTTP at all\r\n\r\n").await.unwrap();
        };
        let (sent, ()) = tokio::join!(pool.send(request(), false), server);
        assert!(matches!(sent, Err(Failure::Exchange(_))), "{sent:?}");
        drop(listener);
        let sent = pool.send(request(), false).await;
        assert!(matches!(sent, Err(Failure::Connect(_))), "{sent:?}");
    }

    #[test]
    fn the_host_names_no_port_that_goes_without_saying() {
        let host = |url: &str| {
            let url: Uri = url.parse().unwrap();
            host_of(url.scheme().unwrap(), url.authority().unwrap())
        };
        assert_eq!(host("https://api.mypurecloud.com:443/x"), "api.mypurecloud.com");
        assert_eq!(host("http://api.mypurecloud.com:80"), "api.mypurecloud.com");
        assert_eq!(host("https://user:word@[::1]:8443"), "[::1]:8443");
    }
}
