//! One conversation that was found.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::analytics::{AnalyticsConversation, AnalyticsParticipant, Session};
use super::filter::{Filter, State};
use crate::callers::Guards;
use crate::ids::ConversationId;
use crate::medium::Medium;

/// A live conversation, as analytics reports it.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Its id.
    pub id: ConversationId,
    /// Its medium, as in lists of participants; `None` if analytics does not say.
    pub media: Option<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// When it began.
    pub start: OffsetDateTime,
    /// Id of its queue.
    pub queue_id: Option<String>,
    /// Name of its queue, or its id where names are refused.
    pub queue_name: Option<String>,
    /// Id of its first division.
    pub division_id: Option<String>,
    /// Name of that division if a queue showed it, else its id.
    pub division_name: Option<String>,
    /// Where it comes from.
    pub address_from: Option<String>,
    /// Where it leads.
    pub address_to: Option<String>,
    /// How many take part, as far as analytics knows.
    pub participants: usize,
    /// Id of the user who is in it, if one is.
    pub user_id: Option<String>,
    /// Whether an agent or user is in it.
    pub agent: bool,
    /// The user's name, or its id where names are refused.
    pub agent_name: Option<String>,
    /// The last wrap-up code that was set.
    pub wrapup: Option<String>,
}

/// Why a live conversation is not among the hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excluded {
    /// The guards of the caller's key admit none of its participants.
    Hidden,
    /// It is not in the state that was asked for.
    State,
    /// An agent or user is in it, and only those without were asked for.
    Agent,
    /// It is a callback that is scheduled for later.
    Scheduled,
}

impl Hit {
    /// When the conversation began, its id, and the hit or why it is excluded. `None` if its id or start cannot be
    /// read.
    pub(super) fn of(
        conversation: &AnalyticsConversation,
        filter: &Filter,
        guards: Option<&Guards>,
        now: OffsetDateTime,
    ) -> Option<(OffsetDateTime, ConversationId, Result<Self, Excluded>)> {
        let id = ConversationId::parse(&conversation.conversation_id)?;
        let start = time(conversation.conversation_start.as_deref()?)?;
        let sessions =
            || conversation.participants.iter().flat_map(|p| p.sessions.iter().map(move |session| (p, session)));
        let open = || sessions().filter(|(_, session)| session.is_open());
        let agent = open().find(|(participant, _)| is_agent(participant));
        let waiting = open().any(|(participant, _)| purpose(participant) == "acd");
        let scheduled =
            sessions().filter_map(|(_, session)| time(session.callback_scheduled_time.as_deref()?)).any(|at| at > now);
        let wanted = match filter.state {
            State::Any => true,
            State::Waiting => waiting,
            State::Connected => agent.is_some(),
        };
        // A customer's sessions have no queue; a guard for queues then uses the conversation's.
        let queue_id = queue_id(open()).or_else(|| queue_id(sessions()));
        let may_touch = |(p, session): &(&AnalyticsParticipant, &Session)| {
            guards.is_none_or(|guards| guards.permits(p.purpose.as_deref(), session.queue_id().or(queue_id)))
        };
        let excluded = match () {
            () if guards.is_some() && !open().any(|one| may_touch(&one)) => Some(Excluded::Hidden),
            () if !wanted => Some(Excluded::State),
            () if filter.no_agent && agent.is_some() => Some(Excluded::Agent),
            () if scheduled && !filter.include_scheduled => Some(Excluded::Scheduled),
            () => None,
        };
        if let Some(excluded) = excluded {
            return Some((start, id, Err(excluded)));
        }
        let of_customer = |look: fn(&Session) -> Option<&str>| {
            let customer = sessions().filter(|(p, _)| matches!(purpose(p), "customer" | "external"));
            customer.chain(sessions()).find_map(|(_, session)| look(session)).map(str::to_owned)
        };
        let media = open().chain(sessions()).find_map(|(_, session)| session.media_type.as_deref());
        let hit = Self {
            id,
            media: media.map(singular),
            direction: conversation.originating_direction.clone(),
            start,
            queue_id: queue_id.map(str::to_owned),
            queue_name: None,
            division_id: conversation.division_ids.first().cloned(),
            division_name: None,
            address_from: of_customer(|session| session.address_from.as_deref().or(session.ani.as_deref())),
            address_to: of_customer(|session| session.address_to.as_deref().or(session.dnis.as_deref())),
            participants: conversation.participants.iter().filter(|p| p.sessions.iter().any(Session::is_open)).count(),
            user_id: agent.filter(may_touch).and_then(|(participant, _)| participant.user_id.clone()),
            agent: agent.is_some(),
            agent_name: None,
            wrapup: sessions().rev().find_map(|(_, session)| session.wrapup()).map(str::to_owned),
        };
        Some((start, id, Ok(hit)))
    }
}

fn purpose(participant: &AnalyticsParticipant) -> &str {
    participant.purpose.as_deref().unwrap_or_default()
}

fn is_agent(participant: &AnalyticsParticipant) -> bool {
    matches!(purpose(participant), "agent" | "user")
}

fn queue_id<'a>(sessions: impl Iterator<Item = (&'a AnalyticsParticipant, &'a Session)>) -> Option<&'a str> {
    sessions.filter_map(|(_, session)| session.queue_id()).last()
}

/// The name in our lists for a `mediaType` of analytics.
fn singular(analytics: &str) -> String {
    match Medium::from_word(analytics) {
        Some(medium) => medium.singular(),
        None if analytics == "screenmonitoring" => "screenMonitoring",
        None => analytics,
    }
    .to_owned()
}

/// Reads a time that the upstream wrote.
pub(super) fn time(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}
