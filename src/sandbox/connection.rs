//! One connection of the sandbox, which a fault can break at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Longest time from one answer to the end of the next request head: longer than clients keep an idle connection.
const HEAD: Duration = Duration::from_secs(75);
/// Time for requests under way when the sandbox stops.
const DRAIN: Duration = Duration::from_secs(1);

/// What a request can do to its connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u64,
    served: AtomicU64,
    /// Control requests under way, which faults do not break off.
    control: AtomicU64,
    end: Mutex<Option<End>>,
    ended: Notify,
}

/// How a fault ends a connection.
#[derive(Debug)]
pub(crate) enum End {
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// These bytes, then FIN.
    Raw(Bytes),
}

impl Link {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            served: AtomicU64::new(0),
            control: AtomicU64::new(0),
            end: Mutex::new(None),
            ended: Notify::new(),
        }
    }

    /// Whether a request has been served on it before.
    pub(crate) fn reused(&self) -> bool {
        self.served.load(Ordering::Relaxed) > 0
    }

    /// Ends the connection, with whatever request is under way on it.
    pub(crate) fn cut(&self, end: End) {
        *self.end.lock() = Some(end);
        self.ended.notify_one();
    }
}

/// Serves one connection until it ends, a fault breaks it, or the sandbox stops. `down` is cancelled when a fault
/// closes the listener.
pub(crate) async fn serve(
    stream: TcpStream,
    link: Arc<Link>,
    router: Router,
    down: CancellationToken,
    stop: CancellationToken,
) {
    let service = service_fn(|mut request: Request<Incoming>| {
        let (router, link) = (router.clone(), link.clone());
        async move {
            let control = request.uri().path().starts_with("/sandbox");
            if control {
                link.control.fetch_add(1, Ordering::Relaxed);
            }
            request.extensions_mut().insert(link.clone());
            let answer = router.oneshot(request.map(Body::new)).await;
            link.served.fetch_add(1, Ordering::Relaxed);
            if control {
                link.control.fetch_sub(1, Ordering::Relaxed);
            }
            answer
        }
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service);
    let end = tokio::select! {
        // Once the connection is to be broken, no further request is served.
        biased;
        () = link.ended.notified() => link.end.lock().take().unwrap_or(End::Close),
        () = down.cancelled() => End::Reset,
        // An error here is caused by the client, or by a body that is meant to fail.
        _ = &mut connection => return,
        () = stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let _late = timeout(DRAIN, &mut connection).await;
            return;
        }
    };
    if link.control.load(Ordering::Relaxed) > 0 {
        // The control request that set the fault is answered first.
        std::pin::Pin::new(&mut connection).graceful_shutdown();
        let _late = timeout(DRAIN, &mut connection).await;
        return;
    }
    // This drops the request under way first, so that the journal has it before the client notices.
    let mut stream = connection.into_parts().io.into_inner();
    match end {
        End::Close => {}
        End::Reset => reset(&stream),
        End::Raw(bytes) => {
            let _gone = stream.write_all(&bytes).await;
            let _gone = stream.shutdown().await;
        }
    }
}

/// Makes the drop of the stream an RST.
pub(crate) fn reset(stream: &TcpStream) {
    // Fails only for a socket that is gone already.
    let _gone = stream.set_zero_linger();
}
