//! What a search found.

use time::OffsetDateTime;

use super::cursor::Cursor;
use super::hit::Hit;

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// Newest first.
    pub hits: Vec<Hit>,
    /// Where the next search goes on; none when everything was searched.
    pub cursor: Option<Cursor>,
    /// The oldest start that was searched.
    pub from: OffsetDateTime,
    /// The newest start that was searched.
    pub to: OffsetDateTime,
}
