//! The service as callers see it: the real router over real sockets, against the sandbox.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failing step is a failing test")]

mod bad_input;
pub(crate) mod callers;
mod disconnect;
mod downloads;
mod dropin;
mod job_operations;
mod job_requests;
mod jobs;
mod lookups;
mod operations;
mod operators;
mod search;
mod search_limits;
mod selectors;
mod settings;
