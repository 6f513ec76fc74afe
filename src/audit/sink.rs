//! Where records end: standard output, a file, or whatever else implements [`Sink`].

use std::fmt;
use std::io::{self, Write as _};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::file::File;
use super::record::Record;
use super::store::StoreSink;
use crate::config;
use crate::store::Store;

/// One place for records. Lives on a thread of its own, where it may block.
pub trait Sink: fmt::Debug + Send {
    /// Writes all of these, or none.
    ///
    /// # Errors
    /// Nothing was written; the next call tries anew.
    fn write(&mut self, records: &[Arc<Record>]) -> io::Result<()>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// It may not be.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether it has something to open anew.
    fn reopens(&self) -> bool {
        false
    }

    /// Opens what it writes to, again if it was open.
    ///
    /// # Errors
    /// It cannot be opened now; writing tries again.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What went wrong since the last call without losing a record.
    fn trouble(&mut self) -> Option<String> {
        None
    }
}

/// The sinks of `audit.target`; none where it is "off".
pub(super) fn of(settings: &config::Audit, store: &Store) -> Result<Vec<Box<dyn Sink>>, String> {
    let sink = |target: &String| -> Result<Option<Box<dyn Sink>>, String> {
        Ok(match target.as_str() {
            "off" => None,
            "stdout" => Some(Box::new(Stdout)),
            "store" => {
                let runtime = Handle::try_current().map_err(|e| format!("audit.target = \"store\": {e}"))?;
                Some(Box::new(StoreSink::new(store.clone(), runtime)))
            }
            path => Some(Box::new(File::new(path.into(), settings.max_size.as_u64(), settings.keep))),
        })
    };
    settings.target.0.iter().filter_map(|target| sink(target).transpose()).collect()
}

#[derive(Debug)]
struct Stdout;

impl Sink for Stdout {
    fn write(&mut self, records: &[Arc<Record>]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(lines(records).as_bytes()).and_then(|()| out.flush())
    }
}

/// The records, a line of JSON each.
pub(super) fn lines(records: &[Arc<Record>]) -> String {
    let mut lines = String::with_capacity(records.len() * 640);
    for record in records {
        lines.push_str(&record.to_json());
        lines.push('\n');
    }
    lines
}
