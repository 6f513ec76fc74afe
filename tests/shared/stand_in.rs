//! The stand-in for Genesys Cloud on a socket, in this process.

use std::io;
use std::net::SocketAddr;

use hangup::config;
use hangup::sandbox::Sandbox;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A sandbox that listens, until it is dropped.
#[derive(Debug)]
pub(crate) struct StandIn {
    pub(crate) sandbox: Sandbox,
    pub(crate) addr: SocketAddr,
    _stop: DropGuard,
}

impl StandIn {
    /// On a free port.
    pub(crate) fn serving(settings: &config::Sandbox) -> Self {
        let sandbox = Sandbox::new(settings);
        let (addr, stop, _) = serve(&sandbox);
        Self { sandbox, addr, _stop: stop.drop_guard() }
    }

    /// Where it is, as `genesys.api_url` and `genesys.login_url` take it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// Serves this sandbox on a free port, until the token is cancelled.
pub(crate) fn serve(sandbox: &Sandbox) -> (SocketAddr, CancellationToken, JoinHandle<io::Result<()>>) {
    let listener = hangup::sandbox::listen(([127, 0, 0, 1], 0).into()).unwrap();
    let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let task = tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
    (addr, stop, task)
}
