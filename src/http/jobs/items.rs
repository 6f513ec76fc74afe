//! `GET /jobs/{id}/items`: a page of JSON, or all of them as NDJSON or CSV.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::super::App;
use super::super::answer::{fitting, json};
use super::super::callers::Recognised;
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
struct Page<'a> {
    ok: bool,
    items: Vec<Item<'a>>,
    cursor: Option<String>,
}

/// The form of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Ndjson,
    Csv,
}

/// Answers with items, in the order of their numbers.
pub(in crate::http) async fn items(
    State(app): State<App>,
    Recognised { caller, .. }: Recognised,
    JobPath(id): JobPath,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (mut after, mut count) = (None, 100);
    query.read(&["limit", "cursor"], |name, value| {
        match name {
            "limit" => count = limit(value, 1_000)?,
            _ => after = Some(value.parse::<i64>().map_err(|_| wrong_cursor())?),
        }
        Ok(())
    })?;
    let job = app.jobs.find(&id, caller.identity(), sees_all(&caller)).await?;
    if let Some(form) = form(&headers) {
        return Ok(download(app.jobs.clone(), job.id, form));
    }
    let found = app.jobs.items(&job.id, after, count).await?;
    let items = fitting(found.iter().take(usize::try_from(count).unwrap_or(0)).map(Item::from));
    let last = items.len().checked_sub(1).and_then(|last| found.get(last)).filter(|_| items.len() < found.len());
    let cursor = last.map(|item| item.number.to_string());
    Ok(json(StatusCode::OK, &Page { ok: true, cursor, items }))
}

fn form(headers: &HeaderMap) -> Option<Form> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?.to_ascii_lowercase();
    let first = |kind: &str| accept.split(',').next().is_some_and(|range| range.trim().starts_with(kind));
    match () {
        () if first("application/x-ndjson") => Some(Form::Ndjson),
        () if first("text/csv") => Some(Form::Csv),
        () => None,
    }
}

fn download(jobs: Jobs, id: String, form: Form) -> Response {
    let kind = match form {
        Form::Ndjson => "application/x-ndjson",
        Form::Csv => "text/csv; charset=utf-8",
    };
    let mut response = Response::new(Body::from_stream(pages(jobs, id.into(), form)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The lines of all items, a page at a time. A store that fails in the middle breaks the download off: a part must not pass for
/// the whole.
fn pages(jobs: Jobs, id: Arc<str>, form: Form) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    let head = (form == Form::Csv).then_some(HEAD);
    stream::try_unfold((Some(None), head), move |(next, head)| {
        let (jobs, id) = (jobs.clone(), Arc::clone(&id));
        async move {
            let Some(after) = next else { return Ok(None) };
            let found =
                jobs.items(&id, after, PAGE).await.map_err(|problem: Problem| std::io::Error::other(problem.detail))?;
            let page = &found[..found.len().min(usize::try_from(PAGE).unwrap_or(0))];
            let mut text = head.unwrap_or_default().to_owned();
            for item in page {
                text.push_str(&line(&Item::from(item), form));
            }
            let next = (page.len() < found.len()).then(|| page.last().map(|item| item.number));
            Ok(Some((Bytes::from(text), (next, None))))
        }
    })
}

fn line(item: &Item<'_>, form: Form) -> String {
    if form == Form::Ndjson {
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
