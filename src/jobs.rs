//! Jobs: disconnects that are queued, scheduled and run in bulk, survive a crash and show their progress.
//!
//! A job is a plan (what to do) and items (to whom). It is accepted by one commit. After that any replica works on its
//! items, until each has a result:
//!
//! - `submit` stores what a caller sends, which `input` and `lines` read.
//! - `runner` leases items of running jobs, as many as the rate limit has room for, and gives each to `work`.
//! - `work` carries out one item: it checks that the caller may still do this, that the participant is still there, and
//!   that there is no reason to skip it; then it disconnects, and reads until the participant is gone. Only then is an
//!   item done.
//!
//! An item may be tried more than once: after a crash its lease expires, and another replica takes it over. So each
//! attempt except the first reads before it sends, and a result is written only under the token of the current lease.

mod first_read;
mod input;
mod lines;
mod next_step;
mod origin;
mod pause;
mod plan;
mod progress;
mod runner;
#[cfg(test)]
mod simulation;
mod skip;
mod submit;
mod target;
mod work;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::audit::Audit;
use crate::callers::Callers;
use crate::config;
use crate::disconnect::Disconnector;
use crate::metrics::JobMetrics;
use crate::problem::{Code, Problem};
use crate::store::{JobQuery, JobState, Store, StoreError, StoredItem, StoredJob};

pub use input::{ItemInput, MEMBERS, TargetInput, read_item};
pub use lines::{read_csv, read_ndjson};
pub use plan::{Plan, SkipIf, TokenRights};
pub use progress::Progress;
pub use submit::{Accepted, LONGEST_DELAY, Submission};

/// Items of a cancelled job that one commit cancels: few, so that other writers need not wait for long.
const CANCELLED_AT_ONCE: i64 = 2_000;

/// The `detail` of an item with a selector, or of a whole conversation, if the conversation was read as ended.
pub const ENDED: &str = "the conversation has ended";

/// All jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Jobs(Arc<JobsInner>);

#[derive(Debug)]
struct JobsInner {
    store: Store,
    settings: config::Jobs,
    disconnector: Disconnector,
    callers: Callers,
    audit: Audit,
    metrics: Arc<JobMetrics>,
    /// Wakes the runner when there is something to do.
    work: Notify,
}

impl Jobs {
    /// Jobs kept in this store and carried out by `disconnector`.
    #[must_use]
    pub fn new(
        store: Store,
        settings: &config::Jobs,
        disconnector: Disconnector,
        callers: Callers,
        audit: Audit,
        metrics: Arc<JobMetrics>,
    ) -> Self {
        let settings = settings.clone();
        Self(Arc::new(JobsInner { store, settings, disconnector, callers, audit, metrics, work: Notify::new() }))
    }

    /// The limits of what callers send.
    #[must_use]
    pub fn settings(&self) -> &config::Jobs {
        &self.0.settings
    }

    /// Where jobs are kept.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// One job that this caller may see.
    ///
    /// # Errors
    /// `job_not_found`, also for another caller's job; `store_unavailable`.
    pub async fn find(&self, id: &str, caller: &str, sees_all: bool) -> Result<StoredJob, Problem> {
        self.needs_store()?;
        let found = self.0.store.job(id).await.map_err(|error| unread(&error))?;
        found.filter(|job| sees_all || job.caller == caller).ok_or_else(|| {
            let detail = "there is no such job, or it is another caller's, or it ended longer ago than store.keep_jobs; \
                          GET /jobs lists those you may see";
            Problem::new(Code::JobNotFound, detail)
        })
    }

    /// A page of jobs; one more than asked for if there is a next page.
    ///
    /// # Errors
    /// `jobs_need_store`, `store_unavailable`.
    pub async fn list(&self, query: &JobQuery) -> Result<Vec<StoredJob>, Problem> {
        self.needs_store()?;
        self.0.store.jobs(query).await.map_err(|error| unread(&error))
    }

    /// A page of a job's items; one more than asked for if there is a next page.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn items(&self, id: &str, after: Option<i64>, limit: i64) -> Result<Vec<StoredItem>, Problem> {
        self.0.store.items(id, after, limit).await.map_err(|error| unread(&error))
    }

    /// Moves a job to state `to` if it is in one of the states `from`, and returns it as it is then.
    ///
    /// # Errors
    /// `store_unavailable`; `job_not_found` if it was removed meanwhile.
    pub async fn change(
        &self,
        job: &StoredJob,
        from: &[JobState],
        to: JobState,
        because: Option<&str>,
    ) -> Result<StoredJob, Problem> {
        let moved = self.0.store.move_job(&job.id, from, to, because).await.map_err(|error| not_committed(&error))?;
        if moved {
            if to == JobState::Cancelled {
                // If this fails, the runner cancels the rest.
                while matches!(self.cancel_some_items(&job.id).await, Ok(true)) {}
            }
            self.0.work.notify_one();
        }
        let now = self.find(&job.id, &job.caller, true).await?;
        if moved {
            let (from, to) = (job.state.name(), now.state.name());
            tracing::info!(event = "job_changed", job = job.id, from, to, "job changed");
        }
        Ok(now)
    }

    /// Cancels some of the waiting items of a cancelled job. Returns whether there may be more.
    async fn cancel_some_items(&self, job: &str) -> Result<bool, StoreError> {
        let cancelled = self.0.store.give_up_items(job, CANCELLED_AT_ONCE).await?;
        self.0.metrics.items_ended("cancelled", cancelled);
        Ok(i64::try_from(cancelled).is_ok_and(|number| number == CANCELLED_AT_ONCE))
    }

    fn needs_store(&self) -> Result<(), Problem> {
        if *self.0.store.kind() != config::StoreKind::Memory {
            return Ok(());
        }
        let detail = "jobs must outlive the process, and store.url = \"memory\" keeps nothing; set it to \"sqlite\" or to a \
                      PostgreSQL database";
        Err(Problem::new(Code::JobsNeedStore, detail))
    }
}

/// A commit failed, or it is not known whether it did.
fn not_committed(error: &StoreError) -> Problem {
    if error.may_have_happened() { maybe_committed(error) } else { unavailable(error) }
}

/// A commit of which it is not known whether it has happened.
fn maybe_committed(error: &StoreError) -> Problem {
    let detail = "the store did not answer, so it is not known whether this was queued or changed; look at GET /jobs before \
                  you repeat the request, or repeat it with the same Idempotency-Key";
    Problem::new(Code::StoreUnavailable, detail).effect(true).cause(error)
}

/// Jobs cannot be read. They go on by themselves once the store answers.
fn unread(error: &StoreError) -> Problem {
    let detail = "the store, which keeps the jobs, does not answer; repeat the request";
    Problem::new(Code::StoreUnavailable, detail).cause(error)
}

/// Nothing was committed.
fn unavailable(error: &StoreError) -> Problem {
    let detail = "the store does not answer, so that nothing was queued or changed; repeat the request, with the same Idempotency-Key";
    Problem::new(Code::StoreUnavailable, detail).cause(error)
}
