//! The progress of a job.

use std::collections::BTreeMap;

use super::{Jobs, unread};
use crate::problem::Problem;
use crate::store::{JobState, StoredJob};

/// The progress of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Items without a result.
    pub pending: i64,
    /// How many items have each code or, without a code, each outcome.
    pub counts: BTreeMap<String, i64>,
    /// Results within the last minute; extrapolated for a job that has run for less.
    pub rate_per_minute: i64,
    /// Seconds until the last result at that rate; `None` for a job that does not run.
    pub eta_seconds: Option<i64>,
}

impl Jobs {
    /// The progress of this job.
    ///
    /// # Errors
    /// `store_unavailable`.
    pub async fn progress(&self, job: &StoredJob) -> Result<Progress, Problem> {
        let counts = self.store().item_counts(&job.id).await.map_err(|error| unread(&error))?;
        let running_ms = job.started.map_or(0, |started| job.ended.unwrap_or(job.now) - started).max(1);
        let done = job.total - counts.open;
        let rate = if running_ms < 60_000 { done * 60_000 / running_ms } else { counts.last_minute };
        let runs = job.state == JobState::Running && counts.open > 0 && rate > 0;
        Ok(Progress {
            pending: counts.open,
            counts: counts.by_word,
            rate_per_minute: rate,
            eta_seconds: runs.then(|| (counts.open * 60 + rate - 1) / rate),
        })
    }
}
