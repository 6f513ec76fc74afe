//! `GET /jobs/{id}/items`: a page of JSON, or as NDJSON or CSV all of them, unless `limit` or `cursor` says otherwise.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::super::AppState;
use super::super::accept::{Accept, Form};
use super::super::answer::{fitting, json};
use super::super::callers::Recognised;
use super::super::download::download;
use super::super::input::Query;
use super::super::path::JobPath;
use super::super::refused::Refused;
use super::{limit, sees_all, timestamp, wrong_cursor};
use crate::jobs::Jobs;
use crate::problem::Problem;
use crate::store::StoredItem;

/// Items read at once for a download.
const PAGE: i64 = 1_000;
const HEAD: &str = "index,conversationId,participantId,state,outcome,code,detail,attempts,correlationId,time\n";

/// An item as callers see it. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    index: i64,
    conversation_id: &'a str,
    participant_id: Option<&'a str>,
    state: &'a str,
    outcome: Option<&'a str>,
    code: Option<&'a str>,
    detail: Option<&'a str>,
    attempts: i64,
    correlation_id: Option<&'a str>,
    time: Option<String>,
}

impl<'a> From<&'a StoredItem> for Item<'a> {
    fn from(item: &'a StoredItem) -> Self {
        Self {
            index: item.number,
            conversation_id: &item.conversation,
            participant_id: item.participant.as_deref(),
            state: &item.state,
            outcome: Some(item.result.outcome.as_str()).filter(|outcome| !outcome.is_empty()),
            code: item.result.code.as_deref(),
            detail: item.result.detail.as_deref(),
            attempts: item.result.attempts,
            correlation_id: item.result.correlation_id.as_deref(),
            time: item.time.map(timestamp),
        }
    }
}

#[derive(Serialize)]
struct ItemsAnswer<'a> {
    ok: bool,
    items: Vec<Item<'a>>,
    cursor: Option<String>,
}

/// Answers with items, in the order of their numbers.
pub(in crate::http) async fn items(
    State(app): State<AppState>,
    Recognised { caller, .. }: Recognised,
    JobPath(id): JobPath,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (mut after, mut most) = (None, None);
    query.read(&["limit", "cursor"], |name, value| {
        match name {
            "limit" => most = Some(limit(value, 1_000)?),
            _ => after = Some(value.parse::<i64>().map_err(|_| wrong_cursor())?),
        }
        Ok(())
    })?;
    let job = app.jobs.find(&id, caller.identity(), sees_all(&caller)).await?;
    let form = Form::wanted(&Accept::of(&headers));
    if form != Form::Page {
        return Ok(lines(app.jobs.clone(), job.id.into(), form, after, most).await?);
    }
    let count = most.unwrap_or(100);
    let found = app.jobs.items(&job.id, after, count).await?;
    let items = fitting(found.iter().take(usize::try_from(count).unwrap_or(0)).map(Item::from));
    let last = items.len().checked_sub(1).and_then(|last| found.get(last)).filter(|_| items.len() < found.len());
    let cursor = last.map(|item| item.number.to_string());
    Ok(json(StatusCode::OK, &ItemsAnswer { ok: true, cursor, items }))
}

/// A download of the items whose number is above `after`, at most `most` of them.
async fn lines(
    jobs: Jobs,
    id: Arc<str>,
    form: Form,
    after: Option<i64>,
    most: Option<i64>,
) -> Result<Response, Problem> {
    let head = (form == Form::Csv).then_some(HEAD);
    let read = move |(after, left, head): (Option<i64>, i64, Option<&'static str>)| {
        let (jobs, id) = (jobs.clone(), Arc::clone(&id));
        async move {
            let count = left.min(PAGE);
            let found = jobs.items(&id, after, count).await?;
            let page = &found[..found.len().min(usize::try_from(count).unwrap_or(0))];
            let mut text = head.unwrap_or_default().to_owned();
            for item in page {
                text.push_str(&line(&Item::from(item), form));
            }
            let more = page.len() < found.len() && left > count;
            let last = page.last().map(|item| item.number).filter(|_| more);
            Ok((text, last.map(|last| (Some(last), left - count, None))))
        }
    };
    download(form, (after, most.unwrap_or(i64::MAX), head), read).await
}

fn line(item: &Item<'_>, form: Form) -> String {
    if form == Form::Lines {
        return serde_json::to_string(item).unwrap_or_default() + "\n";
    }
    let (index, attempts) = (item.index.to_string(), item.attempts.to_string());
    let cells = [
        index.as_str(),
        item.conversation_id,
        item.participant_id.unwrap_or_default(),
        item.state,
        item.outcome.unwrap_or_default(),
        item.code.unwrap_or_default(),
        item.detail.unwrap_or_default(),
        &attempts,
        item.correlation_id.unwrap_or_default(),
        item.time.as_deref().unwrap_or_default(),
    ];
    crate::spreadsheet::line(cells)
}
