//! The listening side: serves a router over HTTP/1.1, plain or TLS, and survives callers that misbehave.
//!
//! `axum::serve` sets no time limits: a caller that sends half a request head could stay for ever and hold up a
//! shutdown. So here
//! - a request head must be complete within `header_timeout`, or the connection is cut; between requests a connection
//!   may be idle for `idle_timeout`; and a caller must read its answer at a minimum pace;
//! - at `max_connections` in total, or `max_connections_per_address`, the longest idle connection makes room
//!   (`places`); while all are busy, new callers wait in the backlog, or are refused if their own address holds too
//!   many;
//! - when accepting fails (no descriptors left), it waits a little and tries again;
//! - a caller that has closed its sending half still gets its answer;
//! - `stop` drains, `kill` drops.

mod connection;
mod peer;
mod phase;
mod places;
mod service;
mod settings;
mod stats;
mod timed_stream;
pub mod tls;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use places::{ConnectionPlace, Places};
use settings::FINAL_READ;

pub use peer::Peer;
pub use settings::{HttpService, ServeSettings};
pub use stats::ServeStats;
pub use tls::TlsSource;

/// Connections the kernel holds for us before we accept them.
const BACKLOG: u32 = 4096;

/// Shortest and longest wait after a failed accept.
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Raises the soft limit of open descriptors to the hard one and returns it. Call once, before anything listens.
///
/// # Errors
/// The system refuses; the old limit then holds.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    rlimit::increase_nofile_limit(u64::MAX)
}

/// Keeps the memory of this process, and with it keys, tokens and the client secret, out of core dumps and away from debuggers of
/// the same user. Call once, at start.
///
/// # Errors
/// The system refuses.
pub fn forbid_core_dumps() -> io::Result<()> {
    rlimit::setrlimit(rlimit::Resource::CORE, 0, 0)?;
    // The kernel ignores the limit where core dumps are piped to a program.
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Listens on `addr`, with `SO_REUSEADDR` and a backlog of 4,096. Port 0 takes a free one.
///
/// # Errors
/// The address is in use, not ours, or not allowed. Needs a runtime to be running.
pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// Serves `app` until `stop`, then drains: nothing more is accepted, connections that wait for a request close, and
/// requests under way finish. Returns when every connection is done; `kill` drops what is left.
pub async fn serve(
    listener: TcpListener,
    app: impl HttpService,
    settings: ServeSettings,
    stop: CancellationToken,
    kill: CancellationToken,
) {
    let places = Places::new(&settings);
    let tracker = TaskTracker::new();
    let leaving = CancellationToken::new();
    let shared = Arc::new(connection::ListenerContext { app, settings, leaving: leaving.clone(), kill: kill.clone() });
    let start = |(stream, addr): (TcpStream, SocketAddr), place: ConnectionPlace| {
        tracker.spawn(connection::run(Arc::clone(&shared), stream, addr, place));
    };
    let mut acceptor = Acceptor::default();

    loop {
        let (stream, addr) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = kill.cancelled() => break,
            accepted = acceptor.next(&listener, &shared.settings.stats) => accepted,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                // It was accepted before the stop, and dropping it would reset it.
                start((stream, addr), places.seat(addr.ip(), None));
                break;
            }
            place = places.take(addr.ip()) => if let Some(place) = place {
                start((stream, addr), place);
            },
        }
    }

    leaving.cancel();

    // Connections in the backlog came before the stop, and dropping the listener would reset them.
    let until = Instant::now() + FINAL_READ;
    while let Some(slot) = places.try_take() {
        let Ok(Ok((stream, addr))) = timeout_at(until, listener.accept()).await else { break };
        start((stream, addr), places.seat(addr.ip(), Some(slot)));
    }
    drop(listener);
    tracker.close();
    tracker.wait().await;
}

/// Accepts connections, and logs the start and the end of an episode of failures.
#[derive(Debug, Default)]
struct Acceptor {
    /// Failures in a row.
    failures: u32,
}

impl Acceptor {
    /// The next connection; after a failure waits and tries again.
    async fn next(&mut self, listener: &TcpListener, stats: &ServeStats) -> (TcpStream, SocketAddr) {
        loop {
            match listener.accept().await {
                Ok(accepted) => {
                    if self.failures > 0 {
                        info!(server.accept.failures = self.failures, "accepting connections again");
                        self.failures = 0;
                    }
                    return accepted;
                }
                // The caller left between its connect and our accept; accepting works.
                Err(error) if is_callers_fault(&error) => stats.accept_failed(),
                Err(error) => {
                    stats.accept_failed();
                    if self.failures == 0 {
                        warn!(%error, "cannot accept connections; waiting and trying again (raise the limit of open files if it is one)");
                    }
                    self.failures = self.failures.saturating_add(1);
                    let (least, most) = ACCEPT_BACKOFF;
                    tokio::time::sleep((least * self.failures.min(64)).min(most)).await;
                }
            }
        }
    }
}

fn is_callers_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
