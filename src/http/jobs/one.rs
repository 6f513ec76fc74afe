//! `GET /jobs` and `GET /jobs/{id}`.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::super::AppState;
use super::super::answer::{fitting, json};
use super::super::callers::Recognised;
use super::super::input::{NoQuery, Query};
use super::super::path::JobPath;
use super::super::refused::Refused;
use super::{View, limit, sees_all, timestamp, wrong_cursor};
use crate::problem::{Code, Problem};
use crate::store::{JobQuery, JobState, StoredJob};

/// A job in a list: without its counts, which cost a look at its items.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShortJob<'a> {
    id: &'a str,
    name: Option<&'a str>,
    state: &'static str,
    created_by: &'a str,
    total: i64,
    created: String,
    ended: Option<String>,
    paused_because: Option<&'a str>,
}

#[derive(Serialize)]
struct JobsAnswer<'a> {
    ok: bool,
    jobs: Vec<ShortJob<'a>>,
    cursor: Option<String>,
}

/// Answers with one job and how far it is.
pub(in crate::http) async fn get(
    State(app): State<AppState>,
    Recognised { caller, .. }: Recognised,
    JobPath(id): JobPath,
    _: NoQuery,
) -> Result<Response, Refused> {
    let job = app.jobs.find(&id, caller.identity(), sees_all(&caller)).await?;
    Ok(view(&app, &job).await?)
}

/// The answer about one job.
pub(super) async fn view(app: &AppState, job: &StoredJob) -> Result<Response, Problem> {
    let progress = app.jobs.progress(job).await?;
    Ok(json(StatusCode::OK, &View::of(job, progress, app.jobs.needs_approval(job.total))))
}

/// Lists jobs, newest first.
pub(in crate::http) async fn list(
    State(app): State<AppState>,
    Recognised { caller, .. }: Recognised,
    parameters: Query,
) -> Result<Response, Refused> {
    let own = (!sees_all(&caller)).then(|| caller.identity().to_string());
    let mut query = JobQuery { caller: own, limit: 50, ..JobQuery::default() };
    parameters.read(&["state", "limit", "cursor"], |name, value| {
        match name {
            "state" => query.state = Some(state(value)?),
            "limit" => query.limit = limit(value, 100)?,
            _ => query.after = Some(read_cursor(value).ok_or_else(wrong_cursor)?),
        }
        Ok(())
    })?;
    let found = app.jobs.list(&query).await?;
    let page = found.iter().take(usize::try_from(query.limit).unwrap_or(0));
    let jobs = fitting(page.map(|job| ShortJob {
        id: &job.id,
        name: job.name.as_deref(),
        state: job.state.name(),
        created_by: &job.caller,
        total: job.total,
        created: timestamp(job.created),
        ended: job.ended.map(timestamp),
        paused_because: job.paused_because.as_deref().filter(|_| job.state == JobState::Paused),
    }));
    let last = jobs.len().checked_sub(1).and_then(|last| found.get(last)).filter(|_| jobs.len() < found.len());
    let cursor = last.map(|job| format!("{}_{}", job.created, job.id));
    Ok(json(StatusCode::OK, &JobsAnswer { ok: true, cursor, jobs }))
}

fn read_cursor(text: &str) -> Option<(i64, String)> {
    let (created, id) = text.split_once('_')?;
    Some((created.parse().ok()?, id.to_owned()))
}

fn state(word: &str) -> Result<JobState, Problem> {
    JobState::VISIBLE.into_iter().find(|state| state.name() == word).ok_or_else(|| {
        let words: Vec<_> = JobState::VISIBLE.iter().map(|state| state.name()).collect();
        Problem::new(Code::InvalidQuery, format!("the query parameter state must be one of {}", words.join(", ")))
    })
}
