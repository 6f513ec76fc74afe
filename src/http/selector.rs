//! `POST /conversations/{conversationId}/participants/disconnect`: all who match a selector.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::AppState;
use super::answer::{fitting, json};
use super::callers::{Permitted, demand, to};
use super::input::{IdempotencyKey, Preferences, SelectorMembers};
use super::jobs::asynchronously;
use super::path::ConversationPath;
use super::refused::Refused;
use crate::callers::Permission;
use crate::claims::Target;
use crate::disconnect::seen::AsSeen;
use crate::disconnect::{Selected, Selection, as_one};
use crate::genesys::request::Operation;
use crate::ids::{ConversationId, ParticipantId};
use crate::jobs::{ItemInput, Plan, TargetInput};
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Problem};
use crate::selector::Selector;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SelectorAnswer<'a> {
    ok: bool,
    outcome: &'static str,
    conversation_id: ConversationId,
    matched: usize,
    disconnected: usize,
    failed: usize,
    results: Vec<TargetItem<'a>>,
    truncated: bool,
    request_id: &'a str,
}

/// What became of one target. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetItem<'a> {
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
    State(app): State<AppState>,
    Permitted { caller, origin, context, .. }: Permitted<to::Disconnect>,
    ConversationPath(conversation): ConversationPath,
    preferences: Preferences,
    as_seen: Option<AsSeen>,
    idempotency_key: IdempotencyKey,
    SelectorMembers(members): SelectorMembers,
) -> Result<Response, Refused> {
    let selector = Selector::read(&members)?;
    let tears_down = selector.needs_teardown();
    if tears_down {
        demand(&caller, Permission::Teardown)?;
    }
    let idempotency_key = idempotency_key.read(Code::InvalidSelector)?;
    let Preferences { wait, dry_run, .. } = preferences;
    if preferences.respond_async {
        let item = ItemInput { conversation, target: TargetInput::selector(&selector, members) };
        let plan = Plan { dry_run, as_seen, ..Plan::default() };
        return asynchronously(&app, &context, &caller, item, plan, idempotency_key).await;
    }
    let idempotency_key = idempotency_key.map(str::to_owned);
    let selection = Selection { origin, conversation, selector, idempotency_key, as_seen, wait, dry_run };
    let selected = app.disconnector.select(selection).await?;

    let results = &selected.results;
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    if failed == results.len() && failed > 0 {
        as_one(results.iter().map(|(_, result)| result))?;
    }
    let settled = || results.iter().filter_map(|(_, result)| result.as_ref().ok());
    let outcome = outcome(&selected, failed);
    {
        let mut log = context.log();
        log.outcome = Some(outcome);
        log.attempts = Some(settled().map(|settled| settled.attempts).sum());
    }
    // A participant that was seen still there does not count as disconnected; nor does any in a dry run.
    let disconnected = |settled: &&Settled| settled.gone != Some(false);
    let still_there = settled().any(|settled| settled.still_there);
    // Without its body, a partial failure or a dry run would pass for a success.
    if preferences.minimal && !still_there && matches!(outcome, "all" | "none_matched") {
        return Ok(preferences.no_content());
    }
    let items = fitting(results.iter().map(|(target, result)| item(target, result)));
    let answer = SelectorAnswer {
        ok: outcome != "partial",
        outcome,
        conversation_id: conversation,
        matched: results.len(),
        disconnected: settled().filter(disconnected).count(),
        failed,
        truncated: items.len() < results.len(),
        results: items,
        request_id: &context.request_id,
    };
    let status = if still_there { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = json(status, &answer);
    preferences.stamp(&mut response);
    Ok(response)
}

/// One word for all of them. Where the mode was switched in the middle, some were only observed.
fn outcome(selected: &Selected, failed: usize) -> &'static str {
    let observed = |result: &Result<Settled, Problem>| {
        result.as_ref().is_ok_and(|settled| settled.outcome == Outcome::WouldDisconnect)
    };
    let only_observed = selected.results.iter().filter(|(_, result)| observed(result)).count();
    match selected.results.len() {
        0 => "none_matched",
        _ if failed > 0 => "partial",
        all if selected.observed || only_observed == all => Outcome::WouldDisconnect.name(),
        _ if only_observed > 0 => "partial",
        _ => "all",
    }
}

fn item<'a>(target: &'a Target, result: &'a Result<Settled, Problem>) -> TargetItem<'a> {
    let (settled, problem) = (result.as_ref().ok(), result.as_ref().err());
    TargetItem {
        participant_id: target.id,
        name: target.name.as_deref(),
        purpose: target.purpose.as_deref(),
        ok: settled.is_some(),
        outcome: settled.map(|s| s.outcome.name()),
        verified: settled.is_some_and(|s| s.verified),
        gone: settled.map_or_else(|| problem.and_then(|p| p.gone), |s| s.gone),
        operation: settled.and_then(|s| s.operation).map(Operation::name),
        attempts: settled.map_or_else(|| problem.map_or(0, |p| p.attempts), |s| s.attempts),
        code: problem.map(|p| p.code.name()),
        detail: problem.map(|p| p.detail.as_str()),
        correlation_id: settled
            .and_then(|s| s.correlation_id.as_deref())
            .or_else(|| problem?.upstream.as_ref()?.correlation_id.as_deref()),
    }
}
