//! The table `meta`: the store's id, when it replaced another one, and the mode.

use super::Store;
use super::engine::{Batch, Rows, Statement, sql};
use super::error::StoreError;
use crate::config::Mode;

/// The store's id, when it replaced another one, and its clock: the first three columns for [`Store::check_identity`], of the row
/// of `meta` with the key `store_id`.
pub(super) const IDENTITY: &str = "meta.value, (SELECT value FROM meta WHERE key = 'replaced'), {now}";

/// Reads [`IDENTITY`].
pub(super) fn identity() -> Statement {
    sql(format!("SELECT {IDENTITY} FROM meta WHERE key = 'store_id'"))
}

/// Checks when the store replaced another one, if it did. `replaced` is that time, stored as text.
///
/// # Errors
/// It was less than `life_ms` ago, the life of a claim of this kind: one in the old store may still be alive.
pub(super) fn check_replaced(replaced: Option<&str>, now: i64, life_ms: i64) -> Result<(), StoreError> {
    let Some(replaced) = replaced else { return Ok(()) };
    // A time that cannot be parsed counts as now.
    let left = life_ms.saturating_sub(now.saturating_sub(replaced.parse().unwrap_or(now)));
    if left > 0 { Err(StoreError::Replaced { for_ms: left }) } else { Ok(()) }
}

impl Store {
    /// The id of the store that we know, which is read if we know none yet.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) async fn known_id(&self) -> Result<String, StoreError> {
        if let Some(id) = self.0.known.id() {
            return Ok(id);
        }
        let rows = self.run(Batch::read([identity()])).await?;
        let [found] = &rows[..] else { return Err(StoreError::NoSchema) };
        self.check_identity(found, 0).await?;
        self.0.known.id().ok_or(StoreError::NoSchema)
    }

    /// Compares the [`IDENTITY`] that was read with what we know. A new id is accepted only after the replacement was noted in the
    /// store, so that all replicas refuse what a claim in the old one might have decided.
    ///
    /// # Errors
    /// It could not be noted, or the store replaced another one less than `life_ms` ago, the life of a claim of this kind.
    pub(super) async fn check_identity(&self, identity: &Rows, life_ms: i64) -> Result<(), StoreError> {
        let row = identity.first();
        let id = row.and_then(|row| row.text(0)).ok_or(StoreError::NoSchema)?;
        let known = self.0.known.id();
        if known.as_deref().is_some_and(|known| known != id) {
            tracing::error!(
                event = "store_replaced",
                "the store was replaced by another one, without the claims of the old one: selectors and teardowns are refused for \
                 as long as one of those may be alive"
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
        row.map_or(Ok(()), |row| check_replaced(row.text(1), row.int(2), life_ms))
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

/// Reads the mode, if one was set.
pub(super) fn mode() -> Statement {
    sql("SELECT value FROM meta WHERE key = 'mode'")
}

/// The mode in the rows of [`mode`].
pub(super) fn mode_of(rows: &Rows) -> Option<Mode> {
    match rows.first()?.text(0)? {
        "observe" => Some(Mode::Observe),
        _ => Some(Mode::Enforce),
    }
}
