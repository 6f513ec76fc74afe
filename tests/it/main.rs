//! Everything that needs nothing but loopback, in one test binary: building one is much quicker than building eight.
//!
//! `cargo test --test it engine::` runs one suite of it. The suite with faults of the real binary is `tests/faults`.

mod api;
mod console;
mod contract;
mod engine;
mod fuzz;
mod inbound;
mod ops;
mod sandbox;
#[expect(dead_code, reason = "the other binary uses the rest")]
#[path = "../shared/mod.rs"]
mod shared;
mod support;
