//! The stand-in for Genesys Cloud on a socket.

use std::net::SocketAddr;

use hangup::config;
use hangup::sandbox::Sandbox;
use tokio_util::sync::DropGuard;

use crate::shared::serve;

/// A sandbox that listens, until it is dropped.
pub(crate) struct StandIn {
    pub(crate) sandbox: Sandbox,
    pub(crate) addr: SocketAddr,
    _stop: DropGuard,
}

impl StandIn {
    /// On a free port.
    pub(crate) fn start(settings: &config::Sandbox) -> Self {
        let sandbox = Sandbox::new(settings);
        let (addr, stop, _) = serve(&sandbox);
        Self { sandbox, addr, _stop: stop.drop_guard() }
    }

    /// Where it is, as `genesys.api_url` and `genesys.login_url` take it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}
