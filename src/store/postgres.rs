//! PostgreSQL, for fleets.
//!
//! A batch is sent at once, `BEGIN` and `COMMIT` included, and costs one round trip; a look-up is sent without them. Statements are
//! unnamed and nothing depends on the session, so that a pooler may stand in between.

mod connect;

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row as PgRow, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::engine::{Batch, BatchKind, Engine, Row, Rows, Statement, Value};
use super::error::StoreError;
use super::schema;
use crate::config;

/// The database's clock in SQL. Not by `extract`, which computes with decimals and takes longer.
const NOW: &str = "(date_part('epoch', statement_timestamp()) * 1000)::bigint";
/// Longer than `store.timeout`: a migration may rebuild an index, and requests seldom wait for it.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// A pool of connections.
pub(super) struct Postgres {
    pool: Pool,
    /// For cancel requests, which need connections of their own.
    tls: MakeRustlsConnect,
    timeout: Duration,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Postgres").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Postgres {
    /// Does not connect yet.
    ///
    /// # Errors
    /// A URL or a CA file that cannot be used.
    pub(super) fn new(settings: &config::Store) -> Result<Self, String> {
        let (url, connector) = connect::connector(settings)?;
        let tls = connector.tls.clone();
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(url, connector, recycling);
        let pool = Pool::builder(manager)
            .max_size(settings.max_connections)
            .build()
            .map_err(|e| format!("store.max_connections = {}: {e}", settings.max_connections))?;
        Ok(Self { pool, tls, timeout: settings.timeout })
    }

    async fn connection(&self, deadline: Instant) -> Result<Object, StoreError> {
        match timeout_at(deadline, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(PoolError::Backend(cause))) => Err(error(&cause)),
            Ok(Err(cause)) => Err(StoreError::OutOfReach(cause.to_string())),
            // Not `TimedOut`, because nothing was sent.
            Err(_) => Err(StoreError::OutOfReach("no connection within store.timeout".to_owned())),
        }
    }

    async fn carry_out(&self, batch: &Batch) -> Result<Vec<Rows>, StoreError> {
        let deadline = Instant::now() + self.timeout;
        let connection = self.connection(deadline).await?;
        let answer = async {
            if batch.kind == BatchKind::LookUp {
                look_up(&connection, batch).await
            } else {
                transaction(&connection, batch, self.timeout).await
            }
        };
        if let Ok(result) = timeout_at(deadline, answer).await {
            return result;
        }
        // This connection may never answer again, and neither may others that have not been used for a while: drop them, too. One that
        // was used lately and is back in the pool has answered.
        let connection = Object::take(connection);
        if batch.kind == BatchKind::LookUp {
            self.cancel(connection);
        } else {
            drop(connection);
        }
        let lately = self.timeout / 2;
        self.pool.retain(|_, metrics| metrics.last_used() < lately);
        Err(StoreError::TimedOut)
    }

    /// Cancels a look-up, then closes its connection. A look-up has no `statement_timeout`, and a statement that waits for a lock does not
    /// notice that we have given up: it would occupy one of the server's connections until it gets the lock. Never cancel a `COMMIT`:
    /// one that waits for a synchronous standby would become visible to other replicas although no standby has it.
    fn cancel(&self, connection: ClientWrapper) {
        let (cancel, tls, limit) = (connection.cancel_token(), self.tls.clone(), self.timeout);
        tokio::spawn(async move {
            // Best effort: the server may be out of reach.
            let _ = timeout(limit, cancel.cancel_query(tls)).await;
            // A pooler in between can only cancel while the connection is open. So keep it open until the look-up has ended, which is
            // when the server answers an empty query.
            let _ = timeout(limit, connection.simple_query("")).await;
        });
    }

    async fn bring_up_to_date(&self) -> Result<(), StoreError> {
        let connection = self.connection(Instant::now() + self.timeout).await?;
        let result = timeout(MIGRATION_TIMEOUT, migrate(&connection)).await.unwrap_or(Err(StoreError::TimedOut));
        if result.is_err() {
            // A transaction may be open.
            drop(Object::take(connection));
        }
        result
    }
}

impl Engine for Postgres {
    fn run(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Rows>, StoreError>> {
        async move { self.carry_out(&batch).await }.boxed()
    }

    fn migrate(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.bring_up_to_date().boxed()
    }
}

/// Sends a look-up: its only statement is a transaction by itself.
async fn look_up(client: &Client, batch: &Batch) -> Result<Vec<Rows>, StoreError> {
    let mut answers = Vec::with_capacity(1);
    for one in &batch.statements {
        answers.push(statement(client, one).await.map_err(|e| error(&e))?);
    }
    Ok(answers)
}

/// Sends all statements and reads all answers. The first error counts: the server does nothing after it.
async fn transaction(client: &Client, batch: &Batch, limit: Duration) -> Result<Vec<Rows>, StoreError> {
    // So that no statement runs on in the database for long after we have given up.
    let begin = format!("BEGIN; SET LOCAL statement_timeout = {}", limit.as_millis().max(1));
    let begin = async { client.batch_execute(&begin).await.map(|()| Vec::new()) }.boxed();
    let commit = async { client.batch_execute("COMMIT").await.map(|()| Vec::new()) }.boxed();
    let statements = batch.statements.iter().map(|one| statement(client, one).boxed());
    // They are sent in the order in which they are first polled.
    let answers = join_all(std::iter::once(begin).chain(statements).chain(std::iter::once(commit))).await;
    let failed = |e: Error| match error(&e) {
        // This is not an answer of the database, and the connection may have ended after the commit.
        StoreError::OutOfReach(cause) if e.as_db_error().is_none() && batch.writes() => StoreError::Lost(cause),
        error => error,
    };
    let mut rows = answers.into_iter().collect::<Result<Vec<Rows>, Error>>().map_err(failed)?;
    rows.pop();
    rows.remove(0);
    Ok(rows)
}

async fn statement(client: &Client, asked: &Statement) -> Result<Rows, Error> {
    let text = asked.sql.replace("{now}", NOW).replace("{skip_locked}", "FOR UPDATE SKIP LOCKED");
    let values: Vec<(&(dyn ToSql + Sync), Type)> = asked
        .values
        .iter()
        .map(|value| match value {
            // The server infers the type from the statement.
            Value::Null => (&None::<&str> as &(dyn ToSql + Sync), Type::UNKNOWN),
            Value::Int(number) => (number as &(dyn ToSql + Sync), Type::INT8),
            Value::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
        })
        .collect();
    client.query_typed(&text, &values).await?.iter().map(row).collect()
}

fn row(found: &PgRow) -> Result<Row, Error> {
    let value = |(place, column): (usize, &tokio_postgres::Column)| {
        Ok(match *column.type_() {
            Type::INT8 => found.try_get::<_, Option<i64>>(place)?.into(),
            Type::INT4 => found.try_get::<_, Option<i32>>(place)?.map(i64::from).into(),
            _ => found.try_get::<_, Option<&str>>(place)?.into(),
        })
    };
    found.columns().iter().enumerate().map(value).collect::<Result<_, _>>().map(Row)
}

/// Brings the schema up to date, one replica at a time: the others wait for the table's lock, which ends with the transaction.
async fn migrate(client: &Client) -> Result<(), StoreError> {
    let to_store_error = |e: Error| error(&e);
    // Two replicas that create the table at once can collide; the second try finds it.
    if client.batch_execute(schema::META).await.is_err() {
        client.batch_execute(schema::META).await.map_err(to_store_error)?;
    }
    client.batch_execute("BEGIN; LOCK TABLE meta IN ACCESS EXCLUSIVE MODE").await.map_err(to_store_error)?;
    let found = client.simple_query(schema::VERSIONS).await.map_err(to_store_error)?;
    let rows = found.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((row.get(0)?, row.get(1)?)),
        _ => None,
    });
    let (made, oldest) = schema::versions(rows);
    if oldest > schema::VERSION {
        return Err(StoreError::NewerSchema { found: oldest, known: schema::VERSION });
    }
    if let Some(script) = schema::script(made) {
        client.batch_execute(&script).await.map_err(to_store_error)?;
    }
    client.batch_execute("COMMIT").await.map_err(to_store_error)
}

/// Converts PostgreSQL's errors. Their messages name tables and constraints, but hold none of our values.
fn error(cause: &Error) -> StoreError {
    let Some(answer) = cause.as_db_error() else {
        let source = cause.source().map(|source| format!(" ({source})")).unwrap_or_default();
        if source.contains("server does not support TLS") {
            let remedy = "set up TLS in PostgreSQL, or add sslmode=disable to store.url";
            return StoreError::OutOfReach(format!("{cause}{source}; {remedy}"));
        }
        return StoreError::OutOfReach(format!("{cause}{source}"));
    };
    let code = answer.code();
    let text = format!("{} ({})", answer.message(), code.code());
    if *code == SqlState::UNDEFINED_TABLE {
        StoreError::NoSchema
    } else if *code == SqlState::QUERY_CANCELED {
        StoreError::TimedOut
    } else if code.code().starts_with("08") || code.code().starts_with("53") || code.code().starts_with("57") {
        // The classes for connections, resources, and intervention by an operator.
        StoreError::OutOfReach(text)
    } else {
        StoreError::Refused(text)
    }
}
