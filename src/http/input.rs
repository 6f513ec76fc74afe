//! What callers send beside ids: queries, preferences, bodies. Lenient about form, strict about meaning.

mod body;
mod headers;
mod preferences;
mod query;
mod wishes;

pub(super) use body::{Members, SelectorMembers, body};
pub(super) use headers::{IdempotencyKey, IfMatch};
pub(super) use preferences::Preferences;
pub(super) use query::{NoQuery, Query};
pub(super) use wishes::Wishes;
