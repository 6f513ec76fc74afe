//! The table `audit`: the records, newest first.

use std::fmt::Write as _;
use std::sync::LazyLock;
use std::time::Duration;

use super::Store;
use super::engine::{Batch, Statement, Value, sql};
use super::error::StoreError;

/// A record on its way into the store.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Chosen by its writer, so that writing it again does no harm.
    pub id: String,
    /// When it was settled, in milliseconds since 1970.
    pub time: i64,
    /// What kind of record it is.
    pub event: String,
    /// Who asked.
    pub caller: Option<String>,
    /// The job it belongs to.
    pub job: Option<String>,
    /// The conversation.
    pub conversation: Option<String>,
    /// The participant, unless everybody was meant.
    pub participant: Option<String>,
    /// The outcome.
    pub outcome: String,
    /// The problem's code.
    pub code: Option<String>,
    /// All of it, as JSON.
    pub record: String,
}

/// Which records to read. A member that is `None` picks all.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// The conversation.
    pub conversation: Option<String>,
    /// The participant. Records of whole conversations are picked as well.
    pub participant: Option<String>,
    /// Callers by the names that records have of them, of which any will do.
    pub callers: Vec<String>,
    /// The only caller whose records may be seen, by its whole name.
    pub own: Option<String>,
    /// The job.
    pub job: Option<String>,
    /// The outcome, or the code.
    pub outcome: Option<String>,
    /// No older ones, in milliseconds since 1970.
    pub since: Option<i64>,
    /// No newer ones.
    pub until: Option<i64>,
    /// Where the page before ended.
    pub after: Option<(i64, String)>,
    /// Records of a page.
    pub limit: i64,
}

/// One page, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditEntry>,
    /// Whether there are older ones.
    pub more: bool,
}

/// One record that was read, and its place in the order.
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// The record, as JSON.
    pub record: String,
    /// Its place, for `after` of the next query.
    pub place: (i64, String),
}

const COLUMNS: usize = 10;
/// Records written with one transaction.
const MOST_AT_ONCE: usize = 256;
/// How many records one statement writes: only four lengths, so that each statement is prepared once and stays cached.
const ROWS_OF_A_STATEMENT: [usize; 4] = [64, 16, 4, 1];
static INSERTS: LazyLock<[String; 4]> = LazyLock::new(|| ROWS_OF_A_STATEMENT.map(insert));
/// Records that one round of retention deletes at most, so that no other statement waits long for it.
const PURGED_AT_ONCE: i64 = 5_000;
/// What a store in memory keeps.
const KEPT_IN_MEMORY: i64 = 10_000;

/// The statement that writes `rows` records.
fn insert(rows: usize) -> String {
    let row = |n: usize| {
        let places: Vec<_> = (1..=COLUMNS).map(|column| format!("${}", n * COLUMNS + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<_> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO audit (id, time, event, caller, job, conversation, participant, outcome, code, record) VALUES {} \
         ON CONFLICT (id) DO UPDATE SET time = excluded.time, outcome = excluded.outcome, code = excluded.code, \
         record = excluded.record WHERE audit.outcome = 'intended'",
        rows.join(", ")
    )
}

fn bind(insert: Statement, row: AuditRow) -> Statement {
    let insert = insert.bind(row.id).bind(row.time).bind(row.event).bind(row.caller).bind(row.job);
    insert.bind(row.conversation).bind(row.participant).bind(row.outcome).bind(row.code).bind(row.record)
}

impl Store {
    /// Writes records. An intent gives way to its outcome; other records that are there already stay as they are.
    pub async fn append_audit(&self, rows: Vec<AuditRow>) -> Result<(), StoreError> {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let mut left = rows.len().min(MOST_AT_ONCE);
            let mut inserts = Vec::new();
            for (length, text) in ROWS_OF_A_STATEMENT.iter().zip(&*INSERTS) {
                while left >= *length {
                    inserts.push(rows.by_ref().take(*length).fold(sql(text.as_str()), bind));
                    left -= length;
                }
            }
            self.run(Batch::write(inserts)).await?;
        }
        Ok(())
    }

    /// Reads one page.
    pub async fn read_audit(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let mut text = String::from("SELECT record, time, id FROM audit WHERE 1 = 1");
        let mut values: Vec<Value> = Vec::new();
        let mut condition = |form: &str, value: Value| {
            values.push(value);
            text.push_str(" AND ");
            text.push_str(&form.replace('$', &format!("${}", values.len())));
        };
        // What was done to a whole conversation was done to its participants, too. Whose it is, other records tell, or the query.
        let participant = if query.conversation.is_some() {
            "(participant IS NULL OR participant = $)"
        } else {
            "(participant = $ OR (participant IS NULL AND conversation IN (SELECT conversation FROM audit WHERE participant = $)))"
        };
        for (form, value) in [
            ("conversation = $", &query.conversation),
            (participant, &query.participant),
            ("caller = $", &query.own),
            ("job = $", &query.job),
            ("(outcome = $ OR code = $)", &query.outcome),
        ] {
            if let Some(value) = value {
                condition(form, value.clone().into());
            }
        }
        if !query.callers.is_empty() {
            let first = values.len() + 1;
            values.extend(query.callers.iter().cloned().map(Value::from));
            let places: Vec<_> = (first..=values.len()).map(|place| format!("${place}")).collect();
            let _ = write!(text, " AND caller IN ({})", places.join(", "));
        }
        let mut condition = |form: &str, value: Value| {
            values.push(value);
            text.push_str(" AND ");
            text.push_str(&form.replace('$', &format!("${}", values.len())));
        };
        if let Some(since) = query.since {
            condition("time >= $", since.into());
        }
        if let Some(until) = query.until {
            condition("time <= $", until.into());
        }
        if let Some((time, id)) = &query.after {
            condition("time <= $", (*time).into());
            let first = values.len();
            values.push(id.clone().into());
            let _ = write!(text, " AND (time < ${first} OR id < ${})", values.len());
        }
        // One more than asked for shows whether there is a next page.
        values.push((query.limit + 1).into());
        let _ = write!(text, " ORDER BY time DESC, id DESC LIMIT ${}", values.len());
        let mut read = sql(text);
        read.values = values;
        let rows = self.run(Batch::read([read])).await?.pop().unwrap_or_default();
        let limit = usize::try_from(query.limit).unwrap_or(0);
        let entry = |row: &super::engine::Row| {
            Some(AuditEntry { record: row.text(0)?.to_owned(), place: (row.int(1), row.text(2)?.to_owned()) })
        };
        Ok(AuditPage { records: rows.iter().take(limit).filter_map(entry).collect(), more: rows.len() > limit })
    }

    /// Whether a record shows that this conversation was alive: a participant was disconnected, or seen.
    pub async fn saw_alive(&self, conversation: &str) -> Result<bool, StoreError> {
        let look = sql(
            "SELECT 1 FROM audit WHERE conversation = $1 AND (outcome IN ('disconnected', 'accepted', 'would_disconnect', 'unconfirmed') \
             OR (outcome = 'already_disconnected' AND record LIKE '%\"verified\":true%')) LIMIT 1",
        );
        let rows = self.run(Batch::read([look.bind(conversation)])).await?;
        Ok(rows.first().is_some_and(|rows| !rows.is_empty()))
    }

    /// Deletes what is older than `keep`, some at a time. Returns whether there may be more.
    pub(crate) async fn purge_audit(&self, keep: Duration) -> Result<bool, StoreError> {
        let purge =
            sql("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE time < {now} - $1 LIMIT $2) RETURNING id")
                .bind(keep)
                .bind(PURGED_AT_ONCE);
        let mut statements = vec![purge];
        if *self.kind() == crate::config::StoreKind::Memory {
            let keep =
                "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY time DESC, id DESC LIMIT -1 OFFSET $1)";
            statements.push(sql(keep).bind(KEPT_IN_MEMORY));
        }
        let rows = self.run(Batch::write(statements)).await?;
        Ok(rows.first().is_some_and(|rows| rows.len() as i64 >= PURGED_AT_ONCE))
    }
}
