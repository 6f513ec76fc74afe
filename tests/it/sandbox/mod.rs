//! The stand-in for Genesys Cloud, held to what DESIGN.md, GENESYS.md and docs/SANDBOX.md say of it.

#![expect(clippy::expect_used, reason = "helpers of tests stop the test that cannot go on")]

mod analytics;
mod control;
mod conversations;
mod faults;
mod foreign;
mod helpers;
mod official;
mod sockets;
mod tokens;
