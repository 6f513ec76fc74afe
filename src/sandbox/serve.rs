//! The accept loop, with the faults of a listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Link};
use super::faults::Action;
use super::state::Sandbox;

const BACKLOG: u32 = 4_096;
/// Pause after a failed accept (no descriptors left), and before the listener is opened again after a failure.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// Longest wait for connections when the sandbox stops.
const DRAIN: Duration = Duration::from_secs(2);

/// Opens a listener with a backlog for thousands of clients at once.
///
/// # Errors
/// When the address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Sandbox {
    /// Serves over sockets until `stop`, then gives requests under way a second.
    ///
    /// Use [`listen`] to open the listener. A fault can close it for a while; then it is opened again on the same
    /// address.
    ///
    /// # Errors
    /// The listener's address cannot be read.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        let address = listener.local_addr()?;
        let router = self.router();
        let tasks = TaskTracker::new();
        let mut listener = Some(listener);
        let mut down = CancellationToken::new();
        let mut refusals = self.refusals();
        let mut number = 0_u64;
        while let Some(open) = &listener {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = refusals.changed() => None,
                accepted = open.accept() => Some(accepted),
            };
            match accepted {
                None if *refusals.borrow() <= Instant::now() => {}
                None => {
                    // Open connections first, so that nothing is served once connecting is refused.
                    down.cancel();
                    drop(listener.take());
                    down = CancellationToken::new();
                    listener = reopen(address, &mut refusals, &stop).await;
                }
                Some(Err(_)) => sleep(RETRY_AFTER).await,
                Some(Ok((stream, _))) => {
                    number += 1;
                    self.journal_store().connected();
                    let picked = self.fault_rules().pick_connection();
                    match picked.action {
                        Some(Action::Reset) => connection::reset(&stream),
                        Some(Action::HalfOpen) => {
                            tasks.spawn(hold(stream, stop.clone()));
                        }
                        _ => {
                            // Small answers are sent at once.
                            let _gone = stream.set_nodelay(true);
                            let link = Arc::new(Link::new(number));
                            tasks.spawn(connection::serve(stream, link, router.clone(), down.clone(), stop.clone()));
                        }
                    }
                }
            }
        }
        drop(listener);
        tasks.close();
        let _late = timeout(DRAIN, tasks.wait()).await;
        Ok(())
    }
}

/// Opens the listener again when the time is over; `None` if the sandbox stops before.
async fn reopen(
    address: SocketAddr,
    refusals: &mut watch::Receiver<Instant>,
    stop: &CancellationToken,
) -> Option<TcpListener> {
    loop {
        let until = *refusals.borrow_and_update();
        tokio::select! {
            () = stop.cancelled() => return None,
            // A control request has changed how long it stays closed.
            Ok(()) = refusals.changed() => continue,
            () = sleep_until(until) => {}
        }
        match listen(address) {
            Ok(listener) => return Some(listener),
            // Another process may hold the port for a moment.
            Err(_) => sleep(RETRY_AFTER).await,
        }
    }
}

/// Keeps a connection open and never answers.
async fn hold(stream: TcpStream, stop: CancellationToken) {
    let gone = async {
        let mut waste = [0_u8; 4_096];
        loop {
            if stream.readable().await.is_err() {
                return;
            }
            match stream.try_read(&mut waste) {
                Ok(0) => return,
                Err(e) if e.kind() != io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {}
            }
        }
    };
    tokio::select! {
        () = gone => {}
        () = stop.cancelled() => {}
    }
}
