//! For simulations: one database in memory that several stores share as replicas do, each with the clock of its own runtime. It is
//! slow and fails as a database across a network does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::time::sleep;

use super::super::Store;
use super::super::engine::{Batch, Engine, Rows};
use super::super::error::StoreError;
use super::work::{self, SqliteClock};
use crate::config::StoreKind;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreFault {
    None,
    OutOfReach,
    /// It was not carried out.
    TimedOut,
    /// It was carried out.
    TimedOutAfterCommit,
}

/// Decides for each call how long it takes and what happens to it.
pub(crate) type Weather = Arc<dyn Fn() -> (Duration, StoreFault) + Send + Sync>;

/// The database. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SharedDatabase(Arc<Mutex<Connection>>);

impl SharedDatabase {
    pub(crate) fn new() -> Self {
        let connection = Connection::open_in_memory().expect("SQLite in memory");
        work::migrate(&connection).expect("the schema");
        Self(Arc::new(Mutex::new(connection)))
    }

    /// A store over this database. Its clock starts at `now_ms` and advances as the runtime's does.
    pub(crate) fn open(&self, now_ms: i64, weather: Weather) -> Store {
        let clock = SqliteClock::Runtime { origin_ms: now_ms, origin: tokio::time::Instant::now() };
        Store::over(Box::new(Handle { database: self.clone(), clock, weather }), StoreKind::Sqlite(None))
    }
}

struct Handle {
    database: SharedDatabase,
    clock: SqliteClock,
    weather: Weather,
}

impl fmt::Debug for Handle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Handle {
    async fn carry_out(&self, batch: Batch) -> Result<Vec<Rows>, StoreError> {
        let (latency, fault) = (self.weather)();
        // Some before the commit and some after it, so that a simulated process can die at either point.
        sleep(latency / 2).await;
        let result = match fault {
            StoreFault::OutOfReach => Err(StoreError::OutOfReach("simulated".to_owned())),
            StoreFault::TimedOut => Err(StoreError::TimedOut),
            StoreFault::None | StoreFault::TimedOutAfterCommit => {
                let connection = self.database.0.lock();
                work::commit(&connection, self.clock, &batch)
            }
        };
        sleep(latency / 2).await;
        if fault == StoreFault::TimedOutAfterCommit { Err(StoreError::TimedOut) } else { result }
    }
}

impl Engine for Handle {
    fn run(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Rows>, StoreError>> {
        self.carry_out(batch).boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        std::future::ready(Ok(())).boxed()
    }
}
