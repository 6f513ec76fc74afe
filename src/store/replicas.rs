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
    /// How long ago it was heard of.
    pub silent: Duration,
}

/// What a look at the fleet gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FleetSeen {
    /// The living replicas.
    pub(crate) replicas: Vec<Replica>,
    /// The mode, where it was set for all.
    pub(crate) mode: Option<Mode>,
}

impl Store {
    /// Says that this replica has started. One of its name that crashed has left its row.
    pub(crate) async fn enter(&self, instance: &str) -> Result<(), StoreError> {
        self.write_beat(instance, ", started = excluded.started").await
    }

    /// Says that this replica is alive.
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

    /// Says that this replica is leaving: the others need not wait until it counts as dead.
    pub(crate) async fn leave(&self, instance: &str) -> Result<(), StoreError> {
        self.run(Batch::write([sql("DELETE FROM replicas WHERE instance = $1").bind(instance)])).await.map(|_| ())
    }

    /// Looks who is alive, and which mode was set.
    pub(crate) async fn look_around(&self) -> Result<FleetSeen, StoreError> {
        let living = sql(
            "SELECT instance, version, {now} - started, {now} - seen FROM replicas WHERE seen > {now} - $1 ORDER BY instance LIMIT 1000",
        )
        .bind(ms(DEAD_AFTER));
        let rows = self.run(Batch::read([living, meta::mode(), meta::identity()])).await?;
        let [living, mode, identity] = &rows[..] else { return Ok(FleetSeen::default()) };
        // A look notices first that the store was replaced.
        match self.same_store(identity, 0).await {
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
        Ok(FleetSeen { replicas: living.iter().map(replica).collect(), mode: meta::mode_of(mode) })
    }

    /// Forgets replicas that died long ago.
    pub(crate) async fn purge_replicas(&self) -> Result<(), StoreError> {
        let purge = sql("DELETE FROM replicas WHERE seen < {now} - $1").bind(ms(FORGOTTEN_AFTER));
        self.run(Batch::write([purge])).await.map(|_| ())
    }
}
