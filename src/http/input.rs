//! What callers send: ids in the path, queries, preferences, bodies. Lenient about form, strict about meaning.

mod body;
mod preferences;
mod query;
mod wishes;

use http::HeaderMap;
use http::header::IF_MATCH;

use crate::disconnect::seen::AsSeen;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};

pub(super) use body::{body, members};
pub(super) use preferences::Preferences;
pub(super) use query::query;
pub(super) use wishes::Wishes;

/// Reads a conversation id from the path.
pub(super) fn conversation_id(text: &str) -> Result<ConversationId, Problem> {
    ConversationId::parse(text).ok_or_else(|| {
        let detail = "the conversation id in the path must be a hyphenated UUID, such as \
                      0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d: check that the variable is set, and that it is Genesys' \
                      conversation id and not another system's contact id";
        Problem::new(Code::InvalidConversationId, detail)
    })
}

/// Reads a participant id from the path.
pub(super) fn participant_id(text: &str) -> Result<ParticipantId, Problem> {
    ParticipantId::parse(text).ok_or_else(|| {
        let detail = "the participant id in the path must be a hyphenated UUID; take it from \
                      GET /conversations/{conversationId}/participants";
        Problem::new(Code::InvalidParticipantId, detail)
    })
}

/// `If-Match`, where there is one.
pub(super) fn as_seen(headers: &HeaderMap) -> Option<AsSeen> {
    let mut values = headers.get_all(IF_MATCH).iter().map(|value| value.to_str().unwrap_or_default()).peekable();
    values.peek()?;
    Some(AsSeen::read(values))
}

/// `Idempotency-Key`, taken as it is.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    let wrong = || Problem::new(Code::InvalidSelector, "Idempotency-Key must be 1 to 255 visible ASCII characters");
    text.map(Some).ok_or_else(wrong)
}
