//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// The other end of the connection that a request came by. Every request has it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The address of the socket; a reverse proxy's, if there is one.
    pub addr: SocketAddr,
    /// Whether the connection is encrypted up to us.
    pub tls: bool,
}
