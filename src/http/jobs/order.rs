//! What a job is asked to do beyond its items: the same members in JSON, in the query beside CSV and NDJSON, and for
//! `respond-async`.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, header};
use serde::Serialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::AppState;
use super::super::answer::json;
use super::super::callers::demand;
use super::super::context::RequestContext;
use super::super::input::DisconnectBody;
use super::super::refused::Refused;
use super::ACCEPTED;
use crate::callers::{Caller, CallerKind};
use crate::digest::Digest;
use crate::ids::ConversationId;
use crate::jobs::{Accepted, ItemInput, LONGEST_DELAY, Plan, SkipIf, Submission, TargetInput, TokenRights};
use crate::medium::Medium;
use crate::problem::{Code, Problem};
use crate::store::{JobState, KeyKind, Start};
use crate::strict_json;

/// The job's own members.
pub(super) const MEMBERS: [&str; 10] =
    ["name", "reason", "wrapup", "wrapupSkipped", "skipIf", "dryRun", "hold", "notBefore", "after", "giveUpAfter"];
/// The longest name of a job, in characters.
const LONGEST_NAME: usize = 200;
/// The longest age and patience: twenty years, as far back as a search looks.
const LONGEST_AGE: Duration = Duration::from_secs(20 * 366 * 24 * 3600);

/// A job without its items.
#[derive(Debug, Default)]
pub(super) struct Order {
    pub(super) name: Option<String>,
    pub(super) plan: Plan,
    pub(super) hold: bool,
    pub(super) start: Start,
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidBody, detail)
}

impl Order {
    /// Reads the job's own members; `""` and `null` mean absent.
    ///
    /// # Errors
    /// `invalid_body` with what is wrong.
    pub(super) fn read(members: &Map<String, Value>) -> Result<Self, Problem> {
        if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            return Err(invalid(format!("unknown member \"{name}\"; known: items, {}", MEMBERS.join(", "))));
        }
        let given = |name: &str| members.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""));
        let (wrapup, wrapup_skipped) = DisconnectBody::wrapup(members)?;
        let start = start(given("notBefore"), given("after"))?;
        let name = match given("name") {
            None => None,
            Some(Value::String(name)) => Some(name.clone()),
            Some(_) => return Err(invalid("name must be a string")),
        };
        if name.as_ref().is_some_and(|name| name.chars().count() > LONGEST_NAME) {
            return Err(invalid(format!("name may have at most {LONGEST_NAME} characters")));
        }
        Ok(Self {
            name,
            plan: Plan {
                reason: DisconnectBody::reason(members)?,
                wrapup,
                wrapup_skipped,
                skip_if: given("skipIf").map(skip_if).transpose()?.unwrap_or_default(),
                dry_run: flag("dryRun", given("dryRun"))?,
                give_up_after: given("giveUpAfter")
                    .map(|value| length("giveUpAfter", value, LONGEST_AGE))
                    .transpose()?,
                ..Plan::default()
            },
            hold: flag("hold", given("hold"))?,
            start,
        })
    }
}

/// What a job cannot do with one of its items, in words: a conversation is ended without a wrap-up.
pub(super) fn cannot(plan: &Plan, item: &ItemInput) -> Option<&'static str> {
    let with_wrapup = plan.wrapup.is_some() || plan.wrapup_skipped == Some(true);
    (with_wrapup && item.target == TargetInput::All).then_some(
        "a whole conversation is ended without a wrap-up; leave out wrapup and wrapupSkipped, or give such items a job of their own",
    )
}

fn flag(name: &str, value: Option<&Value>) -> Result<bool, Problem> {
    match value {
        None | Some(Value::Bool(false)) => Ok(false),
        Some(Value::Bool(true)) => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(invalid(format!("{name} must be true or false"))),
    }
}

fn length(name: &str, value: &Value, longest: Duration) -> Result<Duration, Problem> {
    let read = value.as_str().and_then(|text| humantime::parse_duration(text.trim()).ok());
    let most = longest.as_secs() / 86_400;
    let wrong = || invalid(format!("{name} must be a time with its unit, such as \"10m\", of at most {most} days"));
    read.filter(|time| *time <= longest).ok_or_else(wrong)
}

fn start(not_before: Option<&Value>, after: Option<&Value>) -> Result<Start, Problem> {
    match (not_before, after) {
        (None, None) => Ok(Start::Now),
        (Some(_), Some(_)) => Err(invalid("give notBefore or after, not both")),
        (None, Some(after)) => Ok(Start::After(length("after", after, LONGEST_DELAY)?)),
        (Some(at), None) => {
            let at = at.as_str().and_then(|text| OffsetDateTime::parse(text.trim(), &Rfc3339).ok());
            let at = at.ok_or_else(|| invalid("notBefore must be a time such as 2026-12-01T06:00:00Z"))?;
            let ahead = Duration::try_from(at - OffsetDateTime::now_utc()).unwrap_or_default();
            if ahead > LONGEST_DELAY {
                return Err(invalid("notBefore must be within 30 days"));
            }
            let moment = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX);
            Ok(Start::NotBefore(moment.max(0)))
        }
    }
}

/// In a query it is JSON text.
fn skip_if(value: &Value) -> Result<SkipIf, Problem> {
    let read = match value {
        Value::String(text) => strict_json::object(text),
        Value::Object(members) => Some(members.clone()),
        _ => None,
    };
    let Some(members) = read else {
        return Err(invalid("skipIf must be a JSON object, such as {\"agent\":true,\"youngerThan\":\"10m\"}"));
    };
    let mut skip = SkipIf::default();
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null() && value.as_str() != Some("")) {
        match name.as_str() {
            "agent" => skip.agent = flag("skipIf.agent", Some(value))?,
            "youngerThan" => skip.younger_than = Some(length("skipIf.youngerThan", value, LONGEST_AGE)?),
            "leftQueue" => {
                // With its name all items would be skipped. Any hyphenated UUID: they all look alike.
                let id = value.as_str().and_then(|text| ConversationId::parse(text.trim())).ok_or_else(|| {
                    invalid("skipIf.leftQueue must be the id of a queue, a hyphenated UUID, and not its name")
                })?;
                skip.left_queue = Some(id.to_string());
            }
            _ => return Err(invalid("unknown member in skipIf; known: agent, youngerThan, leftQueue")),
        }
    }
    Ok(skip)
}

/// The answer to a job that was queued. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Queued<'a> {
    ok: bool,
    job_id: &'a str,
    job_url: &'a str,
    state: &'static str,
    gone: Option<bool>,
    total: i64,
    duplicates: usize,
    repeated: bool,
    note: Option<&'static str>,
    request_id: &'a str,
}

/// Queues it, under the permissions of this caller. Its record says `why`, or else how many items it has.
pub(super) async fn submit(
    app: &AppState,
    context: &RequestContext,
    caller: &Caller,
    mut submission: Submission,
    why: Option<String>,
) -> Result<Response, Problem> {
    for needed in submission.needs() {
        demand(caller, needed)?;
    }
    if caller.kind() == CallerKind::Token {
        submission.plan.token = Some(TokenRights::of(caller));
    }
    submission.plan.actor = context.scope.actor().map(str::to_owned);
    let start = submission.start;
    let accepted = app.jobs.submit(submission).await?;
    let mut log = context.log();
    log.outcome = Some(if accepted.repeated { "repeated" } else { accepted.job.state.name() });
    log.job = Some(accepted.job.id.as_str().into());
    let total = accepted.job.total;
    log.reason = why.or_else(|| Some(if total == 1 { "1 item".to_owned() } else { format!("{total} items") }));
    drop(log);
    let was_due = matches!(start, Start::NotBefore(_)) && accepted.job.due <= accepted.job.created;
    Ok(queued(context, &accepted, was_due))
}

fn queued(context: &RequestContext, accepted: &Accepted, was_due: bool) -> Response {
    let url = format!("/jobs/{}", accepted.job.id);
    let mut response = json(
        ACCEPTED,
        &Queued {
            ok: true,
            job_id: &accepted.job.id,
            job_url: &url,
            state: accepted.job.state.name(),
            gone: None,
            total: accepted.job.total,
            duplicates: accepted.duplicates,
            repeated: accepted.repeated,
            note: was_due.then_some(match accepted.job.state {
                JobState::Held => "notBefore has passed, so the job starts as soon as it is started",
                _ => "notBefore has passed, so the job starts now",
            }),
            request_id: &context.request_id,
        },
    );
    if let Ok(location) = HeaderValue::from_str(&url) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// What makes a repeat with the same `Idempotency-Key` the same job.
pub(super) fn given_key(caller: &str, key: &str) -> (String, KeyKind) {
    (Digest::of(format!("key\n{caller}\n{key}").as_bytes()).to_string(), KeyKind::Given)
}

/// What such a request asks for, as the same text however it was written. A repeat is recognised by this text, so it reaches the same
/// participants. The reason makes no difference.
fn asked(item: &ItemInput, plan: &Plan) -> String {
    let Plan { media, wrapup, wrapup_skipped, dry_run, as_seen, .. } = plan;
    let (target, media) = (item.target.canonical(), media.map(Medium::singular));
    serde_json::json!([item.conversation, target, media, wrapup, wrapup_skipped, dry_run, as_seen]).to_string()
}

/// A disconnect that its caller does not wait for: a job of one item.
pub(in crate::http) async fn asynchronously(
    app: &AppState,
    context: &RequestContext,
    caller: &Caller,
    item: ItemInput,
    plan: Plan,
    idempotency_key: Option<&str>,
) -> Result<Response, Refused> {
    let body = Digest::of(asked(&item, &plan).as_bytes()).to_string();
    let identity = caller.identity();
    let request_key = match idempotency_key {
        Some(key) => given_key(identity, key),
        None => (Digest::of(format!("async\n{identity}\n{body}").as_bytes()).to_string(), KeyKind::Request),
    };
    let reason = app.disconnector.reason(plan.reason.as_deref()).to_owned();
    let submission = Submission {
        caller: identity.to_string(),
        name: None,
        plan,
        items: vec![(0, item)],
        hold: false,
        start: Start::Now,
        body,
        request_key: Some(request_key),
    };
    let mut response = submit(app, context, caller, submission, Some(reason)).await?;
    response.headers_mut().insert("preference-applied", HeaderValue::from_static("respond-async"));
    Ok(response)
}
