//! A relay between service and sandbox whose connections can go silent (no FIN, no RST, and nothing comes any more), and
//! whose address can drop every SYN.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Connections that may wait to be accepted: so few that the backlog is soon full.
const BACKLOG: u32 = 16;

/// Relays each connection to the sandbox. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) addr: SocketAddr,
    /// Counts the silences: a connection that is older than the latest is silent.
    silences: watch::Sender<u32>,
    /// While set, no connection is accepted.
    dead: watch::Sender<bool>,
    _stop: DropGuard,
}

impl Relay {
    /// Relays to `upstream`.
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
        let listener = socket.listen(BACKLOG).expect("a listener");
        let addr = listener.local_addr().expect("an address");
        let (silences, silenced) = watch::channel(0);
        let (dead, mut alive) = watch::channel(false);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                let accepting = async {
                    // The relay outlives this task's last turn only by its own end.
                    alive.wait_for(|dead| !dead).await.map(drop).ok();
                    listener.accept().await
                };
                let stream = tokio::select! {
                    accepted = accepting => accepted.expect("a connection").0,
                    () = stopped.cancelled() => return,
                };
                tokio::spawn(stopped.clone().run_until_cancelled_owned(relay(stream, upstream, silenced.clone())));
            }
        });
        Self { addr, silences, dead, _stop: stop.drop_guard() }
    }

    /// All connections that are open go silent; new ones work.
    pub(crate) fn silence(&self) {
        self.silences.send_modify(|count| *count += 1);
    }

    /// All connections that are open go silent, and for a while the address drops every SYN.
    pub(crate) async fn drop_syns(&self, spell: Duration) {
        self.dead.send_replace(true);
        self.silence();
        let mut filling = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(self.addr)).await {
            filling.push(connected.expect("a connection"));
            assert!(filling.len() < 100, "this system drops no SYNs");
        }
        sleep(spell).await;
        self.dead.send_replace(false);
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
