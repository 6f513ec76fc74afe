//! The table `claims`: whom a request may reach.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, Row, Statement, ms, sql};
use super::error::StoreError;
use super::meta::IDENTITY;

/// A decision to be stored, unless one under the same key is alive.
#[derive(Debug)]
pub(crate) struct NewClaim<'a> {
    /// What makes two requests the same one.
    pub(crate) key: &'a str,
    /// The caller's name.
    pub(crate) caller: &'a str,
    /// `selector` or `teardown`.
    pub(crate) operation: &'static str,
    /// The conversation.
    pub(crate) conversation: &'a str,
    /// Digest of what was asked, which a repeat must ask again.
    pub(crate) body: &'a str,
    /// The participants, as JSON.
    pub(crate) targets: &'a str,
    /// Chosen by its maker.
    pub(crate) token: &'a str,
    /// How long it lives.
    pub(crate) life: Duration,
    /// For how long it is refused after the store has replaced another one.
    pub(crate) refused_for: Duration,
}

/// A claim as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredClaim {
    /// Digest of what was asked.
    pub(crate) body: String,
    /// The participants, as JSON.
    pub(crate) targets: String,
    /// Who made it.
    pub(crate) token: String,
    /// How long it still lives.
    pub(crate) left: Duration,
}

/// Of a caller, in the order of their end.
const PURGED_AT_ONCE: i64 = 5_000;

impl Store {
    /// The living claim under this key.
    ///
    /// # Errors
    /// The store does not say, or has replaced another one less than `refused_for` ago.
    pub(crate) async fn find_claim(&self, key: &str, refused_for: Duration) -> Result<Option<StoredClaim>, StoreError> {
        let rows = self.run(Batch::read([find(key)])).await?;
        let [found] = &rows[..] else { return Ok(None) };
        self.same_store(found, ms(refused_for)).await?;
        Ok(found.first().and_then(stored))
    }

    /// Stores the claim, unless one under its key is alive, and gives the one that counts. First writer wins.
    ///
    /// # Errors
    /// The store does not say, or has replaced another one less than that long ago. The claim may have been stored all the same: it
    /// then holds for the repeat.
    pub(crate) async fn claim(&self, new: &NewClaim<'_>) -> Result<StoredClaim, StoreError> {
        // Only into the store that we know: in another one, a claim of the old one may be missing.
        let insert = sql(
            "INSERT INTO claims (key, caller, operation, conversation, body, targets, token, created, expires) \
             SELECT $1, $2, $3, $4, $5, $6, $7, {now}, {now} + $8 WHERE EXISTS \
             (SELECT 1 FROM meta WHERE key = 'store_id' AND value = coalesce($9, value)) \
             ON CONFLICT (key) DO UPDATE SET caller = excluded.caller, operation = excluded.operation, \
             conversation = excluded.conversation, body = excluded.body, targets = excluded.targets, token = excluded.token, \
             created = excluded.created, expires = excluded.expires WHERE claims.expires <= {now}",
        )
        .bind(new.key)
        .bind(new.caller)
        .bind(new.operation)
        .bind(new.conversation)
        .bind(new.body)
        .bind(new.targets)
        .bind(new.token)
        .bind(ms(new.life))
        .bind(self.0.known.id());
        let rows = self.run(Batch::write([insert, find(new.key)])).await?;
        let [_, found] = &rows[..] else { return Err(StoreError::TimedOut) };
        self.same_store(found, ms(new.refused_for)).await?;
        // It cannot be missing, unless its life ended while it was stored.
        found.first().and_then(stored).ok_or(StoreError::TimedOut)
    }

    /// Forgets what has ended.
    pub(crate) async fn purge_claims(&self) -> Result<(), StoreError> {
        let purge = sql("DELETE FROM claims WHERE key IN (SELECT key FROM claims WHERE expires <= {now} LIMIT $1)");
        self.run(Batch::write([purge.bind(PURGED_AT_ONCE)])).await.map(|_| ())
    }
}

/// Reads which store this is and its living claim under a key, in one statement: the number of statements is most of what a claim
/// costs on PostgreSQL.
fn find(key: &str) -> Statement {
    sql(format!(
        "SELECT {IDENTITY}, claims.token, body, targets, expires - {{now}} FROM meta LEFT JOIN claims ON claims.key = $1 AND \
         expires > {{now}} WHERE meta.key = 'store_id'"
    ))
    .bind(key)
}

/// The claim in a row of [`find`], where there is one.
fn stored(row: &Row) -> Option<StoredClaim> {
    let text = |column| row.text(column).unwrap_or_default().to_owned();
    Some(StoredClaim {
        token: row.text(2)?.to_owned(),
        body: text(3),
        targets: text(4),
        left: Duration::from_millis(u64::try_from(row.int(5)).unwrap_or(0)),
    })
}
