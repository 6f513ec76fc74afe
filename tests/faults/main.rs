//! Faults survived: the real binary against the sandbox, over sockets, with a figure for each fault.
//!
//! Every test writes its row of docs/FAULTS.md; `scripts/faults-table` puts them together. The long half of the suite
//! runs with `HANGUP_FAULTS=all`, as `scripts/faults` does.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests stop the test that cannot go on"
)]

mod callers;
mod canary;
mod connections;
mod crowds;
mod exhaustion;
mod fleet;
mod haproxy;
mod http;
mod jobs;
mod login;
mod memory;
mod relay;
mod rotation;
mod service;
#[expect(dead_code, reason = "the other binary uses the rest")]
#[path = "../shared/mod.rs"]
mod shared;
mod shutdown;
mod silence;
mod soak;
mod sqlite;
mod storms;
mod table;
mod target;
