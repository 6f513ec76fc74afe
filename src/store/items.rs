//! The table `items`: each item of a job and its result. Leasing them is in `leases`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Store;
use super::engine::{Batch, Row, Rows, Value, sql};
use super::error::StoreError;
use super::jobs::NEVER;

/// Items stored with one statement.
const STORED_AT_ONCE: usize = 500;
const VALUES_OF_AN_ITEM: usize = 5;

/// An item to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// Its line in the caller's file, or its place in the caller's list.
    pub number: i64,
    /// The conversation.
    pub conversation: String,
    /// The participant, where one is named.
    pub participant: Option<String>,
    /// Where none is named: whom it means, as JSON, either a selector or all participants.
    pub target: Option<String>,
}

/// One of the first items of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstItem {
    /// Its first attempt has not begun, or has not ended.
    pub on_first_attempt: bool,
    /// The code of the problem with which it ended; `None` if it has not ended, or ended without one.
    pub code: Option<String>,
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemResult {
    /// The outcome, `unconfirmed`, `skipped` or `cancelled`; `failed` goes with a code.
    pub outcome: String,
    /// The problem's code.
    pub code: Option<String>,
    /// The problem in words.
    pub detail: Option<String>,
    /// Disconnect requests sent for it by this lease.
    pub attempts: i64,
    /// `ININ-Correlation-Id` of the last answer.
    pub correlation_id: Option<String>,
}

/// An item as callers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItem {
    /// Its line in the caller's file, or its place in the caller's list.
    pub number: i64,
    /// The conversation.
    pub conversation: String,
    /// The participant, where one is named.
    pub participant: Option<String>,
    /// `pending`, `leased`, `confirming` or `done`.
    pub state: String,
    /// Its result, as far as there is one.
    pub result: ItemResult,
    /// When it got its result, in milliseconds since 1970.
    pub time: Option<i64>,
}

impl Store {
    /// Stores items of a job that is being accepted. Items that exist already stay as they are, so it can be repeated.
    pub async fn add_items(&self, job: &str, items: &[NewItem]) -> Result<(), StoreError> {
        for chunk in items.chunks(STORED_AT_ONCE) {
            let mut text = String::from(
                "INSERT INTO items (job, number, conversation, participant, target, state, due, tries, attempts) VALUES ",
            );
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * VALUES_OF_AN_ITEM);
            for (n, item) in chunk.iter().enumerate() {
                let first = n * VALUES_OF_AN_ITEM;
                let comma = if n == 0 { "" } else { ", " };
                let [a, b, c, d, e] = [1, 2, 3, 4, 5].map(|column| first + column);
                let _ = write!(text, "{comma}(${a}, ${b}, ${c}, ${d}, ${e}, 'pending', 0, 0, 0)");
                values.extend([job.into(), item.number.into(), item.conversation.clone().into()]);
                values.extend([item.participant.clone().into(), item.target.clone().into()]);
            }
            text.push_str(" ON CONFLICT (job, number) DO NOTHING");
            let mut insert = sql(text);
            insert.values = values;
            self.run(Batch::write([insert])).await?;
        }
        Ok(())
    }

    /// Counts the items of a job.
    pub async fn item_counts(&self, job: &str) -> Result<ItemCounts, StoreError> {
        // Grouped in the order of the index, so that the database need not sort.
        let done =
            sql("SELECT code, outcome, count(*) FROM items WHERE job = $1 AND state = 'done' GROUP BY outcome, code")
                .bind(job);
        let open = sql("SELECT count(*) FROM items WHERE job = $1 AND due < $2").bind(job).bind(NEVER);
        let lately =
            sql("SELECT count(*) FROM items WHERE job = $1 AND state = 'done' AND time > {now} - 60000").bind(job);
        let rows = self.run(Batch::read([done, open, lately])).await?;
        let count = |rows: Option<&Rows>| rows.and_then(|rows| rows.first()).map_or(0, |row| row.int(0));
        let mut by_word = BTreeMap::new();
        for row in rows.first().into_iter().flatten() {
            let word = row.text(0).or(row.text(1)).unwrap_or("failed");
            *by_word.entry(word.to_owned()).or_default() += row.int(2);
        }
        Ok(ItemCounts { by_word, open: count(rows.get(1)), last_minute: count(rows.get(2)) })
    }

    /// The first items of a job, in the order of their numbers.
    pub async fn first_items(&self, job: &str, limit: i64) -> Result<Vec<FirstItem>, StoreError> {
        // An item whose lease expired is no longer waited for: its replica has probably died.
        let first = sql("SELECT CASE WHEN state = 'done' THEN code END, \
             CASE WHEN tries = 0 OR (tries = 1 AND state = 'leased' AND due > {now}) THEN 1 ELSE 0 END \
             FROM items WHERE job = $1 ORDER BY number LIMIT $2");
        let rows = self.run(Batch::read([first.bind(job).bind(limit)])).await?;
        let item = |row: &Row| FirstItem { on_first_attempt: row.int(1) == 1, code: row.text(0).map(str::to_owned) };
        Ok(rows.first().map(|rows| rows.iter().map(item).collect()).unwrap_or_default())
    }

    /// A page of items in the order of their numbers, from the first after `after`; one more than `limit` if there are more.
    pub async fn items(&self, job: &str, after: Option<i64>, limit: i64) -> Result<Vec<StoredItem>, StoreError> {
        let page = sql(
            "SELECT number, conversation, participant, state, outcome, code, detail, attempts, correlation, time FROM items \
             WHERE job = $1 AND number > $2 ORDER BY number LIMIT $3",
        )
        .bind(job)
        .bind(after.unwrap_or(-1))
        .bind(limit + 1);
        let rows = self.run(Batch::read([page])).await?;
        Ok(rows.first().map(|rows| rows.iter().map(stored).collect()).unwrap_or_default())
    }
}

/// How many items of a job have which result, or none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemCounts {
    /// Items with a result, by its code, or by its outcome if it has no code.
    pub by_word: BTreeMap<String, i64>,
    /// Items without a result.
    pub open: i64,
    /// Items that got their result within the last minute.
    pub last_minute: i64,
}

fn stored(row: &Row) -> StoredItem {
    let text = |column| row.text(column).map(str::to_owned);
    StoredItem {
        number: row.int(0),
        conversation: text(1).unwrap_or_default(),
        participant: text(2),
        state: text(3).unwrap_or_default(),
        result: ItemResult {
            outcome: text(4).unwrap_or_default(),
            code: text(5),
            detail: text(6),
            attempts: row.int(7),
            correlation_id: text(8),
        },
        time: row.opt_int(9),
    }
}
