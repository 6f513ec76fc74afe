//! The table `replicas`: a heartbeat for each process of the fleet.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, ms, sql};
use super::error::StoreError;
use super::meta;
use crate::config::Mode;

/// A replica without a heartbeat for this long is dead.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(10);
/// One that has been dead for a day is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(86_400);

/// One process of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// `store.instance`.
    pub instance: String,
    /// Its version of hangup.
    pub version: String,
    /// How long ago it started.
    pub age: Duration,
    /// How long ago its last heartbeat was.
    pub silent: Duration,
}

/// The fleet as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FleetState {
    /// The live replicas.
    pub(crate) replicas: Vec<Replica>,
    /// The mode, if it was set for all.
    pub(crate) mode: Option<Mode>,
}

impl Store {
    /// Records that this replica has started: `started` is set anew, because an earlier process of its name may have left its row.
    pub(crate) async fn enter(&self, instance: &str) -> Result<(), StoreError> {
        self.write_beat(instance, ", started = excluded.started").await
    }

    /// Records that this replica is alive.
    pub(crate) async fn beat(&self, instance: &str) -> Result<(), StoreError> {
        self.write_beat(instance, "").await
    }

    async fn write_beat(&self, instance: &str, more: &str) -> Result<(), StoreError> {
        let beat = sql(format!(
            "INSERT INTO replicas (instance, version, started, seen) VALUES ($1, $2, {{now}}, {{now}}) \
             ON CONFLICT (instance) DO UPDATE SET version = excluded.version, seen = excluded.seen{more}"
        ))
        .bind(instance)
        .bind(env!("CARGO_PKG_VERSION"));
        self.run(Batch::write([beat])).await.map(|_| ())
    }

    /// Removes this replica, so that the others need not wait until it counts as dead.
    pub(crate) async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        self.run(Batch::write([sql("DELETE FROM replicas WHERE instance = $1").bind(instance)])).await.map(|_| ())
    }

    /// Reads which replicas are alive and which mode is set.
    pub(crate) async fn read_fleet(&self) -> Result<FleetState, StoreError> {
        let live = sql(
            "SELECT instance, version, {now} - started, {now} - seen FROM replicas WHERE seen > {now} - $1 ORDER BY instance LIMIT 1000",
        )
        .bind(ms(DEAD_AFTER));
        let rows = self.run(Batch::read([live, meta::mode(), meta::identity()])).await?;
        let [live, mode, identity] = &rows[..] else { return Ok(FleetState::default()) };
        // This read is frequent, so it is the first to notice that the store was replaced; its own answer is good all the same.
        match self.check_identity(identity, 0).await {
            Ok(()) | Err(StoreError::Replaced { .. }) => {}
            Err(error) => return Err(error),
        }
        let age = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let replica = |row: &super::engine::Row| Replica {
            instance: row.text(0).unwrap_or_default().to_owned(),
            version: row.text(1).unwrap_or_default().to_owned(),
            age: age(row.int(2)),
            silent: age(row.int(3)),
        };
        Ok(FleetState { replicas: live.iter().map(replica).collect(), mode: meta::mode_of(mode) })
    }

    /// Deletes replicas that died long ago.
    pub(crate) async fn purge_replicas(&self) -> Result<(), StoreError> {
        let purge = sql("DELETE FROM replicas WHERE seen < {now} - $1").bind(ms(FORGOTTEN_AFTER));
        self.run(Batch::write([purge])).await.map(|_| ())
    }
}
