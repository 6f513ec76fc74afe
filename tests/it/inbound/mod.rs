//! The listening side on real sockets.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod harness;
mod places;
mod serving;
mod time_limits;
mod tls;
