//! `hangup` disconnects one participant from a Genesys Cloud conversation and reports what really happened.
//!
//! The way of a request: [`server`] accepts it, [`http`] routes, authenticates and parses it, [`disconnect`] carries the
//! disconnect through, [`genesys`] talks to the upstream. [`sandbox`] stands in for the upstream.

pub mod app;
pub mod audit;
pub mod callers;
#[cfg(test)]
mod captured_log;
pub mod claims;
pub mod cli;
pub mod config;
pub mod console;
pub mod conversation;
pub mod crypto_provider;
mod digest;
pub mod disconnect;
mod files;
pub mod fleet;
mod flush_pacer;
pub mod genesys;
pub mod http;
pub mod ids;
pub mod instance;
pub mod jobs;
mod json;
mod lenient;
pub mod medium;
pub mod metrics;
pub mod outcome;
pub mod problem;
pub mod sandbox;
pub mod search;
pub mod selector;
pub mod server;
pub mod shutdown;
mod spreadsheet;
pub mod store;
mod strict_json;
pub mod telemetry;
pub mod text;
mod watched_file;
