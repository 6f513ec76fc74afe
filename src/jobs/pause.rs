//! A job pauses itself when its first items all fail for the same reason, because the rest would fail, too. So the rest
//! wait until each of the first items has been tried once.

use super::Jobs;
use crate::problem::{Code, Problem};
use crate::store::{FirstItem, JobState, Pick, StoreError, StoredJob};

/// How many of the first items must fail for the same reason.
const FIRST: i64 = 20;
/// Marks the reason of a job that has paused itself. Kept when a caller pauses the job later.
const SELF_PAUSED: &str = "the first 20 items failed with";

impl Jobs {
    /// Pauses a job for this caller if it is in one of these states, and returns it as it is then. The reason still
    /// says that the job once paused itself.
    ///
    /// # Errors
    /// As for [`Jobs::change`].
    pub async fn pause(&self, job: &StoredJob, from: &[JobState], caller: &str) -> Result<StoredJob, Problem> {
        let mut because = format!("paused by {caller}");
        if let Some((_, earlier)) = job.paused_because.as_deref().and_then(|because| because.split_once(SELF_PAUSED)) {
            because = format!("{because}; earlier: {SELF_PAUSED}{earlier}");
        }
        self.change(job, from, JobState::Paused, Some(&because)).await
    }

    /// Which items of a running job may be tried: only the first ones, until each of them has been tried once.
    pub(super) async fn may_try(&self, job: &StoredJob) -> Result<Pick, StoreError> {
        if job.total <= FIRST || has_paused_itself(job) {
            return Ok(Pick::All);
        }
        let first = self.store().first_items(&job.id, FIRST).await?;
        if first.iter().any(|item| item.on_first_attempt) {
            return Ok(Pick::First(FIRST));
        }
        // Before more items are leased: the last of the first may have failed a moment ago.
        self.pause_if_alike(job, &first).await?;
        Ok(Pick::All)
    }

    /// Pauses the job if its first items have failed for the same reason. Only once, because a caller that resumes it
    /// knows the reason. The store decides this, so that an item that fails late cannot pause a job that was resumed
    /// meanwhile.
    pub(super) async fn pause_if_hopeless(&self, job: &StoredJob) -> Result<(), StoreError> {
        if job.total < FIRST || has_paused_itself(job) {
            return Ok(());
        }
        let first = self.store().first_items(&job.id, FIRST).await?;
        self.pause_if_alike(job, &first).await
    }

    async fn pause_if_alike(&self, job: &StoredJob, first: &[FirstItem]) -> Result<(), StoreError> {
        let Some(code) = same_reason(first) else { return Ok(()) };
        let because = format!("{SELF_PAUSED} {code}; see what it says, then resume or cancel the job");
        if self.store().pause_job_once(&job.id, &because, SELF_PAUSED).await? {
            self.0.metrics.self_paused();
            self.0.audit.job_changed(&job.id, "paused", because.clone());
            tracing::error!(
                event = "job_paused",
                job = job.id,
                caller = job.caller,
                code,
                "job paused itself: {because}"
            );
        }
        Ok(())
    }
}

fn has_paused_itself(job: &StoredJob) -> bool {
    job.paused_because.as_deref().is_some_and(|because| because.contains(SELF_PAUSED))
}

/// The code with which all of them failed. A 404 does not count: that one participant or conversation is missing says
/// nothing about the next item.
fn same_reason(items: &[FirstItem]) -> Option<&str> {
    let first = items.first()?.code.as_deref()?;
    let alike = items.len() as i64 >= FIRST && items.iter().all(|item| item.code.as_deref() == Some(first));
    let missing = Code::ALL.iter().any(|code| code.name() == first && code.status() == 404);
    (alike && !missing).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_and_the_same_reason_that_is_not_a_404_pauses_a_job() {
        let codes = |code: &str| vec![FirstItem { on_first_attempt: false, code: Some(code.to_owned()) }; 20];
        assert_eq!(same_reason(&codes("upstream_forbidden")), Some("upstream_forbidden"));
        assert_eq!(same_reason(&codes("participant_not_found")), None);
        assert_eq!(same_reason(&codes("upstream_forbidden")[..19]), None);
        let mut mixed = codes("upstream_forbidden");
        mixed[7].code = None;
        assert_eq!(same_reason(&mixed), None);
    }
}
