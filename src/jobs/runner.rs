//! The runner leases items of running jobs, as many as the rate limit has room for, and works on each in a task.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Jobs, Plan};
use crate::store::{JobState, Pick, ServedLast, StoreError, StoredJob};

/// Items under way at once in one process.
const AT_ONCE: usize = 32;
/// Jobs served by one poll of the queue; the next poll goes on with the job after them.
const JOBS_AT_ONCE: i64 = 20;
/// How long until the next poll while there is work, and while there is none.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(500);
/// A job that has run for less than this, in milliseconds, is not hurried: it may be about to pause itself.
const BEGINNING: i64 = 2_000;
/// How often queued items are counted.
const MEASURED_EVERY: Duration = Duration::from_secs(5);
/// How many jobs are remembered as allowed to try all of their items; when there are more, all are forgotten and checked again.
const MOST_BEGUN: usize = 1_000;
/// A lease outlives the deadline of the work under it by this much.
const LEASE_MARGIN: Duration = Duration::from_secs(2);

/// What a task needs to know about the lease of its item.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    /// The job.
    pub(super) job: Arc<StoredJob>,
    /// Its plan.
    pub(super) plan: Arc<Plan>,
    /// When all work under it must end, on this process's monotonic clock.
    pub(super) until: Instant,
}

/// What a runner remembers from one poll to the next.
#[derive(Debug, Default)]
struct PollState {
    served_last: ServedLast,
    /// Ids of jobs whose first items have all been tried.
    begun: HashSet<String>,
}

/// What one poll of the queue leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leased {
    Nothing,
    /// All that was due, or as much as the rate limit has room for.
    Some,
    /// As much as may be under way at once, and more may be due.
    More,
}

impl Jobs {
    /// Works until `stop`, then finishes the items under way. If the process ends before, another replica takes them
    /// over when their leases expire.
    pub async fn run(&self, stop: CancellationToken) {
        if self.needs_store().is_err() {
            return;
        }
        tokio::select! {
            () = self.run_queue(stop) => {}
            () = self.measure() => {}
        }
    }

    async fn run_queue(&self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut state = PollState::default();
        while !stop.is_cancelled() {
            while under_way.try_join_next().is_some() {}
            // The store itself logs that it is out of reach.
            let leased = self.lease(&mut under_way, &mut state).await.unwrap_or(Leased::Nothing);
            let pause = if leased == Leased::Nothing && under_way.is_empty() { IDLE } else { BUSY };
            tokio::select! {
                () = sleep(pause) => {}
                () = half_have_ended(&mut under_way), if leased == Leased::More => {}
                () = self.0.work.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Counts what is queued, for `/metrics`.
    async fn measure(&self) {
        loop {
            if let Ok(depth) = self.store().queue_depth().await {
                self.0.metrics.set_depth(depth);
            }
            sleep(MEASURED_EVERY).await;
        }
    }

    /// Leases as many items as there is room for, taking the jobs in turn, and starts the work.
    async fn lease(&self, under_way: &mut JoinSet<()>, state: &mut PollState) -> Result<Leased, StoreError> {
        let free = AT_ONCE.saturating_sub(under_way.len());
        let gate_room = self.gate_room();
        let mut room = free.min(gate_room);
        if room == 0 {
            return Ok(Leased::Nothing);
        }
        let due = self.store().due_jobs(&state.served_last, JOBS_AT_ONCE).await?;
        for job in &due.over {
            // Before it ends: the last of the first items may also be the last of the job.
            self.pause_if_hopeless(job).await?;
            self.store().end_job(&job.id).await?;
        }
        let mut result = Leased::Nothing;
        let mut left = due.to_work_on.len();
        for job in due.to_work_on {
            let share = room.div_ceil(left.max(1));
            left -= 1;
            if share == 0 {
                break;
            }
            state.served_last = ServedLast::of(&job);
            let may_hurry = job.started.is_some_and(|started| job.now - started >= BEGINNING);
            let pick = self.pick(&job, &mut state.begun).await?;
            let leased = self.lease_of(job, pick, share, under_way).await?;
            room = room.saturating_sub(leased);
            // Items just leased may not have reached the gate yet, so the next poll comes early only if the gate has
            // room to spare.
            if leased == share && may_hurry && gate_room >= 2 * AT_ONCE {
                result = Leased::More;
            } else if leased > 0 && result == Leased::Nothing {
                result = Leased::Some;
            }
        }
        Ok(result)
    }

    /// Which items of a job may be worked on now.
    async fn pick(&self, job: &StoredJob, begun: &mut HashSet<String>) -> Result<Pick, StoreError> {
        if job.state != JobState::Running {
            return Ok(Pick::UnderWay);
        }
        if begun.contains(&job.id) {
            return Ok(Pick::All);
        }
        let pick = self.may_try(job).await?;
        if pick == Pick::All {
            if begun.len() >= MOST_BEGUN {
                begun.clear();
            }
            begun.insert(job.id.clone());
        }
        Ok(pick)
    }

    /// Leases up to `share` items of one job and starts the work. Returns the number of leases.
    async fn lease_of(
        &self,
        job: StoredJob,
        pick: Pick,
        share: usize,
        under_way: &mut JoinSet<()>,
    ) -> Result<usize, StoreError> {
        let deadline = self.0.disconnector.deadline_length();
        // Read before the lease begins in the store, so that the work ends before the lease does.
        let until = Instant::now() + deadline;
        let token = uuid::Uuid::new_v4().to_string();
        let limit = i64::try_from(share).unwrap_or(1);
        if job.state == JobState::Cancelled {
            self.cancel_some_items(&job.id).await?;
        }
        let items = self.store().lease_items(&job.id, pick, limit, deadline + LEASE_MARGIN, &token).await?;
        items.iter().filter(|item| item.taken_over).for_each(|_| self.0.metrics.taken_over());
        let leased = items.len();
        // A plan that cannot be read was written by a later version: its items wait for a replica that knows it.
        let Ok(plan) = serde_json::from_str::<Plan>(&job.plan) else { return Ok(leased) };
        let lease = Lease { job: Arc::new(job), plan: Arc::new(plan), until };
        for item in items {
            let (jobs, lease) = (self.clone(), lease.clone());
            under_way.spawn(async move { jobs.work(&lease, item).await });
        }
        Ok(leased)
    }

    /// How many calls of jobs the rate limit has room for now.
    fn gate_room(&self) -> usize {
        self.0.disconnector.client().gate().room_for_jobs().unwrap_or(usize::MAX)
    }
}

/// Waits until half of the places are free, so that one query of the queue fills many of them.
async fn half_have_ended(under_way: &mut JoinSet<()>) {
    while under_way.len() > AT_ONCE / 2 && under_way.join_next().await.is_some() {}
}
