//! The stand-in for Genesys Cloud, held to what DESIGN.md, GENESYS.md and docs/SANDBOX.md say of it.

mod control;
mod conversations;
mod faults;
mod helpers;
mod sockets;
mod tokens;
