//! Where the next page of a search begins: after the last conversation that was listed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::OffsetDateTime;

use crate::ids::ConversationId;

/// The place after one conversation, in the order newest first and, at the same start, larger id first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    start: i64,
    id: ConversationId,
}

impl Cursor {
    /// The place after the conversation `id` that began at `start`.
    pub(crate) fn after(start: OffsetDateTime, id: ConversationId) -> Self {
        Self { start: milliseconds(start), id }
    }

    /// Reads what [`Cursor::text`] wrote; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (start, id) = std::str::from_utf8(&bytes).ok()?.split_once('/')?;
        let start = start.parse().ok()?;
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(start) * 1_000_000).ok()?;
        Some(Self { start, id: ConversationId::parse(id)? })
    }

    /// The cursor as the value of a query parameter.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}/{}", self.start, self.id))
    }

    /// Whether a conversation comes after this place.
    pub(crate) fn precedes(&self, start: OffsetDateTime, id: ConversationId) -> bool {
        (milliseconds(start), id.to_string()) < (self.start, self.id.to_string())
    }

    /// The end of the time that is left to search. It includes the cursor's own millisecond, in which others may have
    /// begun.
    pub(crate) fn end(&self) -> OffsetDateTime {
        let nanoseconds = (i128::from(self.start) + 1) * 1_000_000;
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

/// The precision of the upstream's times.
fn milliseconds(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is() {
        let id = ConversationId::parse("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d").unwrap();
        let start = OffsetDateTime::from_unix_timestamp_nanos(1_764_000_000_123_000_000).unwrap();
        let cursor = Cursor::after(start, id);
        assert_eq!(Cursor::read(&cursor.text()), Some(cursor));
        assert!(!cursor.precedes(start, id) && cursor.precedes(start - time::Duration::milliseconds(1), id));
        for wrong in ["", "x", "MTIz", "OTk5OTk5OTk5OTk5OTk5OTk5LzBhMWIyYzNkLTRlNWYtNGE2Yi04YzdkLTllMGYxYTJiM2M0ZA"] {
            assert_eq!(Cursor::read(wrong), None, "{wrong}");
        }
    }
}
