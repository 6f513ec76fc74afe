//! How many upstream calls each request makes, counted on a paused clock.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test that cannot go on")]

mod confirm;
mod confirm_together;
mod dropin;
mod fairness;
mod join;
mod judge;
mod line;
mod mode;
mod operations;
mod org;
mod pace;
mod particular;
mod reading;
mod refusal_words;
mod refusals;
mod retry;
mod secrets;
mod selector;
mod shutdown;
mod teardown;
mod token;
mod unknown_conversation;
mod unknown_effect;
