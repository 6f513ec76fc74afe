//! The file that logs go to, which can be reopened after a log rotation has moved it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

/// What the writer's thread writes to.
#[derive(Debug)]
pub(super) struct LogFile {
    file: File,
    reopen: Reopen,
}

/// Reopens the file; the writer's thread uses it from its next write on.
#[derive(Debug, Clone)]
pub(super) struct Reopen {
    path: PathBuf,
    fresh: Arc<Mutex<Option<File>>>,
}

impl LogFile {
    pub(super) fn open(path: &str) -> Result<Self, String> {
        let file = open(Path::new(path))?;
        Ok(Self { file, reopen: Reopen { path: path.into(), fresh: Arc::default() } })
    }

    pub(super) fn reopen_handle(&self) -> Reopen {
        self.reopen.clone()
    }
}

impl Reopen {
    pub(super) fn reopen(&self) -> Result<(), String> {
        *self.fresh.lock() = Some(open(&self.path)?);
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(fresh) = self.reopen.fresh.lock().take() {
            self.file = fresh;
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open(path: &Path) -> Result<File, String> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|e| {
        format!(
            "telemetry.log_target = \"{}\": cannot be opened ({e}); name a file that can be written, or \"stdout\"",
            path.display()
        )
    })
}
