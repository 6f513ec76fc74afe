//! Destinations of records.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::line::USUAL_LENGTH;
use super::record::Record;

/// A destination of records. It has a thread of its own, so its methods may block.
pub trait Sink: fmt::Debug + Send {
    /// Writes all of these records, or none.
    ///
    /// # Errors
    /// Nothing was written; the next call tries again.
    fn write(&mut self, records: &[Arc<Record>]) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// What was written may not be durable.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether it has something to reopen.
    fn reopens(&self) -> bool {
        false
    }

    /// Opens what it writes to, anew if it is open already.
    ///
    /// # Errors
    /// It cannot be opened now; writing tries again.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What has failed since the last call without losing a record.
    fn trouble(&mut self) -> Option<String> {
        None
    }
}

/// The records, a line of JSON each.
pub(super) fn lines(records: &[Arc<Record>]) -> String {
    let mut lines = String::with_capacity(records.len() * USUAL_LENGTH);
    for record in records {
        lines.push_str(&record.to_json());
        lines.push('\n');
    }
    lines
}
