//! The keys in force, read from a keys file that is watched for changes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing::info;

use super::caller::Caller;
use super::key_status::KeyStatus;
use super::keys::KeySet;
use crate::config::ConfigError;
use crate::digest::Digest;
use crate::files::read;
use crate::watched_file::{Content, FileSource, WatchedFile};

const KEY: &str = "auth.keys_file";

/// Called with `changed` and the names of the keys that changed, or with `rejected` and what is wrong with a changed file.
type ReportChanges = dyn Fn(&'static str, &str) + Send + Sync;

pub(super) struct KeysFile {
    path: PathBuf,
    report: OnceLock<Box<ReportChanges>>,
}

impl fmt::Debug for KeysFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("KeysFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl FileSource for KeysFile {
    type Value = KeySet;

    const NAME: &'static str = "the caller keys";

    fn read(&self) -> Content {
        Ok(vec![read(KEY, &self.path)?])
    }

    fn make(&self, content: &[Vec<u8>], previous: Option<&KeySet>) -> Result<KeySet, String> {
        let explain = |problem: String| format!("{KEY} {}: {problem}", self.path.display());
        let text = std::str::from_utf8(content.first().map(Vec::as_slice).unwrap_or_default())
            .map_err(|error| explain(format!("is not UTF-8 text ({error}); check that it is the right file")))?;
        let keys = KeySet::parse(text, previous.unwrap_or(&KeySet::default())).map_err(explain)?;
        if let Some(changes) = previous.and_then(|previous| keys.changes_since(previous)) {
            info!(event = "keys_changed", %changes, "caller keys changed");
            self.tell("changed", &changes);
        }
        Ok(keys)
    }

    fn rejected(&self, problem: &str) {
        self.tell("rejected", problem);
    }
}

impl KeysFile {
    fn tell(&self, outcome: &'static str, text: &str) {
        if let Some(report) = self.report.get() {
            report(outcome, text);
        }
    }
}

/// The keys in force.
#[derive(Debug)]
pub(super) struct KeyRing(pub(super) WatchedFile<KeysFile>);

impl KeyRing {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be read, or has a mistake.
    pub(super) fn open(path: &Path) -> Result<Self, ConfigError> {
        WatchedFile::open(KeysFile { path: path.to_owned(), report: OnceLock::new() }).map(Self)
    }

    /// The caller of this key. Notes that the key was used.
    pub(super) fn find(&self, key: &str) -> Option<Caller> {
        let keys = self.0.get();
        let found = keys.get(Digest::of(key.as_bytes()))?;
        found.used();
        Some(found.caller.clone())
    }

    /// Calls `report` on later changes. Only the first `report` counts.
    pub(super) fn set_report(&self, report: impl Fn(&'static str, &str) + Send + Sync + 'static) {
        let _ = self.0.source().report.set(Box::new(report));
    }

    /// The caller of the key with this name, as the file has it now.
    pub(super) fn named(&self, name: &str) -> Option<Caller> {
        self.0.get().named(name).cloned()
    }

    /// What operators see of each key, sorted by name.
    pub(super) fn status(&self) -> Vec<KeyStatus> {
        self.0.get().by_name().into_values().filter_map(|keys| KeyStatus::of(&keys)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.get().len()
    }
}
