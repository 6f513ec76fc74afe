//! Which jobs are due, and how much is waiting in all of them.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, Row, Rows, Statement, sql};
use super::error::StoreError;
use super::jobs::{NEVER, StoredJob, job, select};

/// What is queued, for metrics and `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Waiting items of running jobs.
    pub pending: u64,
    /// Items that are worked on, or accepted and not yet confirmed.
    pub under_way: u64,
    /// Running jobs.
    pub running: u64,
    /// Held and scheduled jobs.
    pub waiting: u64,
    /// Paused jobs.
    pub paused: u64,
    /// How long the oldest running job has been running.
    pub oldest: Duration,
}

/// The jobs that need something done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Running jobs whose items all have a result, for [`Store::end_job`].
    pub over: Vec<StoredJob>,
    /// Jobs with items to work on, in the order of their turns.
    pub to_work_on: Vec<StoredJob>,
}

/// The job that was served last. Next is the one created after it; after the newest, the oldest again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedLast {
    created: i64,
    id: String,
}

impl ServedLast {
    /// Remembers this job as served.
    #[must_use]
    pub fn of(job: &StoredJob) -> Self {
        Self { created: job.created, id: job.id.clone() }
    }
}

impl Store {
    /// Starts jobs whose time has come, and returns those that are over and those with items to work on, the one after `served_last`
    /// first. Writes only if there is a job to start.
    pub async fn due_jobs(&self, served_last: &ServedLast, limit: i64) -> Result<Due, StoreError> {
        let look = || [list_over(limit), list_due(served_last, limit)];
        let [over, due] = look();
        let mut rows = self.run(Batch::read([to_start(), over, due])).await?;
        if rows.first().is_some_and(|rows| !rows.is_empty()) {
            let [over, due] = look();
            rows = self.run(Batch::write([start(), over, due])).await?;
        }
        let jobs = |place: usize| rows.get(place).map(|rows| rows.iter().map(job).collect()).unwrap_or_default();
        Ok(Due { over: jobs(1), to_work_on: jobs(2) })
    }

    /// Ends a running job whose items all have a result.
    pub async fn end_job(&self, id: &str) -> Result<(), StoreError> {
        let end = sql(format!("UPDATE jobs SET state = 'done', ended = {{now}} WHERE id = $1 AND {}", over("$2")));
        self.run(Batch::write([end.bind(id).bind(NEVER)])).await.map(|_| ())
    }

    /// Counts what is queued, for metrics. It reads every open item, so call it seldom.
    pub async fn queue_depth(&self) -> Result<QueueDepth, StoreError> {
        let items = |state: &str, jobs: &str| {
            format!(
                "coalesce((SELECT sum((SELECT count(*) FROM items WHERE job = jobs.id AND state {state})) FROM jobs \
                 WHERE state IN ({jobs})), 0)"
            )
        };
        let jobs = |states: &str| format!("(SELECT count(*) FROM jobs WHERE state IN ({states}))");
        let columns = [
            items("= 'pending'", "'running'"),
            items("IN ('leased', 'confirming')", "'running', 'paused', 'cancelled'"),
            jobs("'running'"),
            jobs("'held', 'scheduled'"),
            jobs("'paused'"),
            "coalesce({now} - (SELECT min(started) FROM jobs WHERE state = 'running'), 0)".to_owned(),
        ];
        // PostgreSQL's sum of BIGINTs is NUMERIC.
        let columns = columns.map(|column| format!("CAST({column} AS BIGINT)"));
        let rows: Vec<Rows> = self.run(Batch::read([sql(format!("SELECT {}", columns.join(", ")))])).await?;
        let count = |row: &Row, column| u64::try_from(row.int(column)).unwrap_or(0);
        Ok(rows.first().and_then(|rows| rows.first()).map_or(QueueDepth::default(), |row| QueueDepth {
            pending: count(row, 0),
            under_way: count(row, 1),
            running: count(row, 2),
            waiting: count(row, 3),
            paused: count(row, 4),
            oldest: Duration::from_millis(count(row, 5)),
        }))
    }
}

/// Returns a row if there is a job to start.
fn to_start() -> Statement {
    sql("SELECT id FROM jobs WHERE state = 'scheduled' AND due <= {now} LIMIT 1")
}

fn start() -> Statement {
    sql("UPDATE jobs SET state = 'running', started = {now} WHERE state = 'scheduled' AND due <= {now}")
}

/// The condition that a job runs and none of its items waits for a result; `never` is the parameter for [`NEVER`].
fn over(never: &str) -> String {
    format!("state = 'running' AND NOT EXISTS (SELECT 1 FROM items WHERE job = jobs.id AND due < {never})")
}

fn list_over(limit: i64) -> Statement {
    select(&format!("{} LIMIT $2", over("$1"))).bind(NEVER).bind(limit)
}

/// Jobs with items to work on, in the order of their turns. In paused and cancelled jobs only items under way are finished; the rest
/// of a cancelled one is given up. `due + 0` keeps both databases off the index of `due`, in which they would read all waiting items
/// to find those under way.
fn list_due(served_last: &ServedLast, limit: i64) -> Statement {
    select(
        "((state = 'running' AND EXISTS (SELECT 1 FROM items WHERE job = jobs.id AND due <= {now})) OR (state IN ('paused', \
         'cancelled') AND EXISTS (SELECT 1 FROM items WHERE job = jobs.id AND items.state IN ('leased', 'confirming') AND \
         items.due + 0 <= {now})) OR (state = 'cancelled' AND EXISTS (SELECT 1 FROM items WHERE job = jobs.id AND \
         items.state = 'pending'))) ORDER BY CASE WHEN created > $1 OR (created = $1 AND id > $2) THEN 0 ELSE 1 END, created, id \
         LIMIT $3",
    )
    .bind(served_last.created)
    .bind(served_last.id.as_str())
    .bind(limit)
}
