//! The leases of the table `items`: a replica takes some, works on them, and writes the result of each.
//!
//! `due` is the whole schedule: when an item may be taken next, 0 for one that was never taken. A lease is a `due` in the future
//! under a token; when it expires, the item can be taken over, and what its former holder writes under the old token changes
//! nothing.

use std::time::Duration;

use super::Store;
use super::engine::{Batch, Row, Statement, sql};
use super::error::StoreError;
use super::items::ItemResult;
use super::jobs::NEVER;

/// The job may have been paused since it was listed.
const STILL_RUNS: &str = "EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND state = 'running')";

/// An item that this replica has leased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedItem {
    /// Its line in the caller's file, or its place in the caller's list.
    pub number: i64,
    /// The conversation.
    pub conversation: String,
    /// The participant, where one is named.
    pub participant: Option<String>,
    /// Where none is named: whom it means, as JSON.
    pub target: Option<String>,
    /// The lease's token, under which its result is written.
    pub lease: String,
    /// Its disconnect was accepted, and has yet to be confirmed.
    pub confirming: bool,
    /// Another lease ran before this one: something may have been sent.
    pub tried: bool,
    /// The lease before this one expired without a result.
    pub taken_over: bool,
    /// Disconnect requests sent for it so far.
    pub attempts: i64,
    /// How long ago it was first tried.
    pub since_first: Duration,
    /// How long ago it was accepted.
    pub since_accepted: Option<Duration>,
    /// The participants it was resolved to, as JSON.
    pub reached: Option<String>,
}

/// Which of a job's items may be leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// All whose time has come.
    All,
    /// Those, except that an item that was never taken must be among this many first items of the job.
    First(i64),
    /// Only those that were leased before, to finish them.
    UnderWay,
}

impl Store {
    /// Leases items of a job, `limit` at most, each for `life`.
    pub async fn lease_items(
        &self,
        job: &str,
        pick: Pick,
        limit: i64,
        life: Duration,
        token: &str,
    ) -> Result<Vec<LeasedItem>, StoreError> {
        // Items under way go first: accepted ones should be confirmed soon, and finishing one is worth more than starting another.
        let may_go_on = if pick == Pick::UnderWay { "state IN ('leased', 'confirming')" } else { STILL_RUNS };
        let under_way = format!("due > 0 AND due <= {{now}} AND {may_go_on}");
        let mut leased = self.lease_some(&under_way, job, limit, life, token).await?;
        let room = limit - i64::try_from(leased.len()).unwrap_or(limit);
        let among = match pick {
            _ if room <= 0 => return Ok(leased),
            Pick::UnderWay => return Ok(leased),
            Pick::All => String::new(),
            Pick::First(number) => {
                format!(" AND number IN (SELECT number FROM items WHERE job = $1 ORDER BY number LIMIT {number})")
            }
        };
        let never_taken = format!("due = 0 AND {STILL_RUNS}{among}");
        leased.extend(self.lease_some(&never_taken, job, room, life, token).await?);
        Ok(leased)
    }

    async fn lease_some(
        &self,
        which: &str,
        job: &str,
        limit: i64,
        life: Duration,
        token: &str,
    ) -> Result<Vec<LeasedItem>, StoreError> {
        let take = sql(format!(
            "WITH picked AS MATERIALIZED (SELECT number FROM items WHERE job = $1 AND {which} \
             ORDER BY due, number LIMIT $2 {{skip_locked}}) \
             UPDATE items SET lease = $3, due = {{now}} + $4, tries = tries + 1, first_tried = coalesce(first_tried, {{now}}), \
             taken = CASE WHEN lease IS NULL THEN -abs(coalesce(taken, 0)) ELSE abs(coalesce(taken, 0)) + 1 END, \
             state = CASE WHEN state = 'confirming' THEN state ELSE 'leased' END \
             WHERE job = $1 AND number IN (SELECT number FROM picked) RETURNING number, conversation, participant, target, state, \
             attempts, {{now}} - first_tried, {{now}} - accepted, reached, tries, taken"
        ))
        .bind(job)
        .bind(limit)
        .bind(token)
        .bind(life);
        let rows = self.run(Batch::write([take])).await?;
        let leased = |row: &Row| {
            let text = |column| row.text(column).map(str::to_owned);
            let age = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
            LeasedItem {
                number: row.int(0),
                conversation: text(1).unwrap_or_default(),
                participant: text(2),
                target: text(3),
                lease: token.to_owned(),
                confirming: row.text(4) == Some("confirming"),
                attempts: row.int(5),
                since_first: age(row.int(6)),
                since_accepted: row.opt_int(7).map(age),
                reached: text(8),
                tried: row.int(9) > 1,
                taken_over: row.int(10) > 0,
            }
        };
        Ok(rows.first().map(|rows| rows.iter().map(leased).collect()).unwrap_or_default())
    }

    /// Stores the participants that an item was resolved to, before the first of them is disconnected. `false`: the item was leased
    /// anew meanwhile, and nothing was written.
    pub async fn keep_reached(&self, job: &str, item: &LeasedItem, reached: &str) -> Result<bool, StoreError> {
        let keep = sql(
            "UPDATE items SET reached = $1 WHERE job = $2 AND number = $3 AND lease = $4 AND state <> 'done' RETURNING number",
        );
        self.under_lease(keep.bind(reached), job, item).await
    }

    /// Writes the final result. `false`: the item was leased anew meanwhile, and nothing was written.
    pub async fn finish_item(&self, job: &str, item: &LeasedItem, result: &ItemResult) -> Result<bool, StoreError> {
        let finish = sql(
            "UPDATE items SET state = 'done', due = $1, outcome = $2, code = $3, detail = $4, attempts = attempts + $5, \
             correlation = coalesce($6, correlation), time = {now} WHERE job = $7 AND number = $8 AND lease = $9 AND state <> 'done' RETURNING number",
        )
        .bind(NEVER)
        .bind(result.outcome.as_str())
        .bind(result.code.clone())
        .bind(result.detail.clone())
        .bind(result.attempts)
        .bind(result.correlation_id.clone());
        self.under_lease(finish, job, item).await
    }

    /// Puts an item back, for another attempt, or if `confirming` for another read, once `pause` has passed.
    pub async fn put_back(
        &self,
        job: &str,
        item: &LeasedItem,
        confirming: bool,
        pause: Duration,
        result: &ItemResult,
    ) -> Result<bool, StoreError> {
        let back = sql(
            "UPDATE items SET state = $1, due = {now} + $2, lease = NULL, accepted = CASE WHEN $1 = 'confirming' THEN coalesce(accepted, {now}) END, \
             outcome = $3, code = $4, detail = $5, attempts = attempts + $6, correlation = coalesce($7, correlation) \
             WHERE job = $8 AND number = $9 AND lease = $10 AND state <> 'done' RETURNING number",
        )
        .bind(if confirming { "confirming" } else { "pending" })
        .bind(pause)
        .bind(Some(result.outcome.clone()).filter(|outcome| !outcome.is_empty()))
        .bind(result.code.clone())
        .bind(result.detail.clone())
        .bind(result.attempts)
        .bind(result.correlation_id.clone());
        self.under_lease(back, job, item).await
    }

    /// Gives up waiting items of a cancelled job, at most `limit` at once, and returns how many. An item for which something may
    /// have been sent is made to look as if its lease had expired, so that it is read once more first.
    pub async fn give_up_items(&self, job: &str, limit: i64) -> Result<u64, StoreError> {
        let some = |which: &str| {
            format!(
                "job = $1 AND number IN (SELECT number FROM items WHERE job = $1 AND state = 'pending' AND {which} LIMIT $2) AND \
                 state = 'pending' AND EXISTS (SELECT 1 FROM jobs WHERE id = $1 AND state = 'cancelled') RETURNING number"
            )
        };
        let look = format!(
            "UPDATE items SET state = 'leased', due = {{now}} WHERE {}",
            some("(attempts > 0 OR coalesce(taken, 0) <> 0)")
        );
        let give_up = format!(
            "UPDATE items SET state = 'done', outcome = 'cancelled', due = $3, time = {{now}} WHERE {}",
            some("attempts = 0 AND coalesce(taken, 0) = 0")
        );
        let give_up = sql(give_up).bind(job).bind(limit).bind(NEVER);
        let rows = self.run(Batch::write([sql(look).bind(job).bind(limit), give_up])).await?;
        Ok(rows.last().map_or(0, |rows| rows.len() as u64))
    }

    async fn under_lease(&self, statement: Statement, job: &str, item: &LeasedItem) -> Result<bool, StoreError> {
        let statement = statement.bind(job).bind(item.number).bind(item.lease.as_str());
        let rows = self.run(Batch::write([statement])).await?;
        Ok(rows.first().is_some_and(|rows| !rows.is_empty()))
    }
}
