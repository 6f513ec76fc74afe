//! The sandbox does what docs/SANDBOX.md says.

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
