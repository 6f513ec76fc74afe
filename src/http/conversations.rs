//! Lookups: a conversation in short, and the list of its participants.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

use super::App;
use super::answer::{fitting, json};
use super::callers::{Refused, authenticate, exchange};
use super::input;
use super::path::ConversationPath;
use crate::callers::Permission;
use crate::conversation::{Conversation, Participant};
use crate::disconnect::conversation_not_found;
use crate::disconnect::look::{Read, read};
use crate::genesys::request::{Medium, Rank};
use crate::ids::ConversationId;
use crate::problem::{Code, Problem};

/// One participant in our lists. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item<'a> {
    id: &'a str,
    name: Option<&'a str>,
    purpose: Option<&'a str>,
    state: Option<&'a str>,
    media: Vec<&'static str>,
    user_id: Option<&'a str>,
    address: Option<&'a str>,
    start_time: Option<&'a str>,
    connected_time: Option<&'a str>,
    end_time: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    ok: bool,
    conversation_id: ConversationId,
    state: &'static str,
    participants: Vec<Item<'a>>,
    total: usize,
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
    participants: Vec<Item<'a>>,
    total: usize,
    truncated: bool,
}

impl<'a> From<&'a Participant> for Item<'a> {
    fn from(participant: &'a Participant) -> Self {
        Self {
            id: &participant.id,
            name: participant.name.as_deref(),
            purpose: participant.purpose.as_deref(),
            state: participant.state(),
            media: participant.media().into_iter().map(Medium::singular).collect(),
            user_id: participant.user_id.as_deref(),
            address: participant.address.as_deref(),
            start_time: participant.start_time.as_deref(),
            connected_time: participant.connected_time.as_deref(),
            end_time: participant.end_time.as_deref(),
        }
    }
}

/// Live ones first, as many as there is room for.
fn items<'a>(conversation: &'a Conversation, keep: impl Fn(&Participant) -> bool) -> (Vec<Item<'a>>, usize, bool) {
    let mut matched: Vec<&Participant> = conversation.participants.iter().filter(|p| keep(p)).collect();
    matched.sort_by_key(|p| !p.is_live());
    let total = matched.len();
    let items = fitting(matched.into_iter().map(Item::from));
    let truncated = items.len() < total;
    (items, total, truncated)
}

fn state(conversation: &Conversation) -> &'static str {
    if conversation.ended() { "ended" } else { "active" }
}

/// Reads the conversation of a lookup.
async fn look_up(
    app: &App,
    parts: &Parts,
    conversation: &str,
    known: &[&str],
    filter: &mut Filter,
) -> Result<(ConversationId, Conversation), Refused> {
    let who = authenticate(app, parts, Permission::Read).await?;
    let cid = input::conversation_id(conversation)?;
    let exchange = exchange(parts);
    exchange.note(|note| note.conversation = Some(cid));
    input::query(parts, known, |name, value| filter.take(name, value))?;
    let admission = app.disconnector.admit(&who.origin)?;
    let client = app.disconnector.client();
    let (read, answer) = read(client, &Arc::clone(&admission.context), Rank::Lookup, cid).await?;
    exchange.note(|note| {
        note.upstream_status = Some(answer.status.as_u16());
        note.correlation_id.clone_from(&answer.correlation_id);
    });
    match read {
        Read::Found(conversation) => Ok((cid, conversation)),
        Read::NotFound => {
            let upstream = crate::problem::Upstream::of(&answer);
            Err(conversation_not_found(Some(Box::new(upstream))).into())
        }
        Read::Hidden(problem) => Err(problem.into()),
    }
}

/// `?purpose=` and `?state=`; several values of one are alternatives.
#[derive(Default)]
struct Filter {
    purposes: Vec<String>,
    states: Vec<String>,
}

impl Filter {
    fn take(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if value.trim().is_empty() {
            let detail = format!("the query parameter {name} is empty; give a value, or leave it away");
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
    State(app): State<App>,
    ConversationPath(conversation): ConversationPath,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    let (id, conversation) = look_up(&app, &parts, &conversation, &[], &mut Filter::default()).await?;
    let (participants, total, truncated) = items(&conversation, |_| true);
    Ok(json(
        StatusCode::OK,
        &Short {
            ok: true,
            id,
            state: state(&conversation),
            start_time: conversation.start_time.as_deref(),
            end_time: conversation.end_time.as_deref(),
            participants,
            total,
            truncated,
        },
    ))
}

/// `GET /conversations/{conversationId}/participants`.
pub(super) async fn participants(
    State(app): State<App>,
    ConversationPath(conversation): ConversationPath,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    let mut filter = Filter::default();
    let (conversation_id, conversation) =
        look_up(&app, &parts, &conversation, &["purpose", "state"], &mut filter).await?;
    let (participants, total, truncated) = items(&conversation, |p| filter.keeps(p));
    Ok(json(
        StatusCode::OK,
        &List { ok: true, conversation_id, state: state(&conversation), participants, total, truncated },
    ))
}
