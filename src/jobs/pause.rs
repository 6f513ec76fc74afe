//! A job pauses itself when its first items all fail for the same reason, because the rest would fail, too. So the rest waits
//! until each of the first has been tried once.

use super::Jobs;
use crate::problem::{Code, Problem};
use crate::store::{FirstItem, JobState, Pick, StoreError, StoredJob};

/// How many of the first items must fail alike.
const FIRST: i64 = 20;
/// In the reason of every job that has paused itself, also where a caller pauses it later.
const ITSELF: &str = "the first 20 items failed with";

impl Jobs {
    /// Pauses a job for this caller, if it is in one of these states, and gives it as it is then. The reason still says if it
    /// once paused itself.
    ///
    /// # Errors
    /// As for [`Jobs::change`].
    pub async fn pause(&self, job: &StoredJob, from: &[JobState], caller: &str) -> Result<StoredJob, Problem> {
        let mut because = format!("paused by {caller}");
        if let Some((_, earlier)) = job.paused_because.as_deref().and_then(|because| because.split_once(ITSELF)) {
            because = format!("{because}; earlier: {ITSELF}{earlier}");
        }
        self.change(job, from, JobState::Paused, Some(&because)).await
    }

    /// Which items of a running job may be tried: the first ones alone, until each of them has been tried once.
    pub(super) async fn may_try(&self, job: &StoredJob) -> Result<Pick, StoreError> {
        if job.total <= FIRST || has_paused_itself(job) {
            return Ok(Pick::All);
        }
        let first = self.store().first_items(&job.id, FIRST).await?;
        if first.iter().any(|item| item.on_first_attempt) {
            return Ok(Pick::First(FIRST));
        }
        // Before more is taken: the last of the first may have failed a moment ago.
        self.pause_if_alike(job, &first).await?;
        Ok(Pick::All)
    }

    /// Pauses the job if its first items have failed alike. Once only: who resumes it has seen the reason. The store decides, for
    /// an item that fails late must not pause a job that was resumed meanwhile.
    pub(super) async fn pause_if_hopeless(&self, job: &StoredJob) -> Result<(), StoreError> {
        if job.total < FIRST || has_paused_itself(job) {
            return Ok(());
        }
        let first = self.store().first_items(&job.id, FIRST).await?;
        self.pause_if_alike(job, &first).await
    }

    async fn pause_if_alike(&self, job: &StoredJob, first: &[FirstItem]) -> Result<(), StoreError> {
        let Some(code) = same_reason(first) else { return Ok(()) };
        let because = format!("{ITSELF} {code}; see what it says, then resume or cancel the job");
        if self.store().pause_job_once(&job.id, &because, ITSELF).await? {
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
    job.paused_because.as_deref().is_some_and(|because| because.contains(ITSELF))
}

/// The one code with which all of them failed. That a participant or a conversation is not there says nothing about the next item.
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
