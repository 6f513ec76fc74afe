//! The interface between tables and databases: a batch of statements, carried out as a whole or not at all.
//!
//! The SQL of a table is written once, in the dialect that SQLite and PostgreSQL share: `$1` for values, `INSERT … ON
//! CONFLICT … RETURNING`, times as milliseconds since 1970 by the database's clock, which a statement writes as `{now}`, and
//! JSON as text. `{skip_locked}` at the end of an inner `SELECT` skips rows that another replica is just taking.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::error::StoreError;

/// A value in a row, or bound to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Duration> for Value {
    /// In milliseconds, as times are stored.
    fn from(time: Duration) -> Self {
        Self::Int(ms(time))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<String> for Value {
    /// PostgreSQL refuses a null byte in any text, so a replacement character stands for it in both databases.
    fn from(text: String) -> Self {
        Self::Text(if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text })
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    /// The number in this column; 0 if it has none.
    pub(crate) fn int(&self, column: usize) -> i64 {
        match self.0.get(column) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        }
    }

    /// The number in this column, if it has one.
    pub(crate) fn opt_int(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// The text in this column, if it has one.
    pub(crate) fn text(&self, column: usize) -> Option<&str> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The rows that one statement returned.
pub(crate) type Rows = Vec<Row>;

/// One statement with its values, in the order of `$1`, `$2`, …
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
}

/// In milliseconds, as times are stored. A duration that does not fit becomes a number to which a time can still be added.
pub(super) fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4)
}

pub(crate) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement { sql: text.into(), values: Vec::new() }
}

impl Statement {
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }
}

/// Statements that take effect together: only a few, because PostgreSQL is sent them all at once.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) kind: BatchKind,
    pub(crate) statements: Vec<Statement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchKind {
    Write,
    /// Need not wait for writers.
    Read,
    /// One statement that finds a row by its key: a transaction around it would cost more than the statement.
    LookUp,
}

impl Batch {
    pub(crate) fn write(statements: impl Into<Vec<Statement>>) -> Self {
        Self { kind: BatchKind::Write, statements: statements.into() }
    }

    pub(crate) fn read(statements: impl Into<Vec<Statement>>) -> Self {
        Self { kind: BatchKind::Read, statements: statements.into() }
    }

    /// For a read of one row by its key. It runs without `statement_timeout`, so it must not scan a table that grows.
    pub(crate) fn look_up(statement: Statement) -> Self {
        Self { kind: BatchKind::LookUp, statements: vec![statement] }
    }

    pub(crate) fn writes(&self) -> bool {
        self.kind == BatchKind::Write
    }
}

/// A database.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// Carries a batch out, all of it or nothing, and returns the rows of each statement. Bounded by `store.timeout`.
    fn run(&self, batch: Batch) -> BoxFuture<'_, Result<Vec<Rows>, StoreError>>;

    /// Brings the schema up to date. Harmless if it already is.
    fn migrate(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}
