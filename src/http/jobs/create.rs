//! `POST /jobs`: JSON with the items in it, or the items as CSV or NDJSON and the rest in the query.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, header};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::App;
use super::super::callers::Recognised;
use super::super::input::{self, IdempotencyKey, Query};
use super::super::refused::Refused;
use super::order::{MEMBERS, Order, given_key, submit};
use crate::digest::Digest;
use crate::jobs::{ItemInput, Submission, read_csv, read_item, read_ndjson};
use crate::problem::{Code, Problem};
use crate::strict_json::{self, Once};

/// The items with their numbers.
type Items = Vec<(i64, ItemInput)>;

/// Queues a job.
pub(in crate::http) async fn create(
    State(app): State<App>,
    Recognised { caller, context }: Recognised,
    query: Query,
    idempotency_key: IdempotencyKey,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let settings = app.jobs.settings();
    let limit = usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX);
    let body = input::body(&parts.headers, body, limit, settings.body_timeout).await?;
    let idempotency_key = idempotency_key.read(Code::InvalidBody)?;
    // A hundred thousand lines take a while: other requests go on meanwhile.
    let read = tokio::task::spawn_blocking(move || read(&query, &kind(&parts.headers), &body)).await;
    let (items, order, body) = read.unwrap_or_else(|_| Err(crate::disconnect::internal()))?;
    let identity = caller.identity();
    let request_key = idempotency_key.map(|key| given_key(identity, key));
    let submission = Submission {
        caller: identity.to_string(),
        name: order.name,
        plan: order.plan,
        items,
        hold: order.hold,
        start_in: order.start_in,
        body,
        request_key,
    };
    Ok(submit(&app, &context, &caller, submission, order.was_due).await?)
}

/// What is asked, and the digest of it.
fn read(query: &Query, kind: &str, body: &[u8]) -> Result<(Items, Order, String), Problem> {
    let invalid = |why: String| Problem::new(Code::InvalidBody, format!("{why}; nothing was queued"));
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not UTF-8".to_owned()))?;
    let digest = Digest::of(format!("{}\n{text}", query.text()).as_bytes()).to_string();
    let file = match kind {
        "text/csv" => Some(read_csv(text)),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(read_ndjson(text)),
        _ => None,
    };
    let Some(items) = file else {
        query.read(&[], |_, _| Ok(()))?;
        let (items, order) = read_json(text.trim_start_matches('\u{feff}'))
            .map_err(|p| Problem { detail: format!("{}; nothing was queued", p.detail), ..p })?;
        return Ok((items, order, digest));
    };
    let mut members = Map::new();
    query.read(&MEMBERS, |name, value| {
        members.insert(name.to_owned(), value.into());
        Ok(())
    })?;
    Ok((items.map_err(invalid)?, Order::read(&members)?, digest))
}

fn kind(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Items are read one by one from their text: a tree of a hundred thousand would take hundreds of megabytes.
fn read_json(text: &str) -> Result<(Items, Order), Problem> {
    let invalid = |why: String| Problem::new(Code::InvalidBody, why);
    let Once::<&str, &RawValue>(mut members) = serde_json::from_str(text).map_err(|error| {
        if strict_json::repeats(&error) {
            return invalid(error.to_string());
        }
        invalid(format!(
            "the body is not a JSON object (line {}, column {}); send {{\"items\":[{{\"conversationId\":…,\"participantId\":…}}]}}, or \
             text/csv or application/x-ndjson with that Content-Type",
            error.line(),
            error.column()
        ))
    })?;
    let items =
        members.remove("items").ok_or_else(|| invalid("the job has no items; give items, a list".to_owned()))?;
    let raw: Vec<&RawValue> =
        serde_json::from_str(items.get()).map_err(|_| invalid("items must be a list of objects".to_owned()))?;
    let items = (0..).zip(raw).map(|(number, item)| {
        let members = match strict_json::parse(item.get()) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Err(invalid(format!("item {number}: must be an object"))),
            Err(error) => return Err(invalid(format!("item {number}: {error}"))),
        };
        let item = read_item(&members).map_err(|why| invalid(format!("item {number}: {why}")))?;
        Ok((number, item))
    });
    let items = items.collect::<Result<Items, Problem>>()?;
    let rest = members.into_iter().map(|(name, value)| Ok((name.to_owned(), strict_json::parse(value.get())?)));
    let rest = rest.collect::<Result<Map<String, Value>, serde_json::Error>>();
    Ok((items, Order::read(&rest.map_err(|error| invalid(error.to_string()))?)?))
}
