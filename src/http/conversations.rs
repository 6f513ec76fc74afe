//! Lookups: a conversation in short, and the list of its participants.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::AppState;
use super::answer::{fitting, json};
use super::callers::{Permitted, to};
use super::in_process::InProcess;
use super::input::{NoQuery, Query};
use super::path::ConversationPath;
use super::refused::Refused;
use crate::callers::Guards;
use crate::conversation::{Conversation, Participant};
use crate::disconnect::conversation_not_found;
use crate::disconnect::look::{Read, read};
use crate::disconnect::seen;
use crate::genesys::request::Rank;
use crate::ids::ConversationId;
use crate::medium::Medium;
use crate::problem::{Code, Problem, UpstreamDetail};

/// One participant in our lists. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParticipantItem<'a> {
    id: &'a str,
    name: Option<&'a str>,
    purpose: Option<&'a str>,
    state: Option<&'a str>,
    media: Vec<&'static str>,
    user_id: Option<&'a str>,
    queue_id: Option<&'a str>,
    address: Option<&'a str>,
    start_time: Option<&'a str>,
    connected_time: Option<&'a str>,
    end_time: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ParticipantsAnswer<'a> {
    ok: bool,
    conversation_id: ConversationId,
    state: &'static str,
    participants: Vec<ParticipantItem<'a>>,
    total: usize,
    hidden: usize,
    truncated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Short<'a> {
    ok: bool,
    id: ConversationId,
    state: &'static str,
    start_time: Option<&'a str>,
    end_time: Option<&'a str>,
    participants: Vec<ParticipantItem<'a>>,
    total: usize,
    hidden: usize,
    truncated: bool,
}

impl<'a> From<&'a Participant> for ParticipantItem<'a> {
    fn from(participant: &'a Participant) -> Self {
        Self {
            id: &participant.id,
            name: participant.name.as_deref(),
            purpose: participant.purpose.as_deref(),
            state: participant.state(),
            media: participant.shown_media().into_iter().map(Medium::singular).collect(),
            user_id: participant.user_id.as_deref(),
            queue_id: participant.queue_id.as_deref(),
            address: participant.address.as_deref(),
            start_time: participant.start_time.as_deref(),
            connected_time: participant.connected_time.as_deref(),
            end_time: participant.end_time.as_deref(),
        }
    }
}

/// The participants that a caller may see, live ones first, as many as there is room for.
struct ParticipantPage<'a> {
    participants: Vec<ParticipantItem<'a>>,
    /// How many match, including those for whom there is no room.
    total: usize,
    /// How many the caller's key may not touch.
    hidden: usize,
    truncated: bool,
    tag: String,
}

impl<'a> ParticipantPage<'a> {
    fn of(found: &'a LookedUp, keep: impl Fn(&Participant) -> bool) -> Self {
        let (mut permitted, hidden): (Vec<_>, Vec<_>) =
            found.conversation.participants.iter().partition(|participant| found.permits(participant));
        permitted.retain(|participant| keep(participant));
        permitted.sort_by_key(|participant| !participant.is_live());
        let total = permitted.len();
        let participants = fitting(permitted.iter().copied().map(ParticipantItem::from));
        let tag = seen::tag(permitted.into_iter().take(participants.len()));
        Self { truncated: participants.len() < total, participants, total, hidden: hidden.len(), tag }
    }
}

fn state(conversation: &Conversation) -> &'static str {
    if conversation.ended() { "ended" } else { "active" }
}

/// A conversation that was looked up, and for whom.
struct LookedUp {
    id: ConversationId,
    conversation: Conversation,
    guards: Option<Arc<Guards>>,
}

impl LookedUp {
    fn permits(&self, participant: &Participant) -> bool {
        let (purpose, queue) = (participant.purpose.as_deref(), participant.queue_id.as_deref());
        self.guards.as_ref().is_none_or(|guards| guards.permits(purpose, queue))
    }
}

/// Reads the conversation of a lookup.
async fn look_up(
    app: &AppState,
    who: Permitted<to::Read>,
    id: ConversationId,
    in_process: Option<InProcess>,
) -> Result<LookedUp, Problem> {
    let admission = app.disconnector.admit(&who.origin)?;
    let client = app.disconnector.client();
    let (read, answer) = match in_process.as_ref().and_then(|ask| ask.within) {
        Some(within) => app.watch.read(client, &admission.context, id, within).await?,
        None => read(client, &admission.context, Rank::Lookup, id).await?,
    };
    who.context.log().read(&answer);
    match read {
        Read::Found(conversation) => {
            if let Some(ask) = in_process {
                let queues = conversation.participants.iter().filter_map(|one| one.queue_id.clone()).collect();
                let queues = app.search.queue_names(&admission.context, queues).await;
                ask.learn(|aside| aside.queues = queues);
            }
            Ok(LookedUp { id, conversation, guards: who.origin.guards })
        }
        Read::NotFound => Err(conversation_not_found(Some(Box::new(UpstreamDetail::of(&answer))))),
        Read::Hidden(problem) | Read::Foreign(problem) => Err(problem),
    }
}

/// `?purpose=` and `?state=`; several values of one are alternatives.
#[derive(Default)]
struct ListFilter {
    purposes: Vec<String>,
    states: Vec<String>,
}

impl ListFilter {
    fn read(query: &Query) -> Result<Self, Problem> {
        let mut filter = Self::default();
        query.read(&["purpose", "state"], |name, value| filter.take(name, value))?;
        Ok(filter)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if value.trim().is_empty() {
            let detail = format!("the query parameter {name} is empty; give a value, or leave it out");
            return Err(Problem::new(Code::InvalidQuery, detail));
        }
        let list = if name == "purpose" { &mut self.purposes } else { &mut self.states };
        list.extend(value.split(',').map(|word| word.trim().to_ascii_lowercase()));
        Ok(())
    }

    fn keeps(&self, participant: &Participant) -> bool {
        let fits = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.contains(&value.to_ascii_lowercase()))
        };
        fits(&self.purposes, participant.purpose.as_deref()) && fits(&self.states, participant.state())
    }
}

/// `GET /conversations/{conversationId}`.
pub(super) async fn short(
    State(app): State<AppState>,
    who: Permitted<to::Read>,
    ConversationPath(id): ConversationPath,
    _: NoQuery,
) -> Result<Response, Refused> {
    let found = look_up(&app, who, id, None).await?;
    let ParticipantPage { participants, total, hidden, truncated, tag } = ParticipantPage::of(&found, |_| true);
    let short = Short {
        ok: true,
        id: found.id,
        state: state(&found.conversation),
        start_time: found.conversation.start_time.as_deref(),
        end_time: found.conversation.end_time.as_deref(),
        participants,
        total,
        hidden,
        truncated,
    };
    Ok(tagged(json(StatusCode::OK, &short), &tag))
}

/// `GET /conversations/{conversationId}/participants`.
pub(super) async fn participants(
    State(app): State<AppState>,
    who: Permitted<to::Read>,
    ConversationPath(id): ConversationPath,
    query: Query,
    in_process: Option<InProcess>,
) -> Result<Response, Refused> {
    let filter = ListFilter::read(&query)?;
    let found = look_up(&app, who, id, in_process).await?;
    let ParticipantPage { participants, total, hidden, truncated, tag } =
        ParticipantPage::of(&found, |p| filter.keeps(p));
    let list = ParticipantsAnswer {
        ok: true,
        conversation_id: found.id,
        state: state(&found.conversation),
        participants,
        total,
        hidden,
        truncated,
    };
    Ok(tagged(json(StatusCode::OK, &list), &tag))
}

/// With the tag that `If-Match` takes.
fn tagged(mut response: Response, tag: &str) -> Response {
    response.headers_mut().extend(HeaderValue::from_str(tag).ok().map(|tag| (header::ETAG, tag)));
    response
}
