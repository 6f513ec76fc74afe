//! `POST /conversations/{conversationId}/participants/disconnect`: whoever matches a selector.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use serde::Serialize;

use super::answer::{fitting, json};
use super::callers::{Refused, authenticate, demand, exchange};
use super::input::{self, Preferences};
use super::path::ConversationPath;
use super::{App, internal};
use crate::callers::{Guards, Permission};
use crate::conversation::Conversation;
use crate::disconnect::look::{Read, read};
use crate::disconnect::outcome::{Outcome, Settled};
use crate::disconnect::{Origin, Request as Mission, conversation_not_found, forbidden_participant};
use crate::genesys::request::{Operation, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::Problem;
use crate::selector::{Selector, Target, TargetKey};

/// Missions of one selector under way at once.
const AT_ONCE: usize = 8;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    ok: bool,
    outcome: &'static str,
    conversation_id: ConversationId,
    matched: usize,
    disconnected: usize,
    failed: usize,
    results: Vec<Item<'a>>,
    truncated: bool,
    request_id: &'a str,
}

/// What became of one target. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    participant_id: ParticipantId,
    name: Option<&'a str>,
    purpose: Option<&'a str>,
    ok: bool,
    outcome: Option<&'static str>,
    verified: bool,
    gone: Option<bool>,
    operation: Option<&'static str>,
    attempts: u32,
    code: Option<&'static str>,
    detail: Option<&'a str>,
    correlation_id: Option<&'a str>,
}

/// Handles a selector.
pub(super) async fn disconnect(
    State(app): State<App>,
    ConversationPath(conversation): ConversationPath,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let exchange = exchange(&parts);
    let who = authenticate(&app, &parts, Permission::Disconnect).await?;
    let cid = input::conversation_id(&conversation)?;
    exchange.note(|note| note.conversation = Some(cid));
    let preferences = Preferences::of(&parts)?;
    let dry_run = preferences.dry_run;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let selector = Selector::read(&input::members(&parts.headers, &body)?)?;
    if selector.tears_down() {
        demand(&who.caller, Permission::Teardown)?;
    }
    let idempotency_key = input::idempotency_key(&parts.headers)?;

    let observing = dry_run || who.origin.observe || app.disconnector.observing();
    // Who only observes must not settle whom a later, real request goes to.
    let canonical = format!("{}{}", if observing { "observe " } else { "" }, selector.canonical());
    let key = TargetKey::new(Arc::clone(&who.origin.caller), cid, canonical, idempotency_key.filter(|_| !observing));
    // One for the look and all missions: a caller waits no longer for many than for one.
    let origin = Origin { deadline: Some(app.disconnector.deadline()), ..who.origin };
    let order = Order { origin, cid, selector, wait: preferences.wait, dry_run };
    // In a task of its own: a caller that hangs up does not leave half of them in the conversation.
    let task = app.tasks.spawn(carry_out(app.clone(), key, order));
    let results = task.await.unwrap_or_else(|_| Err(internal()))?;

    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    if failed == results.len()
        && let Some((_, Err(problem))) = results.first()
    {
        return Err(problem.clone().into());
    }
    let would = |(_, result): &(Target, Result<Settled, Problem>)| {
        result.as_ref().is_ok_and(|settled| settled.outcome == Outcome::WouldDisconnect)
    };
    let outcome = match (results.len(), failed) {
        (0, _) => "none_matched",
        (_, 0) if results.iter().any(would) => Outcome::WouldDisconnect.name(),
        (_, 0) => "all",
        _ => "partial",
    };
    exchange.note(|note| {
        note.outcome = Some(outcome);
        note.attempts = Some(results.iter().filter_map(|(_, r)| r.as_ref().ok()).map(|s| s.attempts).sum());
    });
    let gone = |settled: &&Settled| settled.outcome != Outcome::WouldDisconnect;
    let items = fitting(results.iter().map(|(target, result)| item(target, result)));
    let answer = Answer {
        ok: outcome != "partial",
        outcome,
        conversation_id: cid,
        matched: results.len(),
        disconnected: results.iter().filter_map(|(_, r)| r.as_ref().ok()).filter(gone).count(),
        failed,
        truncated: items.len() < results.len(),
        results: items,
        request_id: &exchange.request_id,
    };
    let mut response = json(StatusCode::OK, &answer);
    preferences.stamp(&mut response, false);
    Ok(response)
}

/// What a caller wants done to whoever matches.
struct Order {
    origin: Origin,
    cid: ConversationId,
    selector: Selector,
    wait: Option<Duration>,
    dry_run: bool,
}

/// Settles whom the selector means, and carries out a mission for each.
async fn carry_out(app: App, key: TargetKey, order: Order) -> Result<Vec<(Target, Result<Settled, Problem>)>, Problem> {
    let Order { origin, cid, selector, wait, dry_run } = order;
    let targets = app.targets.targets(&key, resolve(&app, &origin, cid, &selector)).await?;
    let missions = targets.iter().cloned().map(|target| {
        // Whom the key is limited to was looked at when the targets were resolved.
        let origin = Origin { guards: None, ..origin.clone() };
        let mission = Mission { wait, dry_run, ..Mission::new(origin, cid, target.id) };
        let app = app.clone();
        async move { (target, app.carry_out(mission).await) }
    });
    Ok(stream::iter(missions).buffered(AT_ONCE).collect().await)
}

fn item<'a>(target: &'a Target, result: &'a Result<Settled, Problem>) -> Item<'a> {
    let (settled, problem) = (result.as_ref().ok(), result.as_ref().err());
    Item {
        participant_id: target.id,
        name: target.name.as_deref(),
        purpose: target.purpose.as_deref(),
        ok: settled.is_some(),
        outcome: settled.map(|s| s.outcome.name()),
        verified: settled.is_some_and(|s| s.verified),
        gone: settled.map_or_else(|| problem.and_then(|p| p.gone), |s| s.gone),
        operation: settled.and_then(|s| s.operation).map(Operation::name),
        attempts: settled.map_or(0, |s| s.attempts),
        code: problem.map(|p| p.code.name()),
        detail: problem.map(|p| p.detail.as_str()),
        correlation_id: settled.and_then(|s| s.correlation_id.as_deref()),
    }
}

/// Reads the conversation and resolves the selector. Nobody is touched here.
async fn resolve(app: &App, origin: &Origin, cid: ConversationId, selector: &Selector) -> Result<Vec<Target>, Problem> {
    let Some(conversation) = conversation(app, origin, cid).await? else { return Ok(Vec::new()) };
    let matched = selector.resolve(&conversation)?;
    let permitted =
        |guards: &Arc<Guards>| matched.iter().all(|p| guards.permits(p.purpose.as_deref(), p.queue_id.as_deref()));
    if !origin.guards.as_ref().is_none_or(permitted) {
        return Err(forbidden_participant());
    }
    let target = |p: &&crate::conversation::Participant| {
        Some(Target { id: ParticipantId::parse(&p.id)?, name: p.name.clone(), purpose: p.purpose.clone() })
    };
    Ok(matched.iter().filter_map(target).collect())
}

/// The conversation, or `None` where it is over and that is no error.
pub(super) async fn conversation(
    app: &App,
    origin: &Origin,
    cid: ConversationId,
) -> Result<Option<Conversation>, Problem> {
    let admission = app.disconnector.admit(origin)?;
    let (read, _) = read(app.disconnector.client(), &admission.context, Rank::Mission, cid).await?;
    match read {
        Read::Found(conversation) => Ok(Some(conversation)),
        Read::NotFound if app.disconnector.unknown_is_ended() => Ok(None),
        Read::NotFound => Err(conversation_not_found(None)),
        Read::Hidden(problem) => Err(problem),
    }
}
