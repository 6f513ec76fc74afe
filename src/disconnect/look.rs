//! A look at the conversation: one read, and what it shows.

use std::sync::Arc;

use http::StatusCode;

use super::judge::Sight;
use crate::conversation::{Conversation, NoConversation};
use crate::genesys::Client;
use crate::genesys::answer::Answer;
use crate::genesys::context::Context;
use crate::genesys::request::{Call, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem, Upstream};

/// The permission that reading needs.
pub(crate) const VIEW: &str = "conversation:communication:view";

/// What a read gave.
#[derive(Debug)]
pub(crate) enum Read {
    /// The conversation.
    Found(Conversation),
    /// 404 for the conversation itself.
    NotFound,
    /// We lack the permission to look.
    Hidden(Problem),
}

/// Reads a conversation.
///
/// # Errors
/// No answer, a transient one, or a body that is no conversation.
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
                return Err(Problem::invalid_response(&answer, "the read of the conversation gave something else"));
            }
        },
        StatusCode::NOT_FOUND => Read::NotFound,
        StatusCode::FORBIDDEN => Read::Hidden(Problem::forbidden(&answer, VIEW)),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => return Err(Problem::transient(&answer)),
        status if status.is_server_error() => return Err(Problem::transient(&answer)),
        status if status.is_client_error() => {
            let detail = "Genesys Cloud rejects the read; see upstream for its reason";
            return Err(Problem::new(Code::UpstreamRejected, detail).upstream(Upstream::of(&answer)));
        }
        _ => {
            return Err(Problem::invalid_response(
                &answer,
                "the read was answered with a redirect, which is not followed",
            ));
        }
    };
    Ok((read, answer))
}

/// Looks for one participant.
///
/// # Errors
/// As [`read`].
pub(super) async fn look(
    client: &Client,
    context: &Arc<Context>,
    rank: Rank,
    cid: ConversationId,
    pid: ParticipantId,
) -> Result<(Sight, Answer), Problem> {
    let (read, answer) = read(client, context, rank, cid).await?;
    let sight = match read {
        Read::Found(conversation) => Sight::of(&conversation, pid),
        Read::NotFound => Sight::UnknownConversation,
        Read::Hidden(_) => Sight::Hidden,
    };
    Ok((sight, answer))
}
