//! The table `meta`: the store's id, since when it stands in for another one, and the mode.

use super::Store;
use super::engine::{Batch, Rows, Statement, sql};
use super::error::StoreError;
use crate::config::Mode;

/// Which store this is, and for how long it has stood in for another one: the first two columns for [`Store::same_store`], of the
/// row of `meta` with the key `store_id`.
pub(super) const IDENTITY: &str =
    "meta.value, coalesce({now} - (SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'replaced'), -1)";

/// Reads [`IDENTITY`].
pub(super) fn identity() -> Statement {
    sql(format!("SELECT {IDENTITY} FROM meta WHERE key = 'store_id'"))
}

impl Store {
    /// Compares the [`IDENTITY`] that was read with what we know. Another id is noted in the store, so that all replicas refuse what a
    /// claim in the old one might have decided; only then do we believe it.
    ///
    /// # Errors
    /// It could not be noted, or the store is younger than `life_ms`, the life of a claim of this kind.
    pub(super) async fn same_store(&self, identity: &Rows, life_ms: i64) -> Result<(), StoreError> {
        let row = identity.first();
        let id = row.and_then(|row| row.text(0)).ok_or(StoreError::NoSchema)?;
        let known = self.0.known.id();
        if known.as_deref().is_some_and(|known| known != id) {
            tracing::error!(
                event = "store_replaced",
                "the store is another one than before, without the claims of the old one: selectors and teardowns are refused for \
                 as long as one of those may live"
            );
            let note = sql(
                "INSERT INTO meta (key, value) VALUES ('replaced', CAST({now} AS TEXT)) ON CONFLICT (key) DO UPDATE SET \
                            value = excluded.value",
            );
            self.run(Batch::write([note])).await?;
            self.0.known.set(id);
            return Err(StoreError::Replaced { for_ms: life_ms });
        }
        self.0.known.set(id);
        let age = row.map_or(-1, |row| row.int(1));
        let left = life_ms.saturating_sub(age);
        if age >= 0 && left > 0 { Err(StoreError::Replaced { for_ms: left }) } else { Ok(()) }
    }

    /// Sets the mode of all replicas.
    pub(crate) async fn set_mode(&self, mode: Mode) -> Result<(), StoreError> {
        let word = if mode == Mode::Observe { "observe" } else { "enforce" };
        let set = sql(
            "INSERT INTO meta (key, value) VALUES ('mode', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        );
        self.run(Batch::write([set.bind(word)])).await.map(|_| ())
    }
}

/// Reads the mode, where one was set.
pub(super) fn mode() -> Statement {
    sql("SELECT value FROM meta WHERE key = 'mode'")
}

/// What [`mode`] gave.
pub(super) fn mode_of(rows: &Rows) -> Option<Mode> {
    match rows.first()?.text(0)? {
        "observe" => Some(Mode::Observe),
        _ => Some(Mode::Enforce),
    }
}
