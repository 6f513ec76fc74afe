//! What is done on a connection: batches, in groups that are committed together.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::config::DbConfig;
use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::engine::{Batch, Row, Rows, Statement, Value};
use super::super::error::StoreError;
use super::super::schema;

/// A batch, and where its result goes.
pub(super) struct Work {
    pub(super) batch: Batch,
    pub(super) reply: oneshot::Sender<Result<Vec<Rows>, StoreError>>,
}

/// The clock behind `{now}`.
#[derive(Debug, Clone, Copy)]
pub(super) enum SqliteClock {
    /// The system's, which outlives the process as the file does.
    Wall,
    /// The runtime's, counted from a moment of the system's.
    Runtime { origin_ms: i64, origin: Instant },
}

impl SqliteClock {
    pub(super) fn of_the_runtime() -> Self {
        Self::Runtime { origin_ms: wall_ms(), origin: Instant::now() }
    }

    fn now_ms(self) -> i64 {
        match self {
            Self::Wall => wall_ms(),
            Self::Runtime { origin_ms, origin } => {
                origin_ms.saturating_add(i64::try_from(origin.elapsed().as_millis()).unwrap_or(i64::MAX))
            }
        }
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Prepares each statement once. By default, SQLite makes a new plan whenever a condition is given other values, which takes longer
/// than most of our statements do.
pub(super) fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}

/// Carries each batch out under a savepoint of its own, commits all at once, and only then answers.
pub(super) fn commit_group(connection: &Connection, clock: SqliteClock, mut group: Vec<Work>) {
    if let [only] = &group[..] {
        let result = commit(connection, clock, &only.batch);
        if let Some(only) = group.pop() {
            let _ = only.reply.send(result);
        }
        return;
    }
    let results = commit_together(connection, clock, &group);
    for (n, work) in group.into_iter().enumerate() {
        let result = match &results {
            Ok(results) => results.get(n).cloned().unwrap_or(Err(StoreError::TimedOut)),
            Err(error) => Err(error.clone()),
        };
        let _ = work.reply.send(result);
    }
}

type BatchResult = Result<Vec<Rows>, StoreError>;

fn commit_together(
    connection: &Connection,
    clock: SqliteClock,
    group: &[Work],
) -> Result<Vec<BatchResult>, StoreError> {
    begin(connection, group.iter().any(|work| work.batch.writes()))?;
    let mut results = Vec::with_capacity(group.len());
    for work in group {
        let result = savepoint(connection, clock, &work.batch);
        if connection.is_autocommit() {
            // On some errors SQLite rolls the whole transaction back.
            return Err(result.err().unwrap_or(StoreError::TimedOut));
        }
        results.push(result);
    }
    end(connection).map(|()| results)
}

fn savepoint(connection: &Connection, clock: SqliteClock, batch: &Batch) -> BatchResult {
    execute(connection, "SAVEPOINT batch")?;
    let result = statements(connection, clock, batch);
    if result.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK TO batch")?;
    }
    if !connection.is_autocommit() {
        execute(connection, "RELEASE batch")?;
    }
    result
}

/// Carries one batch out in a transaction of its own.
pub(super) fn commit(connection: &Connection, clock: SqliteClock, batch: &Batch) -> BatchResult {
    begin(connection, batch.writes())?;
    let result = statements(connection, clock, batch);
    if result.is_err() {
        if !connection.is_autocommit() {
            execute(connection, "ROLLBACK")?;
        }
        return result;
    }
    end(connection).and(result)
}

fn begin(connection: &Connection, writes: bool) -> Result<(), StoreError> {
    // A transaction that begins by reading fails at its first write if another process has written meanwhile.
    execute(connection, if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })
}

fn end(connection: &Connection) -> Result<(), StoreError> {
    execute(connection, "COMMIT").inspect_err(|_| {
        if !connection.is_autocommit() {
            let _ = execute(connection, "ROLLBACK");
        }
    })
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.raw_execute()).map(|_| ()).map_err(|e| error(&e))
}

fn statements(connection: &Connection, clock: SqliteClock, batch: &Batch) -> BatchResult {
    let now = clock.now_ms();
    batch.statements.iter().map(|one| statement(connection, now, one)).collect::<Result<_, _>>().map_err(|e| error(&e))
}

fn statement(connection: &Connection, now: i64, asked: &Statement) -> rusqlite::Result<Rows> {
    // SQLite would number `$1` in the order in which they first appear, and look for each by its name; `?1` has its number.
    let place_of_now = asked.values.len() + 1;
    let text = asked.sql.replace('$', "?").replace("{skip_locked}", "").replace("{now}", &format!("?{place_of_now}"));
    let mut statement = connection.prepare_cached(&text)?;
    for (value, place) in asked.values.iter().zip(1..) {
        match value {
            Value::Null => statement.raw_bind_parameter(place, SqlValue::Null)?,
            Value::Int(number) => statement.raw_bind_parameter(place, number)?,
            Value::Text(text) => statement.raw_bind_parameter(place, text)?,
        }
    }
    if statement.parameter_count() == place_of_now {
        statement.raw_bind_parameter(place_of_now, now)?;
    }
    let columns = statement.column_count();
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let value = |column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Integer(number) => Value::Int(number),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
            })
        };
        rows.push(Row((0..columns).map(value).collect::<rusqlite::Result<_>>()?));
    }
    Ok(rows)
}

/// Brings the schema up to date, one process at a time.
pub(super) fn migrate(connection: &Connection) -> Result<(), StoreError> {
    begin(connection, true)?;
    let result = migrate_within(connection);
    if result.is_err() && !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    result?;
    end(connection)
}

fn migrate_within(connection: &Connection) -> Result<(), StoreError> {
    connection.execute_batch(schema::META).map_err(|e| error(&e))?;
    let mut statement = connection.prepare(schema::VERSIONS).map_err(|e| error(&e))?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))
        .map_err(|e| error(&e))?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>().map_err(|e| error(&e))?;
    let (made, oldest) = schema::versions(rows.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    if oldest > schema::VERSION {
        return Err(StoreError::NewerSchema { found: oldest, known: schema::VERSION });
    }
    match schema::script(made) {
        Some(script) => connection.execute_batch(&script).map_err(|e| error(&e)),
        None => Ok(()),
    }
}

/// Converts SQLite's errors.
fn error(cause: &rusqlite::Error) -> StoreError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::OutOfReach("another process holds the file's lock".to_owned())
        }
        Some(ErrorCode::DiskFull) => StoreError::Refused("the disk is full".to_owned()),
        Some(ErrorCode::ReadOnly) => StoreError::Refused("the file cannot be written".to_owned()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Refused(format!("the file is damaged ({cause}); nothing was deleted, see docs/OPERATIONS.md"))
        }
        _ => StoreError::Refused(cause.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::super::super::engine::sql;
    use super::*;

    #[test]
    fn a_statement_keeps_its_plan_when_its_values_change() {
        let connection = Connection::open_in_memory().unwrap();
        keep_plans(&connection).unwrap();
        migrate(&connection).unwrap();
        let text = "SELECT number FROM items WHERE job = $1 AND due < $2 AND due > {now} AND state LIKE $3";
        for n in 0..5 {
            let asked = sql(text).bind(format!("job {n}")).bind(n).bind(format!("{n}%"));
            commit(&connection, SqliteClock::Wall, &Batch::read([asked])).unwrap();
        }
        let prepared = connection
            .prepare_cached("SELECT number FROM items WHERE job = ?1 AND due < ?2 AND due > ?4 AND state LIKE ?3");
        let prepared = prepared.unwrap();
        assert_eq!(
            (prepared.get_status(StatementStatus::Run), prepared.get_status(StatementStatus::RePrepare)),
            (5, 0)
        );
    }
}
