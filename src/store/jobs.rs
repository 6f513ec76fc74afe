//! The table `jobs`: what was queued, by whom, and how far it is.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, Row, Statement, sql};
use super::error::StoreError;

/// `due` of an item that is done: its time never comes again.
pub(super) const NEVER: i64 = i64::MAX;
/// Items of finished jobs that one purge deletes at most, so that no other statement waits long for it.
const PURGED_AT_ONCE: i64 = 5_000;
/// A job that was not wholly accepted within this time never will be: its process died.
const ACCEPTED_WITHIN_MS: i64 = 3_600_000;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    /// Its items are still being stored; not visible yet.
    Accepting,
    /// Waits for `start`.
    Held,
    /// Waits for its time.
    Scheduled,
    /// Its items are worked on.
    Running,
    /// Its items wait until it is resumed.
    Paused,
    /// All its items have a result.
    Done,
    /// The items that had no result were given up.
    Cancelled,
}

impl JobState {
    /// The states that callers see.
    pub const VISIBLE: [Self; 6] =
        [Self::Held, Self::Scheduled, Self::Running, Self::Paused, Self::Done, Self::Cancelled];

    /// The word in answers and in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepting => "accepting",
            Self::Held => "held",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    fn from_name(name: &str) -> Self {
        Self::VISIBLE.into_iter().find(|state| state.name() == name).unwrap_or(Self::Accepting)
    }
}

/// How long the key of a request keeps another job from being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// An `Idempotency-Key`: an hour.
    Given,
    /// An asynchronous request without one: until a minute after its job ended.
    Request,
}

impl KeyKind {
    fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Request => "request",
        }
    }
}

/// A job to be stored.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Chosen by whoever stores it, so that storing it again is harmless.
    pub id: String,
    /// Who asked.
    pub caller: String,
    /// What its caller calls it.
    pub name: Option<String>,
    /// What is to be done with each item, as JSON.
    pub plan: String,
    /// Digest of what was asked.
    pub body: String,
    /// By which a repeat of the request is recognised.
    pub request_key: Option<(String, KeyKind)>,
}

/// A job as it is stored. Times are milliseconds since 1970 by the store's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredJob {
    /// Its id.
    pub id: String,
    /// Who asked.
    pub caller: String,
    /// What its caller calls it.
    pub name: Option<String>,
    /// Where it stands.
    pub state: JobState,
    /// What is to be done with each item, as JSON.
    pub plan: String,
    /// Digest of what was asked.
    pub body: String,
    /// When it was created.
    pub created: i64,
    /// When it may start.
    pub due: i64,
    /// When it first ran.
    pub started: Option<i64>,
    /// When its last item got its result.
    pub ended: Option<i64>,
    /// Number of its items.
    pub total: i64,
    /// Why it paused itself, or who paused it.
    pub paused_because: Option<String>,
    /// The store's clock when it was read.
    pub now: i64,
}

/// When a job is to start. The store's clock decides: those of the replicas may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// At once.
    #[default]
    Now,
    /// When this has passed.
    After(Duration),
    /// At this moment, in milliseconds since 1970; at once if it has passed.
    NotBefore(i64),
}

/// Which jobs to list. A member that is `None` picks all.
#[derive(Debug, Clone, Default)]
pub struct JobQuery {
    /// Those of one caller.
    pub caller: Option<String>,
    /// Those in one state.
    pub state: Option<JobState>,
    /// `created` and `id` of the last job on the previous page.
    pub after: Option<(i64, String)>,
    /// Jobs on a page.
    pub limit: i64,
}

const COLUMNS: &str =
    "id, caller, name, state, plan, body, created, due, started, ended, total, paused_because, {now} FROM jobs";

/// Selects jobs by this condition, for [`job`] to read.
pub(super) fn select(condition: &str) -> Statement {
    sql(format!("SELECT {COLUMNS} WHERE {condition}"))
}

/// A job from a row of [`select`].
pub(super) fn job(row: &Row) -> StoredJob {
    let text = |column| row.text(column).map(str::to_owned);
    let time = |column| row.opt_int(column);
    StoredJob {
        id: text(0).unwrap_or_default(),
        caller: text(1).unwrap_or_default(),
        name: text(2),
        state: JobState::from_name(row.text(3).unwrap_or_default()),
        plan: text(4).unwrap_or_default(),
        body: text(5).unwrap_or_default(),
        created: row.int(6),
        due: row.int(7),
        started: time(8),
        ended: time(9),
        total: row.int(10),
        paused_because: text(11),
        now: row.int(12),
    }
}

impl Store {
    /// Stores a job that is not visible yet. Returns the job with its request key: this one, or an earlier one.
    pub async fn begin_job(&self, new: &NewJob) -> Result<StoredJob, StoreError> {
        let (key, kind) = match &new.request_key {
            Some((key, kind)) => (Some(key.clone()), Some(kind.name())),
            None => (None, None),
        };
        let release = sql(
            "UPDATE jobs SET request_key = NULL WHERE request_key = $1 AND ((key_kind = 'given' AND created <= {now} - 3600000) \
             OR (key_kind = 'request' AND ended <= {now} - 60000) OR (state = 'accepting' AND created <= {now} - 60000))",
        )
        .bind(key.clone());
        let insert =
            sql("INSERT INTO jobs (id, caller, name, state, plan, body, request_key, key_kind, created, due, total) \
             VALUES ($1, $2, $3, 'accepting', $4, $5, $6, $7, {now}, 0, 0) ON CONFLICT DO NOTHING")
            .bind(new.id.as_str())
            .bind(new.caller.as_str())
            .bind(new.name.clone())
            .bind(new.plan.as_str())
            .bind(new.body.as_str())
            .bind(key.clone())
            .bind(kind);
        let find = select("id = $1 OR request_key = $2").bind(new.id.as_str()).bind(key);
        let rows = self.run(Batch::write([release, insert, find])).await?;
        rows.last().and_then(|rows| rows.first()).map(job).ok_or(StoreError::TimedOut)
    }

    /// Makes a job visible, with all its items. It gets this state, but runs instead of being `scheduled` for a time that has passed.
    /// Harmless when repeated.
    pub async fn accept_job(&self, id: &str, state: JobState, total: i64, start: Start) -> Result<(), StoreError> {
        let (wait, moment) = match start {
            Start::Now => (Duration::ZERO, 0),
            Start::After(wait) => (wait, 0),
            Start::NotBefore(moment) => (Duration::ZERO, moment),
        };
        let due = "CASE WHEN $4 > 0 THEN {now} + $4 WHEN $5 > created THEN $5 ELSE created END";
        let runs = format!("($1 = 'running' OR ($1 = 'scheduled' AND {due} <= {{now}}))");
        let accept = sql(format!(
            "UPDATE jobs SET state = CASE WHEN {runs} THEN 'running' ELSE $1 END, total = $2, due = {due}, \
             started = CASE WHEN {runs} THEN {{now}} END WHERE id = $3 AND state = 'accepting'"
        ))
        .bind(state.name())
        .bind(total)
        .bind(id)
        .bind(wait)
        .bind(moment);
        self.run(Batch::write([accept])).await.map(|_| ())
    }

    /// Deletes a job that was not wholly accepted.
    pub async fn abandon_job(&self, id: &str) -> Result<(), StoreError> {
        let job = sql("DELETE FROM jobs WHERE id = $1 AND state = 'accepting'").bind(id);
        let items = sql("DELETE FROM items WHERE job = $1 AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = $1)").bind(id);
        self.run(Batch::write([job, items])).await.map(|_| ())
    }

    /// Reads one job, unless it is still being accepted.
    pub async fn job(&self, id: &str) -> Result<Option<StoredJob>, StoreError> {
        let rows = self.run(Batch::read([select("id = $1 AND state <> 'accepting'").bind(id)])).await?;
        Ok(rows.first().and_then(|rows| rows.first()).map(job))
    }

    /// Lists jobs, newest first; one more than `limit` if there is a next page.
    pub async fn jobs(&self, query: &JobQuery) -> Result<Vec<StoredJob>, StoreError> {
        let (created, id) = query.after.clone().unwrap_or((NEVER, String::new()));
        let list = select(
            "state <> 'accepting' AND (caller = $1 OR $2 = 1) AND (state = $3 OR $4 = 1) AND \
             (created < $5 OR (created = $5 AND id < $6)) ORDER BY created DESC, id DESC LIMIT $7",
        )
        .bind(query.caller.clone().unwrap_or_default())
        .bind(i64::from(query.caller.is_none()))
        .bind(query.state.map_or("", JobState::name))
        .bind(i64::from(query.state.is_none()))
        .bind(created)
        .bind(id)
        .bind(query.limit + 1);
        let rows = self.run(Batch::read([list])).await?;
        Ok(rows.first().map(|rows| rows.iter().map(job).collect()).unwrap_or_default())
    }

    /// Moves a job that is in one of the states `from`, and returns whether it was. Moved to `running` before its time, it becomes
    /// `scheduled`; moved from there, it runs at once.
    pub async fn move_job(
        &self,
        id: &str,
        from: &[JobState],
        to: JobState,
        because: Option<&str>,
    ) -> Result<bool, StoreError> {
        let words: Vec<String> = from.iter().map(|state| format!("'{}'", state.name())).collect();
        let waits = "$1 = 'running' AND state <> 'scheduled' AND started IS NULL AND due > {now}";
        let change = sql(format!(
            "UPDATE jobs SET state = CASE WHEN {waits} THEN 'scheduled' ELSE $1 END, paused_because = coalesce($2, paused_because), \
             started = CASE WHEN $1 = 'running' AND NOT ({waits}) THEN coalesce(started, {{now}}) ELSE started END, \
             ended = CASE WHEN $1 = 'cancelled' THEN {{now}} ELSE ended END WHERE id = $3 AND state IN ({}) RETURNING id",
            words.join(", ")
        ))
        .bind(to.name())
        .bind(because.map(str::to_owned))
        .bind(id);
        let rows = self.run(Batch::write([change])).await?;
        Ok(rows.first().is_some_and(|rows| !rows.is_empty()))
    }

    /// Pauses a running job, unless the reason of an earlier pause contains `unless`. Returns whether it paused it.
    pub async fn pause_job_once(&self, id: &str, because: &str, unless: &str) -> Result<bool, StoreError> {
        let pause =
            sql("UPDATE jobs SET state = 'paused', paused_because = $1 WHERE id = $2 AND state = 'running' AND \
             (paused_because IS NULL OR paused_because NOT LIKE $3) RETURNING id");
        let rows = self.run(Batch::write([pause.bind(because).bind(id).bind(format!("%{unless}%"))])).await?;
        Ok(rows.first().is_some_and(|rows| !rows.is_empty()))
    }

    /// Deletes jobs that ended longer ago than `keep`, and those that were never wholly accepted. Returns whether there may be more.
    pub(crate) async fn purge_jobs(&self, keep: Duration) -> Result<bool, StoreError> {
        let old = "(SELECT id FROM jobs WHERE ended < {now} - $1 OR (state = 'accepting' AND created < {now} - $2))";
        let items = sql(format!(
            "DELETE FROM items WHERE (job, number) IN (SELECT job, number FROM items WHERE job IN {old} LIMIT $3) RETURNING number"
        ))
        .bind(keep)
        .bind(ACCEPTED_WITHIN_MS)
        .bind(PURGED_AT_ONCE);
        let jobs =
            sql(format!("DELETE FROM jobs WHERE id IN {old} AND NOT EXISTS (SELECT 1 FROM items WHERE job = jobs.id)"))
                .bind(keep)
                .bind(ACCEPTED_WITHIN_MS);
        let rows = self.run(Batch::write([items, jobs])).await?;
        Ok(rows.first().is_some_and(|rows| rows.len() as i64 >= PURGED_AT_ONCE))
    }
}
