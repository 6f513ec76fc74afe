//! What became of a disconnect.

use std::sync::Arc;

use crate::genesys::request::Operation;

/// The outcomes that callers rely on. All of them are answered 200, `Accepted` sometimes 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Seen gone, or the synchronous POST said so.
    Disconnected,
    /// The upstream took the PATCH; it takes effect shortly.
    Accepted,
    /// The participant was gone before.
    AlreadyDisconnected,
    /// The whole conversation is over.
    ConversationEnded,
    /// In observe mode: it is there, and would have been disconnected.
    WouldDisconnect,
}

impl Outcome {
    /// All outcomes of a disconnect.
    pub const ALL: [Self; 5] =
        [Self::Disconnected, Self::Accepted, Self::AlreadyDisconnected, Self::ConversationEnded, Self::WouldDisconnect];

    /// Whether the participant is gone with this outcome, as far as the outcome alone says.
    #[must_use]
    pub fn gone(self) -> Option<bool> {
        match self {
            Self::Disconnected | Self::AlreadyDisconnected | Self::ConversationEnded => Some(true),
            Self::Accepted => None,
            Self::WouldDisconnect => Some(false),
        }
    }

    /// The word in answers, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Accepted => "accepted",
            Self::AlreadyDisconnected => "already_disconnected",
            Self::ConversationEnded => "conversation_ended",
            Self::WouldDisconnect => "would_disconnect",
        }
    }
}

/// How a disconnect was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What became of it.
    pub outcome: Outcome,
    /// A read has shown it.
    pub verified: bool,
    /// `true`: observed or stated gone; `false`: observed still there, or a dry run; `None`: unknown.
    pub gone: Option<bool>,
    /// A read after acceptance showed it still there: answered 202.
    pub still_there: bool,
    /// The last operation that was sent, if any.
    pub operation: Option<Operation>,
    /// Disconnect requests sent upstream.
    pub attempts: u32,
    /// `ININ-Correlation-Id` of the upstream's last answer.
    pub correlation_id: Option<Arc<str>>,
    /// Status of the upstream's last answer.
    pub upstream_status: Option<u16>,
}

impl Settled {
    /// A read has shown that none of the participants is there any more.
    pub(crate) fn nobody_left() -> Self {
        Self {
            outcome: Outcome::AlreadyDisconnected,
            verified: true,
            gone: Some(true),
            still_there: false,
            operation: None,
            attempts: 0,
            correlation_id: None,
            upstream_status: None,
        }
    }
}
