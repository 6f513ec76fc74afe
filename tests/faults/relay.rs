//! A relay between service and sandbox whose connections can go silent: no FIN, no RST, and nothing comes any more.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Relays each connection to the sandbox. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    /// Counts the silences: a connection that is older than the latest is silent.
    silences: watch::Sender<u32>,
    _stop: DropGuard,
}

impl Relay {
    /// Relays to `upstream`.
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let (silences, silenced) = watch::channel(0);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.expect("a connection").0,
                    () = stopped.cancelled() => return,
                };
                tokio::spawn(stopped.clone().run_until_cancelled_owned(relay(stream, upstream, silenced.clone())));
            }
        });
        Self { addr, silences, _stop: stop.drop_guard() }
    }

    /// All connections that are open go silent; new ones work.
    pub(crate) fn silence(&self) {
        self.silences.send_modify(|count| *count += 1);
    }
}

async fn relay(mut caller: TcpStream, upstream: SocketAddr, mut silences: watch::Receiver<u32>) {
    silences.mark_unchanged();
    let Ok(mut service) = TcpStream::connect(upstream).await else { return };
    tokio::select! {
        _ended = copy_bidirectional(&mut caller, &mut service) => {}
        _silent = silences.changed() => {
            // Held open, and neither read nor written.
            std::future::pending::<()>().await;
        }
    }
}
