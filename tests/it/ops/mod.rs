//! How the real binary is operated: audit, reload, logs, checks. A process of its own, over real sockets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

mod audit;
mod audit_store;
mod canary;
mod check;
mod commands;
mod explain;
mod logs;
mod long_reads;
mod reload;
mod security;
mod store;
mod sweep;
mod sweep_org;
mod sweep_ways;
mod traces;
