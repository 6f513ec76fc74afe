//! One upstream call: what is asked, for whom, until when. Cheap to clone, because retries clone it.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

use super::context::Context;
pub use super::rank::Rank;
use super::token::Token;
use crate::ids::{self, ConversationId, ParticipantId};
use crate::medium::Medium;

/// The kinds of upstream calls; also the `operation` label of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The unpublished `POST …/participants/{pid}/disconnect`.
    ParticipantDisconnect,
    /// `PATCH …/participants/{pid}` with `{"state":"disconnected"}`.
    ParticipantState,
    /// `POST …/conversations/{cid}/disconnect`: everybody.
    ConversationDisconnect,
    /// `GET …/conversations/{cid}`.
    ConversationRead,
    /// `POST /api/v2/analytics/conversations/details/query`.
    AnalyticsQuery,
    /// `GET` of the names of queues or users.
    NamesRead,
    /// `GET …/analytics/conversations/{cid}/details`.
    AnalyticsRead,
}

impl Operation {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::ParticipantDisconnect,
        Self::ParticipantState,
        Self::ConversationDisconnect,
        Self::ConversationRead,
        Self::AnalyticsQuery,
        Self::NamesRead,
        Self::AnalyticsRead,
    ];

    /// The name in answers, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ParticipantDisconnect => "participant_disconnect",
            Self::ParticipantState => "participant_state",
            Self::ConversationDisconnect => "conversation_disconnect",
            Self::ConversationRead => "conversation_read",
            Self::AnalyticsQuery => "analytics_query",
            Self::NamesRead => "names_read",
            Self::AnalyticsRead => "analytics_read",
        }
    }

    /// Whether the call is a disconnect.
    #[must_use]
    pub fn disconnects(self) -> bool {
        matches!(self, Self::ParticipantDisconnect | Self::ParticipantState | Self::ConversationDisconnect)
    }
}

const CONVERSATIONS: &str = "/api/v2/conversations/";
const PARTICIPANTS: &str = "/participants/";

/// One upstream call.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) operation: Operation,
    pub(crate) rank: Rank,
    pub(crate) method: Method,
    /// Path below the API's base, from `/api/v2` on.
    pub(crate) path: Bytes,
    /// A JSON document, or nothing.
    pub(crate) body: Bytes,
    pub(crate) context: Arc<Context>,
    /// Stamped by the authorize layer, anew for each attempt.
    pub(crate) token: Option<Arc<Token>>,
    /// Stamped by the trace layer: the attempt's own place in the trace.
    pub(crate) traceparent: Option<Arc<str>>,
    /// The body of the answer is to be handed on as it is, whatever its length.
    pub(crate) whole_body: bool,
    /// It is not retried: what was read before it holds for one attempt only.
    pub(crate) once: bool,
    /// Sent on a connection of its own: one that was kept open was closed as we reused it, or is silent.
    pub(crate) fresh_connection: bool,
}

impl Call {
    fn new(
        context: &Arc<Context>,
        operation: Operation,
        rank: Rank,
        method: Method,
        path: String,
        body: Bytes,
    ) -> Self {
        let context = Arc::clone(context);
        Self {
            operation,
            rank: rank.max(context.requester.rank),
            method,
            path: path.into(),
            body,
            context,
            token: None,
            traceparent: None,
            whole_body: false,
            once: false,
            fresh_connection: false,
        }
    }

    /// The unpublished `POST …/disconnect` with the body given (empty for none).
    #[must_use]
    pub fn post(context: &Arc<Context>, cid: ConversationId, pid: ParticipantId, body: Bytes) -> Self {
        let (mut cid_text, mut pid_text) = (ids::TEXT, ids::TEXT);
        let path =
            [CONVERSATIONS, cid.text(&mut cid_text), PARTICIPANTS, pid.text(&mut pid_text), "/disconnect"].concat();
        Self::new(context, Operation::ParticipantDisconnect, Rank::Disconnect, Method::POST, path, body)
    }

    /// What the published `PATCH` takes to disconnect.
    pub const DISCONNECTED: Bytes = Bytes::from_static(br#"{"state":"disconnected"}"#);

    /// The published `PATCH` with the body given: media-agnostic for `None`, else the form of that medium.
    #[must_use]
    pub fn patch(
        context: &Arc<Context>,
        medium: Option<Medium>,
        cid: ConversationId,
        pid: ParticipantId,
        body: Bytes,
    ) -> Self {
        let (mut cid_text, mut pid_text) = (ids::TEXT, ids::TEXT);
        let (cid, pid) = (cid.text(&mut cid_text), pid.text(&mut pid_text));
        let path = match medium {
            None => [CONVERSATIONS, cid, PARTICIPANTS, pid].concat(),
            Some(medium) => [CONVERSATIONS, medium.segment(), "/", cid, PARTICIPANTS, pid].concat(),
        };
        Self::new(context, Operation::ParticipantState, Rank::Disconnect, Method::PATCH, path, body)
    }

    /// Tears the whole conversation down.
    #[must_use]
    pub fn teardown(context: &Arc<Context>, cid: ConversationId) -> Self {
        let path = format!("/api/v2/conversations/{cid}/disconnect");
        Self::new(context, Operation::ConversationDisconnect, Rank::Disconnect, Method::POST, path, Bytes::new())
    }

    /// The same call, which is not retried.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Reads a conversation: the media-agnostic form for `None`, else that medium's.
    #[must_use]
    pub fn read(context: &Arc<Context>, rank: Rank, medium: Option<Medium>, cid: ConversationId) -> Self {
        let path = match medium {
            None => format!("/api/v2/conversations/{cid}"),
            Some(medium) => format!("/api/v2/conversations/{}/{cid}", medium.segment()),
        };
        Self::new(context, Operation::ConversationRead, rank, Method::GET, path, Bytes::new())
    }

    /// Asks analytics for conversations.
    #[must_use]
    pub fn analytics_query(context: &Arc<Context>, query: Bytes) -> Self {
        let path = "/api/v2/analytics/conversations/details/query".to_owned();
        Self::new(context, Operation::AnalyticsQuery, Rank::Lookup, Method::POST, path, query)
    }

    /// Asks for names; the path is from `/api/v2` on, with its query.
    #[must_use]
    pub fn names(context: &Arc<Context>, path: String) -> Self {
        Self::new(context, Operation::NamesRead, Rank::Lookup, Method::GET, path, Bytes::new())
    }

    /// A read whose body is kept as it is, to be handed on.
    #[must_use]
    pub fn with_whole_body(mut self) -> Self {
        self.whole_body = true;
        self
    }

    /// Asks analytics about a conversation, which it remembers longer than the conversations API does.
    #[must_use]
    pub fn analytics(context: &Arc<Context>, cid: ConversationId) -> Self {
        let path = format!("/api/v2/analytics/conversations/{cid}/details");
        Self::new(context, Operation::AnalyticsRead, Rank::Disconnect, Method::GET, path, Bytes::new())
    }

    /// The moment after which nothing more is sent or awaited for this call.
    pub(crate) fn deadline(&self) -> Instant {
        if self.operation.disconnects() { self.context.disconnect_deadline() } else { self.context.deadline }
    }
}
