//! The engine held to DESIGN.md by counts of upstream calls, on a paused clock.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test that cannot go on")]

mod harness;
mod pace;
mod retry;
mod token;
