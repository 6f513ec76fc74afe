//! What a search found.

use time::OffsetDateTime;

use super::cursor::Cursor;
use super::hit::{Excluded, Hit};
use crate::ids::ConversationId;

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// Live conversations that analytics returned and that are not among the hits: when each began, its id, and why.
    pub excluded: Vec<(OffsetDateTime, ConversationId, Excluded)>,
    /// Where the next page begins; `None` when everything was searched.
    pub cursor: Option<Cursor>,
    /// The oldest start that was searched.
    pub from: OffsetDateTime,
    /// The newest start that was searched.
    pub to: OffsetDateTime,
}
