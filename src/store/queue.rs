//! Which jobs are due, and how much waits in all of them.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, Row, Rows, Statement, sql};
use super::error::StoreError;
use super::jobs::{NEVER, StoredJob, job, select};

/// What is queued, for metrics and `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// Items of running jobs that wait.
    pub pending: u64,
    /// Items that are worked on, or accepted and not yet seen gone.
    pub under_way: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that are held or scheduled.
    pub waiting: u64,
    /// Jobs that are paused.
    pub paused: u64,
    /// How long the oldest running job has been running.
    pub oldest: Duration,
}

/// What one look at the queue found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Running jobs whose items all have a result: they are to be ended.
    pub over: Vec<StoredJob>,
    /// Jobs with items to work on, in turn.
    pub to_work_on: Vec<StoredJob>,
}

/// The job that was served last. The next one is the job made after it; after the newest it is the oldest again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedLast {
    created: i64,
    id: String,
}

impl ServedLast {
    /// This job was served.
    #[must_use]
    pub fn of(job: &StoredJob) -> Self {
        Self { created: job.created, id: job.id.clone() }
    }
}

impl Store {
    /// Starts jobs whose time has come, and gives those that are over and those with items to work on, the one after `served_last`
    /// first. Where there is nothing to start, it only reads.
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

    /// What is queued at all, for metrics. Costs a look at each open item, so ask now and then.
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
        // A sum of numbers is wider than a number in PostgreSQL.
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

/// Whether there is a job to start: a row if so.
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

/// Jobs with items to work on, in turn. In paused and cancelled jobs only items under way are finished; the rest of a
/// cancelled one is given up. `due + 0` keeps both databases from searching all waiting items for those under way.
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
