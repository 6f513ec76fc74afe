//! `GET /audit`: who disconnected whom, from the store, newest first. A page of JSON, or all of it as NDJSON or CSV.

mod csv;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::AppState;
use super::accept::{Accept, Form};
use super::answer::{fitting, json};
use super::callers::{Permitted, to};
use super::download::download;
use super::input::Query;
use super::refused::Refused;
use crate::audit::query::moment;
use crate::audit::recorded_as;
use crate::ids::ConversationId;
use crate::problem::{Code, Problem};
use crate::store::{AuditEntry, AuditQuery, Store, StoreError};

/// Records looked at for one page of JSON, of which as many are shown as fit.
const PAGE: i64 = 100;
/// Records of one read of a download.
const CHUNK: i64 = 500;
/// Whether records are kept in the store. Where they are not (`audit.target`), to find none does not mean that nothing happened.
const RECORDING: HeaderName = HeaderName::from_static("x-hangup-recording");
const NAMES: [&str; 8] = ["conversation", "participant", "caller", "job", "outcome", "since", "until", "cursor"];

#[derive(Serialize)]
struct AuditAnswer<'a> {
    ok: bool,
    records: Vec<&'a RawValue>,
    cursor: Option<String>,
    recording: bool,
}

/// Answers with records.
pub(super) async fn get(
    State(app): State<AppState>,
    Permitted { caller, .. }: Permitted<to::Audit>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let mut wanted = read_query(&query)?;
    if caller.guards().is_some() {
        // Records have no purpose and no queue, so a guarded key sees only its own.
        wanted.own = Some(caller.identity().to_string());
    }
    let recording = app.audit.is_in_store();
    let mut response = match Form::wanted(&Accept::of(&headers)) {
        Form::Page => page(&app.store, wanted, recording).await?,
        form => {
            let text = format!("as {}, {}", if form == Form::Csv { "CSV" } else { "NDJSON" }, described(&query));
            let records = every_record(app.store.clone(), wanted, form).await?;
            app.audit.exported(caller.identity(), text);
            records
        }
    };
    response.headers_mut().insert(RECORDING, HeaderValue::from_static(if recording { "true" } else { "false" }));
    Ok(response)
}

fn read_query(query: &Query) -> Result<AuditQuery, Problem> {
    let mut wanted = AuditQuery::default();
    let time = |name: &str, value: &str| {
        let at = moment(value).map_err(|remedy| Problem::new(Code::InvalidQuery, format!("{name}: {remedy}")))?;
        Ok::<_, Problem>(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
    };
    // A mistyped id would find nothing, as if nothing had happened.
    let id = |name: &str, value: &str| {
        let wrong = || format!("the query parameter {name} must be a hyphenated UUID");
        let id = ConversationId::parse(value).ok_or_else(|| Problem::new(Code::InvalidQuery, wrong()))?;
        Ok::<_, Problem>(id.to_string())
    };
    query.read(&NAMES, |name, value| {
        if value.is_empty() {
            return Err(Problem::new(Code::InvalidQuery, format!("the query parameter {name} is empty; leave it out")));
        }
        match name {
            // As records write them.
            "conversation" => wanted.conversation = Some(id(name, value)?),
            "participant" => wanted.participant = Some(id(name, value)?),
            "caller" => wanted.callers = recorded_as(value),
            "job" => wanted.job = Some(id(name, value)?),
            "outcome" => wanted.outcome = Some(value.to_owned()),
            "since" => wanted.since = Some(time(name, value)?),
            "until" => wanted.until = Some(time(name, value)?),
            _ => {
                let wrong = || {
                    Problem::new(
                        Code::InvalidQuery,
                        "the cursor is not valid; take it from the previous page, or leave it out",
                    )
                };
                wanted.after = Some(read_cursor(value).ok_or_else(wrong)?);
            }
        }
        Ok(())
    })?;
    Ok(wanted)
}

fn unavailable(error: &StoreError) -> Problem {
    let detail = "the audit is kept in the store, which cannot be reached; repeat the request";
    Problem::new(Code::StoreUnavailable, detail).cause(error)
}

fn cursor((time, id): &(i64, String)) -> String {
    URL_SAFE_NO_PAD.encode(format!("{time}:{id}"))
}

fn read_cursor(text: &str) -> Option<(i64, String)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (time, id) = text.split_once(':')?;
    Some((time.parse().ok()?, id.to_owned()))
}

fn described(query: &Query) -> String {
    if query.text().is_empty() { "all records".to_owned() } else { query.text().chars().take(512).collect() }
}

async fn page(store: &Store, wanted: AuditQuery, recording: bool) -> Result<Response, Refused> {
    let found = store.read_audit(&AuditQuery { limit: PAGE, ..wanted }).await.map_err(|error| unavailable(&error))?;
    let records =
        fitting(found.records.iter().filter_map(|entry| serde_json::from_str::<&RawValue>(&entry.record).ok()));
    let more = found.more || records.len() < found.records.len();
    let last = found.records.get(records.len().saturating_sub(1)).filter(|_| more);
    let cursor = last.map(|entry| cursor(&entry.place));
    Ok(json(StatusCode::OK, &AuditAnswer { ok: true, records, cursor, recording }))
}

async fn every_record(store: Store, wanted: AuditQuery, form: Form) -> Result<Response, Problem> {
    let begin = (AuditQuery { limit: CHUNK, ..wanted }, true);
    let read = move |(mut wanted, is_first): (AuditQuery, bool)| {
        let store = store.clone();
        async move {
            let page = store.read_audit(&wanted).await.map_err(|error| unavailable(&error))?;
            let text = written(&page.records, form, is_first);
            wanted.after = page.records.last().filter(|_| page.more).map(|entry| entry.place.clone());
            Ok((text, wanted.after.is_some().then_some((wanted, false))))
        }
    };
    download(form, begin, read).await
}

fn written(records: &[AuditEntry], form: Form, with_head: bool) -> String {
    if form == Form::Csv {
        return csv::table(records.iter().map(|entry| entry.record.as_str()), with_head);
    }
    records.iter().flat_map(|entry| [entry.record.as_str(), "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use axum::extract::FromRequestParts as _;

    use super::*;
    use crate::audit::{Audit, AuditScope, EntryPoint, Source};
    use crate::config::{Audit as Settings, Config};

    #[tokio::test]
    async fn a_person_is_found_though_records_have_the_digest_of_its_name() {
        let mut config = Config::defaults();
        config.store.url = "memory".into();
        let store = Store::open(&config.store).await.unwrap();
        for redact in [vec![], vec!["names".to_owned()]] {
            let settings = Settings { redact: crate::config::value::List(redact), ..config.audit.clone() };
            let audit = Audit::open(&settings, &"one".into(), &store).unwrap();
            AuditScope::new(&audit, EntryPoint::Disconnect, Source::default()).answered(|record| {
                record.set_caller(Some("jwt:alice".into()));
                record.problem(&Problem::new(Code::ForbiddenCaller, ""));
            });
            audit.close().await;
        }
        for (asked, found) in [("alice", 2), ("jwt:alice", 2), ("bob", 0), ("key:alice", 0)] {
            let (mut parts, ()) = http::Request::get(format!("/audit?caller={asked}")).body(()).unwrap().into_parts();
            let Ok(query) = Query::from_request_parts(&mut parts, &()).await;
            let wanted = read_query(&query).unwrap();
            let page = store.read_audit(&AuditQuery { limit: PAGE, ..wanted }).await.unwrap();
            assert_eq!(page.records.len(), found, "{asked}");
        }
    }
}
