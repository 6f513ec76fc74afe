//! `hangup` disconnects one participant from a Genesys Cloud conversation, and tells the truth about it.

pub mod callers;
pub mod config;
mod followed;
pub mod server;
