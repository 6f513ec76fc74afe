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

/// The job that was served last. The next one is the job made after it; after the newest it is the oldest again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    created: i64,
    id: String,
}

impl Turn {
    /// This job was served.
    #[must_use]
    pub fn of(job: &StoredJob) -> Self {
        Self { created: job.created, id: job.id.clone() }
    }
}

impl Store {
    /// Starts jobs whose time has come, ends those without open items, and gives those with items to work on, the one after
    /// `served_last` first. Where there is nothing to start or to end, it only reads.
    pub async fn due_jobs(&self, served_last: &Turn, limit: i64) -> Result<Vec<StoredJob>, StoreError> {
        let rows = self.run(Batch::read([changes_due(), list_due(served_last, limit)])).await?;
        let nothing_changes = rows.first().is_none_or(Vec::is_empty);
        let rows = if nothing_changes { rows } else { self.run(Batch::write(change(served_last, limit))).await? };
        Ok(rows.last().map(|rows| rows.iter().map(job).collect()).unwrap_or_default())
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

/// Whether there is a job to start or to end: a row if so.
fn changes_due() -> Statement {
    sql("SELECT id FROM jobs WHERE (state = 'scheduled' AND due <= {now}) OR \
         (state = 'running' AND NOT EXISTS (SELECT 1 FROM items WHERE job = jobs.id AND due < $1)) LIMIT 1")
    .bind(NEVER)
}

/// Jobs with items to work on, in turn. In paused and cancelled jobs only what is under way is seen through; the rest of a
/// cancelled one is given up. `due + 0` keeps both databases from looking for the few items under way among all those that wait.
fn list_due(served_last: &Turn, limit: i64) -> Statement {
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

/// Starts what is to start, ends what is to end, and lists the rest.
fn change(served_last: &Turn, limit: i64) -> [Statement; 3] {
    let start = sql("UPDATE jobs SET state = 'running', started = {now} WHERE state = 'scheduled' AND due <= {now}");
    let finish = sql("UPDATE jobs SET state = 'done', ended = {now} WHERE state = 'running' AND NOT EXISTS \
         (SELECT 1 FROM items WHERE job = jobs.id AND due < $1)")
    .bind(NEVER);
    [start, finish, list_due(served_last, limit)]
}
