//! `/jobs`: queued, scheduled and bulk disconnects.

mod control;
mod create;
mod items;
mod one;
mod order;

use http::StatusCode;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::callers::{Caller, Permission};
use crate::jobs::Progress;
use crate::problem::{Code, Problem};
use crate::store::{JobState, StoredJob};

pub(super) use control::{cancel, pause, resume, start};
pub(super) use create::create;
pub(super) use items::items;
pub(super) use one::{get, list};
pub(super) use order::asynchronously;

/// A job as callers see it. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    ok: bool,
    id: &'a str,
    name: Option<&'a str>,
    state: &'static str,
    created_by: &'a str,
    total: i64,
    pending: i64,
    counts: std::collections::BTreeMap<String, i64>,
    rate_per_minute: i64,
    eta_seconds: Option<i64>,
    paused_because: Option<&'a str>,
    dry_run: bool,
    needs_approval: bool,
    created: String,
    not_before: Option<String>,
    started: Option<String>,
    ended: Option<String>,
}

impl<'a> View<'a> {
    fn of(job: &'a StoredJob, progress: Progress, needs_approval: bool) -> Self {
        let plan: crate::jobs::Plan = serde_json::from_str(&job.plan).unwrap_or_default();
        Self {
            ok: true,
            id: &job.id,
            name: job.name.as_deref(),
            state: job.state.name(),
            created_by: &job.caller,
            total: job.total,
            pending: progress.pending,
            counts: progress.counts,
            rate_per_minute: progress.rate_per_minute,
            eta_seconds: progress.eta_seconds,
            paused_because: job.paused_because.as_deref().filter(|_| job.state == JobState::Paused),
            dry_run: plan.dry_run,
            needs_approval: needs_approval && job.state == JobState::Held,
            created: timestamp(job.created),
            not_before: (job.due > job.created).then(|| timestamp(job.due)),
            started: job.started.map(timestamp),
            ended: job.ended.map(timestamp),
        }
    }
}

/// Milliseconds since 1970 as RFC 3339, UTC.
fn timestamp(ms: i64) -> String {
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

fn sees_all(caller: &Caller) -> bool {
    caller.may(Permission::Jobs)
}

/// The cursor of a page: opaque to callers.
fn wrong_cursor() -> Problem {
    Problem::new(Code::InvalidQuery, "the cursor is not valid; take it from the previous page, or leave it out")
}

/// `limit`, within bounds.
fn limit(text: &str, most: i64) -> Result<i64, Problem> {
    text.parse::<i64>().ok().filter(|limit| (1..=most).contains(limit)).ok_or_else(|| {
        Problem::new(Code::InvalidQuery, format!("the query parameter limit must be a number from 1 to {most}"))
    })
}

const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
