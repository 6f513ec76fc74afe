//! The life of one connection: handshake, requests, drain, drop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::phase::{ConnectionPhase, ConnectionState};
use super::places::ConnectionPlace;
use super::timed_stream::TimedStream;
use super::tls::TlsSource;
use super::transport::{AcceptedStream, Socket};
use super::{FINAL_READ, HttpService, Peer, ServeSettings, service};

/// Most bytes of a request head, and most bytes that hyper buffers for a connection.
const MAX_HEAD: usize = 32 << 10;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct ListenerContext<A> {
    pub(super) app: A,
    pub(super) settings: ServeSettings,
    /// Cancelled on a stop and before a kill, so that a connection need not watch `kill` before this.
    pub(super) leaving: CancellationToken,
    pub(super) kill: CancellationToken,
}

/// [`FINAL_READ`] for an evicted connection: shorter, because another one waits for its place.
const FINAL_READ_WHEN_EVICTED: Duration = Duration::from_millis(2);

/// The answer to plain HTTP on a TLS port.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\
    content-length: 60\r\n\r\nThis port speaks TLS: use https instead of http in the URL.\n";

/// Serves one accepted connection to its end. `place` counts it against the limits.
pub(super) async fn run(
    shared: Arc<ListenerContext<impl HttpService>>,
    stream: TcpStream,
    addr: SocketAddr,
    place: ConnectionPlace,
) {
    let _open = shared.settings.stats.opened();
    // An answer is one write, which Nagle's algorithm would only delay.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let tls = shared.settings.tls.as_ref();
    let peer = Peer { addr, tls: tls.is_some() };
    let (socket, transport) = match tls {
        None => {
            let socket = Socket::new(stream);
            (socket.clone(), AcceptedStream::Plain(socket))
        }
        Some(tls) => match handshake(&shared, tls, stream, &place.state).await {
            Some(stream) => (stream.get_ref().0.clone(), AcceptedStream::Tls(stream)),
            None => return,
        },
    };
    tokio::select! {
        biased;
        () = serve_http(&shared, transport, peer, &place.state) => {}
        () = socket.reset() => debug!("the caller has reset the connection"),
    }
}

/// The TLS handshake, within `header_timeout`.
async fn handshake(
    shared: &ListenerContext<impl HttpService>,
    tls: &TlsSource,
    mut stream: TcpStream,
    state: &ConnectionState,
) -> Option<Box<TlsStream<Socket>>> {
    let settings = &shared.settings;
    let accepted = async {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            // Plain HTTP: answer in plain HTTP, then close.
            stream.write_all(NOT_TLS).await?;
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Err(io::Error::other("plain HTTP on a TLS port"));
        }
        TlsAcceptor::from(tls.current()).accept(Socket::new(stream)).await
    };
    let accepted = tokio::select! {
        accepted = timeout(settings.header_timeout, accepted) => accepted,
        () = shared.leaving.cancelled() => return None,
        () = state.evicted() => return None,
    };
    match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => Some(Box::new(stream)),
        Err(error) => {
            settings.stats.tls_failed();
            debug!(%error, "TLS handshake failed");
            None
        }
    }
}

async fn serve_http(
    shared: &ListenerContext<impl HttpService>,
    transport: AcceptedStream,
    peer: Peer,
    state: &Arc<ConnectionState>,
) {
    let io = TokioIo::new(TimedStream::new(transport, Arc::clone(state), &shared.settings));
    let requests = Arc::clone(state);
    let service = service_fn(move |request| service::call(shared.app.clone(), peer, Arc::clone(&requests), request));
    let mut builder = http1::Builder::new();
    // `TimedStream` limits the time for a head; hyper's limit would also cut idle connections.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    // Otherwise hyper drops the request of a caller that has closed its sending half; `run` watches for callers that
    // really left.
    builder.half_close(true);
    let mut connection = pin!(builder.serve_connection(io, service));

    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = shared.leaving.cancelled() => None,
        () = state.evicted() => None,
    };
    let leave = async {
        let final_read = if state.is_evicted() { FINAL_READ_WHEN_EVICTED } else { FINAL_READ };
        if state.phase() != ConnectionPhase::Busy
            && let Ok(ended) = timeout(final_read, connection.as_mut()).await
        {
            return ended;
        }
        // Turns keep-alive off; a connection in the middle of a head ends with its next read.
        state.stop();
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    let ended = match ended {
        Some(ended) => ended,
        None => tokio::select! {
            biased;
            () = shared.kill.cancelled() => return,
            ended = leave => ended,
        },
    };
    if let Err(error) = ended {
        if error.is_parse() {
            shared.settings.stats.head_refused();
        }
        debug!(%error, "connection ended early");
    }
}
