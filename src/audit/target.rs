//! The sinks that `audit.target` names.

use std::io::{self, Write as _};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::file::File;
use super::record::Record;
use super::sink::{Sink, lines};
use super::store::StoreSink;
use crate::config;
use crate::store::Store;

/// Makes these sinks; "off" is none.
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
