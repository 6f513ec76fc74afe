//! `POST /jobs/{id}/start`, `/pause`, `/resume`, `/cancel`. Asking for the state in which a job already is, succeeds.

use axum::extract::State;
use axum::response::Response;

use super::super::AppState;
use super::super::callers::Recognised;
use super::super::context::RequestContext;
use super::super::input::NoQuery;
use super::super::path::JobPath;
use super::super::refused::Refused;
use super::one::view;
use super::sees_all;
use crate::callers::Caller;
use crate::problem::{Code, Problem};
use crate::store::{JobState, StoredJob};

/// Starts a held job; one with a time to start is scheduled for it. Starts a scheduled job now.
pub(in crate::http) async fn start(
    State(app): State<AppState>,
    who: Recognised,
    JobPath(id): JobPath,
    _: NoQuery,
) -> Result<Response, Refused> {
    let job = find(&app, &who.caller, &id).await?;
    if job.state == JobState::Held && app.jobs.needs_approval(job.total) && *job.caller == **who.caller.identity() {
        let detail = format!(
            "a job of {} items needs the approval of another caller (jobs.approve_above); one with the permission \"jobs\" can \
             start it",
            job.total
        );
        return Err(Problem::new(Code::ForbiddenCaller, detail).into());
    }
    change(&app, &who.context, &job, &[JobState::Held, JobState::Scheduled], JobState::Running).await
}

/// Pauses a job: no more items are started, those under way are finished.
pub(in crate::http) async fn pause(
    State(app): State<AppState>,
    who: Recognised,
    JobPath(id): JobPath,
    _: NoQuery,
) -> Result<Response, Refused> {
    let job = find(&app, &who.caller, &id).await?;
    let from = [JobState::Running, JobState::Scheduled];
    let job = app.jobs.pause(&job, &from, who.caller.identity()).await?;
    changed(&app, &who.context, &job, &from, JobState::Paused).await
}

/// Resumes a paused job; one whose time to start has not come is scheduled again.
pub(in crate::http) async fn resume(
    State(app): State<AppState>,
    who: Recognised,
    JobPath(id): JobPath,
    _: NoQuery,
) -> Result<Response, Refused> {
    let job = find(&app, &who.caller, &id).await?;
    change(&app, &who.context, &job, &[JobState::Paused], JobState::Running).await
}

/// Gives up the items that have not been taken up. Those under way are not recalled.
pub(in crate::http) async fn cancel(
    State(app): State<AppState>,
    who: Recognised,
    JobPath(id): JobPath,
    _: NoQuery,
) -> Result<Response, Refused> {
    let job = find(&app, &who.caller, &id).await?;
    let open = [JobState::Held, JobState::Scheduled, JobState::Running, JobState::Paused];
    change(&app, &who.context, &job, &open, JobState::Cancelled).await
}

async fn find(app: &AppState, caller: &Caller, id: &str) -> Result<StoredJob, Problem> {
    app.jobs.find(id, caller.identity(), sees_all(caller)).await
}

async fn change(
    app: &AppState,
    context: &RequestContext,
    job: &StoredJob,
    from: &[JobState],
    to: JobState,
) -> Result<Response, Refused> {
    let job = app.jobs.change(job, from, to, None).await?;
    changed(app, context, &job, from, to).await
}

/// The answer to a change: the job as it is now, if it is as it was wanted.
async fn changed(
    app: &AppState,
    context: &RequestContext,
    job: &StoredJob,
    from: &[JobState],
    to: JobState,
) -> Result<Response, Refused> {
    // What is to run may have run already, or wait for its time.
    if job.state == to || (to == JobState::Running && matches!(job.state, JobState::Done | JobState::Scheduled)) {
        context.log().outcome = Some(job.state.name());
        return Ok(view(app, job).await?);
    }
    let detail = format!(
        "the job is {}, and only a job that is {} can become {}",
        job.state.name(),
        from.iter().map(|state| state.name()).collect::<Vec<_>>().join(" or "),
        to.name()
    );
    Err(Problem::new(Code::JobState, detail).into())
}
