//! Accepts a job: everything is checked first, then stored in small commits, and made visible by a last one.

use std::collections::HashSet;
use std::time::Duration;

use super::input::{ItemInput, TargetInput};
use super::{Jobs, Plan, maybe_committed, unavailable};
use crate::callers::Permission;
use crate::problem::{Code, Problem};
use crate::store::{JobState, KeyKind, NewItem, NewJob, Start, StoreError, StoredJob};

/// How far in the future a start may be.
pub const LONGEST_DELAY: Duration = Duration::from_secs(30 * 86_400);
/// How often to check for the job after the last commit.
const CHECKS: usize = 3;

/// A job as a caller submits it.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The caller's identity.
    pub caller: String,
    /// The caller's name for the job.
    pub name: Option<String>,
    /// What to do with each item.
    pub plan: Plan,
    /// The items, with the numbers of their lines or places.
    pub items: Vec<(i64, ItemInput)>,
    /// Whether it waits for `start`.
    pub hold: bool,
    /// When it starts.
    pub start: Start,
    /// Digest of the request, to notice another one under the same key.
    pub body: String,
    /// The key under which a repeated request gets the same job.
    pub request_key: Option<(String, KeyKind)>,
}

/// A job that was queued, now or by an earlier request of the same key.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The job.
    pub job: StoredJob,
    /// Repeated items, which were left out.
    pub duplicates: usize,
    /// Whether an earlier request with the same key had queued it.
    pub repeated: bool,
}

impl Submission {
    /// The permissions that the caller needs.
    #[must_use]
    pub fn needs(&self) -> Vec<Permission> {
        let mut needed = Vec::new();
        if self.items.iter().any(|(_, item)| item.target.tears_down()) {
            needed.push(Permission::Teardown);
        }
        if self.items.iter().any(|(_, item)| !item.target.tears_down()) {
            needed.push(Permission::Disconnect);
        }
        if self.items.len() > 1 {
            needed.push(Permission::Bulk);
        }
        needed
    }
}

impl Jobs {
    /// Queues a job. Once this returns, the job survives a crash.
    ///
    /// # Errors
    /// `jobs_need_store`, `invalid_body` for no items, `body_too_large` for too many, `idempotency_key_reused`,
    /// `job_state` while a request with the same key is being accepted, `store_unavailable`. Nothing was queued then,
    /// unless the effect is unknown.
    pub async fn submit(&self, submission: Submission) -> Result<Accepted, Problem> {
        self.needs_store()?;
        let most = self.settings().max_items;
        if submission.items.is_empty() {
            return Err(Problem::new(Code::InvalidBody, "the job has no items; give at least one"));
        }
        if submission.items.len() > most {
            let detail = format!(
                "the job has {} items and jobs.max_items is {most}; split it, nothing was queued",
                submission.items.len()
            );
            return Err(Problem::new(Code::BodyTooLarge, detail));
        }
        let (items, duplicates) = distinct(&submission.items);
        let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let new = NewJob {
            id: uuid::Uuid::new_v4().to_string(),
            caller: submission.caller,
            name: submission.name,
            plan: serde_json::to_string(&submission.plan).unwrap_or_default(),
            body: submission.body,
            request_key: submission.request_key,
        };
        let begun = self.store().begin_job(&new).await.map_err(|error| unavailable(&error))?;
        if begun.id != new.id {
            return repeated(begun, &new.body);
        }
        let state = match () {
            () if submission.hold || self.needs_approval(total) => JobState::Held,
            () if submission.start != Start::Now => JobState::Scheduled,
            () => JobState::Running,
        };
        if let Err(error) = self.store().add_items(&new.id, &items).await {
            // The stored items are invisible. They are removed now or, if this fails, by the retention.
            let _ = self.store().abandon_job(&new.id).await;
            return Err(unavailable(&error));
        }
        let job = self.make_visible(&new.id, state, total, submission.start).await?;
        self.0.work.notify_one();
        tracing::info!(
            event = "job_accepted",
            job = new.id,
            caller = new.caller,
            items = total,
            state = state.name(),
            "job accepted"
        );
        Ok(Accepted { job, duplicates, repeated: false })
    }

    /// Whether a job of this many items must be started by another caller.
    #[must_use]
    pub fn needs_approval(&self, total: i64) -> bool {
        let bound = self.settings().approve_above;
        bound > 0 && total >= i64::try_from(bound).unwrap_or(i64::MAX)
    }

    /// The commit that accepts the job. Without an answer it may have happened, so the job is looked up before giving
    /// up.
    async fn make_visible(&self, id: &str, state: JobState, total: i64, start: Start) -> Result<StoredJob, Problem> {
        let mut last = self.store().accept_job(id, state, total, start).await;
        let doubtful = |result: &Result<(), StoreError>| result.as_ref().is_err_and(StoreError::may_have_happened);
        let mut in_doubt = doubtful(&last);
        for _ in 0..CHECKS {
            match self.store().job(id).await {
                Ok(Some(job)) => return Ok(job),
                Ok(None) => {
                    last = self.store().accept_job(id, state, total, start).await;
                    in_doubt |= doubtful(&last);
                }
                Err(error) => last = Err(error),
            }
        }
        match last {
            Err(error) if in_doubt => Err(maybe_committed(&error)),
            Err(error) => Err(unavailable(&error)),
            Ok(()) => Err(Problem::new(
                Code::Internal,
                "the job was stored and cannot be found; look at GET /jobs before repeating",
            )),
        }
    }
}

/// The job of an earlier request with the same key.
fn repeated(job: StoredJob, body: &str) -> Result<Accepted, Problem> {
    if job.body != body {
        let detail = "this Idempotency-Key was sent with another job within the last hour; nothing was queued. Use a new key for \
                      each job, and the same only to repeat one";
        return Err(Problem::new(Code::IdempotencyKeyReused, detail));
    }
    if job.state == JobState::Accepting {
        let detail =
            "a request with the same key is being accepted right now; repeat it in a few seconds to get its job";
        return Err(Problem::new(Code::JobState, detail));
    }
    Ok(Accepted { job, duplicates: 0, repeated: true })
}

/// The items as they are stored, without repeated ones, and how many were repeated.
fn distinct(items: &[(i64, ItemInput)]) -> (Vec<NewItem>, usize) {
    let mut seen = HashSet::with_capacity(items.len());
    let stored: Vec<NewItem> = items
        .iter()
        .map(|(number, item)| stored(*number, item))
        .filter(|item| seen.insert((item.conversation.clone(), item.participant.clone(), item.target.clone())))
        .collect();
    let duplicates = items.len() - stored.len();
    (stored, duplicates)
}

fn stored(number: i64, item: &ItemInput) -> NewItem {
    let (participant, target) = match &item.target {
        TargetInput::Participant(id) => (Some(id.to_string()), None),
        TargetInput::Selector { members, .. } => (None, serde_json::to_string(members).ok()),
        TargetInput::All => (None, Some("all".to_owned())),
    };
    NewItem { number, conversation: item.conversation.to_string(), participant, target }
}

#[cfg(test)]
mod tests;
