//! What is searched for.

use std::time::Duration;

use super::cursor::Cursor;

/// How far back a search goes by default.
const NEWER_THAN: Duration = Duration::from_secs(180 * 24 * 3600);

/// Which live conversations are searched for. All members that are given must match.
#[derive(Debug, Clone)]
pub struct Filter {
    /// `mediaType` of analytics.
    pub media: Option<&'static str>,
    /// Name of the queue.
    pub queue: Option<String>,
    /// Id of the queue.
    pub queue_id: Option<String>,
    /// Id of the division.
    pub division_id: Option<String>,
    /// Id of a user in the conversation.
    pub user_id: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<&'static str>,
    /// Where it comes from.
    pub address_from: Option<String>,
    /// Where it leads.
    pub address_to: Option<String>,
    /// It began at least this long ago.
    pub older_than: Duration,
    /// It began at most this long ago.
    pub newer_than: Duration,
    /// Without an agent or user in it, as far as analytics knows.
    pub no_agent: bool,
    /// Whether it waits or is connected.
    pub state: State,
    /// Whether to include callbacks that are scheduled for the future.
    pub include_scheduled: bool,
    /// At most this many.
    pub limit: usize,
    /// Only conversations after this place.
    pub cursor: Option<Cursor>,
}

/// Whether a conversation waits in a queue or is with an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Either.
    #[default]
    Any,
    /// A queue leg is open.
    Waiting,
    /// An agent or user is in it.
    Connected,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            media: None,
            queue: None,
            queue_id: None,
            division_id: None,
            user_id: None,
            direction: None,
            address_from: None,
            address_to: None,
            older_than: Duration::ZERO,
            newer_than: NEWER_THAN,
            no_agent: false,
            state: State::Any,
            include_scheduled: false,
            limit: 100,
            cursor: None,
        }
    }
}
