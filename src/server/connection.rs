//! The life of one connection: handshake, requests, drain, drop.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::phase::{Phase, State};
use super::refusal::substitute;
use super::tls::{TlsSource, common_name};
use super::transport::Transport;
use super::watched::Watched;
use super::{App, LAST_LOOK, Peer, ServeSettings, service};

/// Bytes of a request head at most; also what hyper buffers for a connection at most.
const MAX_HEAD: usize = 32 << 10;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Shared<A> {
    pub(super) app: A,
    pub(super) settings: ServeSettings,
    /// Cancelled first, also before a kill: a connection need not watch for both all the time.
    pub(super) leaving: CancellationToken,
    pub(super) kill: CancellationToken,
}

/// Serves one accepted connection to its end. `_slot` counts it against `max_connections`.
pub(super) async fn run(
    shared: Arc<Shared<impl App>>,
    stream: TcpStream,
    addr: SocketAddr,
    _slot: OwnedSemaphorePermit,
) {
    let _open = shared.settings.stats.opened();
    // An answer is one write: waiting for more to send along would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    let (transport, client_certificate) = match &shared.settings.tls {
        None => (Transport::Plain(stream), None),
        Some(tls) => match handshake(&shared, tls, stream).await {
            Some((stream, name)) => (Transport::Tls(stream), name),
            None => return,
        },
    };
    let peer = Peer { addr, tls: shared.settings.tls.is_some(), client_certificate };
    serve_http(&shared, transport, peer).await;
}

/// Encrypts the connection, in bounded time. Answers the encrypted stream and the name in the caller's certificate.
async fn handshake(
    shared: &Shared<impl App>,
    tls: &TlsSource,
    mut stream: TcpStream,
) -> Option<(Box<TlsStream<TcpStream>>, Option<Arc<str>>)> {
    let settings = &shared.settings;
    let accepted = async {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first[0].is_ascii_uppercase() {
            // A request in the clear: say so in the same way, then close.
            let refusal = substitute(
                b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
                settings.refusal_body,
            );
            stream.write_all(&refusal.unwrap_or_default()).await?;
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            return Err(io::Error::other("plain HTTP on a TLS port"));
        }
        TlsAcceptor::from(tls.current()).accept(stream).await
    };
    let accepted = tokio::select! {
        accepted = timeout(settings.header_timeout, accepted) => accepted,
        () = shared.leaving.cancelled() => return None,
    };
    match accepted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
        Ok(stream) => {
            let certificates = stream.get_ref().1.peer_certificates();
            let name = certificates.and_then(|chain| common_name(chain.first()?)).map(Arc::from);
            Some((Box::new(stream), name))
        }
        Err(error) => {
            settings.stats.tls_failed();
            debug!(%error, "TLS handshake failed");
            None
        }
    }
}

async fn serve_http(shared: &Shared<impl App>, transport: Transport, peer: Peer) {
    let state = Arc::new(State::default());
    let io = TokioIo::new(Watched::new(transport, Arc::clone(&state), shared.settings.clone()));
    let requests = Arc::clone(&state);
    let service =
        service_fn(move |request| service::call(shared.app.clone(), peer.clone(), Arc::clone(&requests), request));
    let mut builder = http1::Builder::new();
    // Our stream limits the time for a head; hyper's limit would also cut connections that are merely idle.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD);
    // One buffer per write, so that an answer of hyper's own is seen whole (see `refusal`).
    builder.writev(false);
    let mut connection = pin!(builder.serve_connection(io, service));

    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Some(ended),
        () = shared.leaving.cancelled() => None,
    };
    let leave = async {
        if state.phase() != Phase::Busy
            && let Ok(ended) = timeout(LAST_LOOK, connection.as_mut()).await
        {
            return ended;
        }
        // Keep-alive off; a connection in the middle of a head meets its end at the next read.
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
        debug!(%error, "connection ended early");
    }
}
