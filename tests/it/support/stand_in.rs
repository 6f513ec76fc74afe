//! The stand-in for Genesys Cloud on a socket.

use std::net::SocketAddr;

use hangup::config;
use hangup::sandbox::{self, Sandbox};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A sandbox that listens, until it is dropped.
pub(crate) struct StandIn {
    pub(crate) sandbox: Sandbox,
    pub(crate) addr: SocketAddr,
    _stop: DropGuard,
}

impl StandIn {
    /// On a free port.
    pub(crate) fn start(settings: &config::Sandbox) -> Self {
        let listener = sandbox::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let sandbox = Sandbox::new(settings);
        tokio::spawn(sandbox.clone().serve(listener, stop.clone()));
        Self { sandbox, addr, _stop: stop.drop_guard() }
    }

    /// Where it is, as `genesys.api_url` and `genesys.login_url` take it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
