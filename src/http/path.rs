//! The parameters of a path. What cannot be decoded is no id: it is told after the caller was recognised, like any other.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

/// `{conversationId}`, as it was sent.
#[derive(Debug)]
pub(super) struct ConversationPath(pub(super) String);

/// `{conversationId}` and `{participantId}`, as they were sent.
#[derive(Debug)]
pub(super) struct ParticipantPath(pub(super) String, pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for ConversationPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map(|Path(id)| id).unwrap_or_default()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ParticipantPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let (conversation, participant) = path.map(|Path(ids)| ids).unwrap_or_default();
        Ok(Self(conversation, participant))
    }
}
