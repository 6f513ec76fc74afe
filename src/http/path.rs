//! The ids of a path. They were read when the request came in; here the handlers that need them say what is wrong.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::context::RequestContext;
use super::refused::Refused;
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};

/// `{conversationId}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConversationPath(pub(super) ConversationId);

/// `{conversationId}` and `{participantId}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParticipantPath(pub(super) ConversationId, pub(super) ParticipantId);

impl<S: Sync> FromRequestParts<S> for ConversationPath {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let context = RequestContext::from_request_parts(parts, state).await?;
        Ok(Self(context.conversation.ok_or_else(wrong_conversation)?))
    }
}

impl<S: Sync> FromRequestParts<S> for ParticipantPath {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let context = RequestContext::from_request_parts(parts, state).await?;
        let conversation = context.conversation.ok_or_else(wrong_conversation)?;
        Ok(Self(conversation, context.participant.ok_or_else(wrong_participant)?))
    }
}

/// `{jobId}` in lower case, as the store has it. What is not an id of a job is not found.
#[derive(Debug)]
pub(super) struct JobPath(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(path.map(|Path(id)| id.to_ascii_lowercase()).unwrap_or_default()))
    }
}

fn wrong_conversation() -> Problem {
    let detail = "the conversation id in the path must be a hyphenated UUID, such as \
                  0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d: check that the variable is set, and that it is Genesys' \
                  conversation id and not another system's contact id";
    Problem::new(Code::InvalidConversationId, detail)
}

fn wrong_participant() -> Problem {
    let detail = "the participant id in the path must be a hyphenated UUID; take it from \
                  GET /conversations/{conversationId}/participants";
    Problem::new(Code::InvalidParticipantId, detail)
}
