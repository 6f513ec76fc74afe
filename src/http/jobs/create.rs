//! `POST /jobs`: JSON with the items in it, or the items as CSV or NDJSON and the rest in the query.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, header};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::AppState;
use super::super::callers::Recognised;
use super::super::input::{self, IdempotencyKey, Query};
use super::super::refused::Refused;
use super::order::{MEMBERS, Order, cannot, given_key, submit};
use crate::digest::Digest;
use crate::jobs::{ItemInput, Plan, Submission, read_csv, read_item, read_ndjson};
use crate::problem::{Code, Problem};
use crate::strict_json::{self, Once};

/// The items with their numbers.
type NumberedItems = Vec<(i64, ItemInput)>;

/// Queues a job.
pub(in crate::http) async fn create(
    State(app): State<AppState>,
    Recognised { caller, context }: Recognised,
    query: Query,
    idempotency_key: IdempotencyKey,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let settings = app.jobs.settings();
    let limit = usize::try_from(settings.max_body.as_u64()).unwrap_or(usize::MAX);
    let body = input::body(&parts.headers, body, limit, settings.body_timeout, "split the job (jobs.max_body)").await?;
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
        start: order.start,
        body,
        request_key,
    };
    Ok(submit(&app, &context, &caller, submission, None).await?)
}

/// What is asked, and the digest of it.
fn read(query: &Query, kind: &str, body: &[u8]) -> Result<(NumberedItems, Order, String), Problem> {
    let refused = |code, why: String| Problem::new(code, format!("{why}; nothing was queued"));
    let invalid = |why| refused(Code::InvalidBody, why);
    let text = std::str::from_utf8(body).map_err(|_| invalid("the body is not UTF-8".to_owned()))?;
    let file = match kind {
        "text/csv" => Some(read_csv(text)),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(read_ndjson(text)),
        _ => None,
    };
    let is_file = file.is_some();
    let (items, order) = match file {
        Some(items) => {
            let mut members = Map::new();
            query.read(&MEMBERS, |name, value| {
                members.insert(name.to_owned(), value.into());
                Ok(())
            })?;
            let order = Order::read(&members)
                .map_err(|wrong| refused(Code::InvalidQuery, format!("the query parameters: {}", wrong.detail)))?;
            (items.map_err(invalid)?, order)
        }
        None => {
            query.read(&[], |_, _| Ok(()))?;
            read_json(text.trim_start_matches('\u{feff}')).map_err(|wrong| refused(wrong.code, wrong.detail))?
        }
    };
    let place = if is_file { "line" } else { "item" };
    if let Some((number, why)) = items.iter().find_map(|(number, item)| Some((number, cannot(&order.plan, item)?))) {
        return Err(invalid(format!("{place} {number}: {why}")));
    }
    let digest = Digest::of(asked(&items, &order).as_bytes()).to_string();
    Ok((items, order, digest))
}

/// What is asked for, as the same text however it was written: a repeat is recognised by it. The reason makes no difference.
fn asked(items: &NumberedItems, order: &Order) -> String {
    let Order { name, plan, hold, start } = order;
    let plan = Plan { reason: None, ..plan.clone() };
    let mut text = serde_json::json!([name, plan, hold, format!("{start:?}")]).to_string();
    for (_, item) in items {
        text.push('\n');
        text.push_str(&item.conversation.to_string());
        text.push(' ');
        text.push_str(&item.target.canonical());
    }
    text
}

fn kind(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Items are read one by one from their text: a tree of a hundred thousand would take hundreds of megabytes.
fn read_json(text: &str) -> Result<(NumberedItems, Order), Problem> {
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
    let items = items.collect::<Result<NumberedItems, Problem>>()?;
    let rest = members.into_iter().map(|(name, value)| Ok((name.to_owned(), strict_json::parse(value.get())?)));
    let rest = rest.collect::<Result<Map<String, Value>, serde_json::Error>>();
    Ok((items, Order::read(&rest.map_err(|error| invalid(error.to_string()))?)?))
}
