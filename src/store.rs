//! The store: what must outlive the process, and what the replicas of a fleet share.
//!
//! It holds claims, jobs and their items, the audit, the mode, a heartbeat for each replica, and an id of its own, which tells an
//! empty replacement from the store that has our claims. One process has it embedded (SQLite), a fleet shares one (PostgreSQL), and
//! `"memory"` ends with the process.
//!
//! - Every statement goes through `Engine`: a batch is carried out as a whole or not at all, within `store.timeout`. Two databases implement
//!   it, `sqlite` and `postgres`.
//! - Each table has a file, which adds its operations to [`Store`] and holds its SQL, once for both databases.
//! - [`Store`] counts writes and failures, logs once per episode that the store is out of reach, and creates missing tables.
//!
//! **To add a table:** append a migration that creates it to `schema::MIGRATIONS`; write a file beside `claims.rs` with an `impl
//! Store` whose methods put `sql("…").bind(…)` into a `Batch`; add its cases to `tests.rs`, which run on each database.
//! Decisions are made in SQL, within one batch: `INSERT … ON CONFLICT`, or for a lease an `UPDATE … WHERE id IN (SELECT
//! … LIMIT $1)` that repeats the condition, with `{skip_locked}` after the inner `SELECT`'s `LIMIT` where several replicas lease.
//! A batch that timed out may have been carried out: let the caller choose the ids of rows, so that it can be repeated.

mod audit;
mod claims;
mod engine;
mod error;
mod items;
mod jobs;
mod known;
mod leases;
mod meta;
mod postgres;
mod queue;
mod replicas;
mod schema;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use audit::{AuditEntry, AuditPage, AuditQuery, AuditRow};
pub(crate) use claims::{NewClaim, StoredClaim};
pub use error::StoreError;
pub use items::{FirstItem, ItemCounts, ItemResult, NewItem, StoredItem};
pub use jobs::{JobQuery, JobState, KeyKind, NewJob, Start, StoredJob};
pub use leases::{LeasedItem, Pick};
pub use queue::{Due, QueueDepth, ServedLast};
pub use replicas::Replica;
#[cfg(test)]
pub(crate) use sqlite::simulated::{SharedDatabase, StoreFault, Weather};

use crate::config::{self, StoreKind};
use engine::{Batch, Engine, Rows};
use known::Known;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<StoreInner>);

#[derive(Debug)]
struct StoreInner {
    engine: Box<dyn Engine>,
    kind: StoreKind,
    /// Whether the last call reached it.
    up: AtomicBool,
    /// Calls that failed, for `/metrics`.
    failures: AtomicU64,
    /// Batches that wrote, or tried to.
    writes: AtomicU64,
    /// Id of the store as we last saw it.
    known: Known,
}

/// What is counted, for `/metrics` and `/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Whether the last call reached it.
    pub up: bool,
    /// Calls that failed.
    pub failures: u64,
    /// Transactions that write; reads are not counted.
    pub writes: u64,
}

impl Store {
    /// Opens the store. A PostgreSQL out of reach is not an error: each call tries again.
    ///
    /// # Errors
    /// A setting or a file that cannot be used, or a schema that needs a newer version. The text names key, value and remedy.
    pub async fn open(settings: &config::Store) -> Result<Self, String> {
        let kind = settings.kind();
        let engine: Box<dyn Engine> = match &kind {
            StoreKind::Memory => Box::new(sqlite::InMemory::open()?),
            StoreKind::Sqlite(path) => Box::new(open_file(path.as_deref(), settings).await?),
            StoreKind::Postgres => Box::new(postgres::Postgres::new(settings)?),
        };
        let store = Self::over(engine, kind);
        match store.migrate().await {
            Err(error @ StoreError::NewerSchema { .. }) => Err(format!("store.url = \"{}\": {error}", settings.url)),
            Ok(()) | Err(_) => Ok(store),
        }
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    /// SQLite cannot make a database in memory.
    pub fn memory() -> Result<Self, String> {
        Ok(Self::over(Box::new(sqlite::InMemory::open()?), StoreKind::Memory))
    }

    fn over(engine: Box<dyn Engine>, kind: StoreKind) -> Self {
        Self(Arc::new(StoreInner {
            engine,
            kind,
            up: AtomicBool::new(true),
            failures: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            known: Known::default(),
        }))
    }

    /// Which database it is.
    #[must_use]
    pub fn kind(&self) -> &StoreKind {
        &self.0.kind
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            up: self.0.up.load(Ordering::Relaxed),
            failures: self.0.failures.load(Ordering::Relaxed),
            writes: self.0.writes.load(Ordering::Relaxed),
        }
    }

    /// Creates the tables, or adds what they lack.
    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        self.track(self.0.engine.migrate().await)
    }

    /// Carries a batch out, after creating the tables if they are missing because the database was replaced by an empty one.
    async fn run(&self, batch: Batch) -> Result<Vec<Rows>, StoreError> {
        if batch.writes() {
            self.0.writes.fetch_add(1, Ordering::Relaxed);
        }
        let mut result = self.0.engine.run(batch.clone()).await;
        if matches!(result, Err(StoreError::NoSchema)) {
            result = match self.0.engine.migrate().await {
                Ok(()) => self.0.engine.run(batch).await,
                Err(error) => Err(error),
            };
        }
        self.track(result)
    }

    /// Counts failures, and logs once per episode what is wrong.
    fn track<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let Err(cause) = &result else {
            if !self.0.up.swap(true, Ordering::Relaxed) {
                tracing::warn!(event = "store_reached", "the store answers again");
            }
            return result;
        };
        self.0.failures.fetch_add(1, Ordering::Relaxed);
        if self.0.up.swap(false, Ordering::Relaxed) {
            tracing::error!(
                event = "store_out_of_reach", cause = %cause,
                "the store cannot be used: selectors and teardowns are refused, disconnects that name their participant go on"
            );
        }
        result
    }
}

async fn open_file(path: Option<&Path>, settings: &config::Store) -> Result<sqlite::Sqlite, String> {
    let found = path.map(Path::to_owned).or_else(|| sqlite::default_path(|name| std::env::var(name).ok()));
    let Some(path) = found else {
        return Err(format!(
            "store.url = \"{}\": there is no folder for the file, because none of STATE_DIRECTORY, XDG_STATE_HOME and HOME \
             is set; name a file as \"sqlite:/var/lib/hangup/hangup.db\", or use \"memory\"",
            settings.url
        ));
    };
    let timeout = settings.timeout;
    let setting = format!("store.url = \"{}\": {}", settings.url, path.display());
    let opened = tokio::task::spawn_blocking(move || sqlite::Sqlite::open(&path, timeout)).await;
    opened.map_err(|e| e.to_string()).and_then(|opened| opened).map_err(|cause| {
        format!("{setting}: {cause}; give hangup a folder that it may write to, name another file as \"sqlite:PATH\", or use \"memory\"")
    })
}
