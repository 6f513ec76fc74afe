//! A look at the conversation: one read, and what it shows.

use std::sync::Arc;

use http::StatusCode;

use super::judge::Observation;
use crate::conversation::{Conversation, NoConversation};
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::problem::Problem;

/// The permission that reading needs.
pub(crate) const VIEW: &str = "conversation:communication:view";

/// What a read gave.
#[derive(Debug, Clone)]
pub(crate) enum Read {
    /// The conversation.
    Found(Conversation),
    /// Genesys Cloud says that it does not know the conversation.
    NotFound,
    /// We lack the permission to read it.
    Hidden(Problem),
    /// There is no such path, or something else than Genesys Cloud refused: that says nothing about the conversation.
    Foreign(Problem),
}

/// Reads a conversation.
///
/// # Errors
/// No answer, a transient one, or a body that is not a conversation.
pub(crate) async fn read(
    client: &Client,
    context: &Arc<Context>,
    rank: Rank,
    cid: ConversationId,
) -> Result<(Read, Answer), Problem> {
    let mut answer = client.call(Call::read(context, rank, None, cid)).await?;
    let read = match answer.status {
        StatusCode::OK => match answer.conversation(cid) {
            Ok(conversation) => Read::Found(conversation),
            Err(NoConversation) => {
                return Err(Problem::invalid_response(&answer, "the read of the conversation returned something else"));
            }
        },
        _ => refused(&answer)?,
    };
    Ok((read, answer))
}

/// What the refusal of a read means.
///
/// # Errors
/// A refusal that leaves open whether the conversation can be read.
pub(crate) fn refused(answer: &Answer) -> Result<Read, Problem> {
    let own = answer.is_own_refusal();
    match answer.status {
        StatusCode::NOT_FOUND if own => Ok(Read::NotFound),
        StatusCode::FORBIDDEN if own => Ok(Read::Hidden(Problem::forbidden(answer, VIEW))),
        StatusCode::NOT_FOUND
        | StatusCode::FORBIDDEN
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_IMPLEMENTED => Ok(Read::Foreign(Problem::not_genesys(answer, "read"))),
        _ => Err(Problem::refused(answer, "read", VIEW)),
    }
}

/// Looks for one participant, or for its communications of one medium.
///
/// # Errors
/// As [`read`].
pub(super) async fn look(
    client: &Client,
    context: &Arc<Context>,
    rank: Rank,
    (cid, pid, medium): (ConversationId, ParticipantId, Option<Medium>),
) -> Result<(Observation, Answer), Problem> {
    let (read, answer) = read(client, context, rank, cid).await?;
    let observation = match read {
        Read::Found(conversation) => Observation::of(&conversation, pid, medium),
        Read::NotFound => Observation::UnknownConversation,
        Read::Hidden(_) => Observation::Hidden,
        Read::Foreign(_) => Observation::Foreign,
    };
    Ok((observation, answer))
}
