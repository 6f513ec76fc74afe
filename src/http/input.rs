//! What callers send beside ids: queries, preferences, bodies. Lenient about form, strict about meaning.

mod body;
mod disconnect_body;
mod headers;
mod preferences;
mod query;

pub(super) use body::{Members, SelectorMembers, body};
pub(super) use disconnect_body::DisconnectBody;
pub(super) use headers::IdempotencyKey;
pub(super) use preferences::Preferences;
pub(super) use query::{NoQuery, Query};
