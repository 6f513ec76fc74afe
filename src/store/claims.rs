//! The table `claims`: the participants that a request, and each repeat of it, may reach.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, Row, Statement, ms, sql};
use super::error::StoreError;
use super::meta::{IDENTITY, check_replaced};

/// A claim to be stored, unless one with the same key is alive.
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
    /// Digest of what was asked; a repeat must have the same.
    pub(crate) body: &'a str,
    /// The participants, as JSON.
    pub(crate) targets: &'a str,
    /// Chosen by its maker, which recognises its own claim by it.
    pub(crate) token: &'a str,
    /// How long it lives.
    pub(crate) life: Duration,
    /// For how long claims are refused after the store has replaced another one.
    pub(crate) refused_for: Duration,
}

/// A claim as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredClaim {
    /// Digest of what was asked.
    pub(crate) body: String,
    /// The participants, as JSON.
    pub(crate) targets: String,
    /// The token that its maker chose.
    pub(crate) token: String,
    /// How long it still lives.
    pub(crate) left: Duration,
}

/// Claims that one purge deletes at most, so that no other statement waits long for it.
const PURGED_AT_ONCE: i64 = 5_000;

impl Store {
    /// The live claim with this key.
    ///
    /// # Errors
    /// The store cannot be read, or has replaced another one less than `refused_for` ago.
    pub(crate) async fn find_claim(&self, key: &str, refused_for: Duration) -> Result<Option<StoredClaim>, StoreError> {
        let rows = self.run(Batch::look_up(find(key))).await?;
        let [found] = &rows[..] else { return Err(StoreError::TimedOut) };
        self.check_identity(found, ms(refused_for)).await?;
        Ok(found.first().and_then(live))
    }

    /// Stores the claim, unless one with its key is alive, and returns the one that counts. The first writer wins.
    ///
    /// # Errors
    /// The store gives no answer, or has replaced another one less than `refused_for` ago. The claim may have been stored all the
    /// same: it then holds for the repeat.
    pub(crate) async fn claim(&self, new: &NewClaim<'_>) -> Result<StoredClaim, StoreError> {
        // Only into the store that we know: a replacement may lack a claim that the old one had. An expired claim in the way is
        // replaced in the same statement.
        let insert = sql(
            "INSERT INTO claims (key, caller, operation, conversation, body, targets, token, created, expires) \
             SELECT $1, $2, $3, $4, $5, $6, $7, {now}, {now} + $8 FROM meta WHERE meta.key = 'store_id' AND meta.value = $9 \
             ON CONFLICT (key) DO UPDATE SET caller = excluded.caller, operation = excluded.operation, \
             conversation = excluded.conversation, body = excluded.body, targets = excluded.targets, token = excluded.token, \
             created = excluded.created, expires = excluded.expires WHERE claims.expires <= {now} \
             RETURNING (SELECT value FROM meta WHERE key = 'replaced'), created",
        )
        .bind(new.key)
        .bind(new.caller)
        .bind(new.operation)
        .bind(new.conversation)
        .bind(new.body)
        .bind(new.targets)
        .bind(new.token)
        .bind(ms(new.life))
        .bind(self.known_id().await?);
        let rows = self.run(Batch::write([insert])).await?;
        if let Some(written) = rows.last().and_then(|rows| rows.first()) {
            check_replaced(written.text(0), written.int(1), ms(new.refused_for))?;
            let [body, targets, token] = [new.body, new.targets, new.token].map(str::to_owned);
            return Ok(StoredClaim { body, targets, token, left: new.life });
        }
        // Either a claim is in the way or the store was replaced; the read tells which. If neither, the claim in the way has expired
        // since, and a repeat will find room.
        self.find_claim(new.key, new.refused_for).await?.ok_or(StoreError::TimedOut)
    }

    /// Deletes expired claims.
    pub(crate) async fn purge_claims(&self) -> Result<(), StoreError> {
        let purge = sql("DELETE FROM claims WHERE key IN (SELECT key FROM claims WHERE expires <= {now} LIMIT $1)");
        self.run(Batch::write([purge.bind(PURGED_AT_ONCE)])).await.map(|_| ())
    }
}

/// Reads the store's identity and its claim with this key. It is one simple statement because PostgreSQL plans it on each call, and
/// planning is most of its cost.
fn find(key: &str) -> Statement {
    sql(format!(
        "SELECT {IDENTITY}, token, body, targets, expires FROM meta LEFT JOIN claims ON claims.key = $1 WHERE meta.key = 'store_id'"
    ))
    .bind(key)
}

/// The claim in a row of [`find`], if there is one and it is alive.
fn live(row: &Row) -> Option<StoredClaim> {
    let text = |column| row.text(column).unwrap_or_default().to_owned();
    let left = row.opt_int(6)? - row.int(2);
    Some(StoredClaim {
        token: text(3),
        body: text(4),
        targets: text(5),
        left: Duration::from_millis(u64::try_from(left).ok().filter(|left| *left > 0)?),
    })
}
