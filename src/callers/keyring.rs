//! The set of keys in force, kept up with its file.
//!
//! The file's content is polled: notification misses the symbolic links that Kubernetes swaps. A file that cannot be
//! read or is wrong leaves the last set in force.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info};

use super::caller::Caller;
use super::digest::Digest;
use super::keys::KeySet;
use crate::config::ConfigError;

/// How often the file is looked at.
const POLL: Duration = Duration::from_secs(2);
/// A changed file counts once it has stayed the same for this long: writers do not always replace files at once.
const SETTLE: Duration = Duration::from_millis(200);
/// A file larger than this is not read.
const MAX_SIZE: u64 = 32 << 20;

#[derive(Debug)]
pub(super) struct KeyRing {
    path: PathBuf,
    set: ArcSwap<KeySet>,
    /// What was last judged, good or bad. Held while judging, so that reloads do not overtake each other.
    judged: Mutex<Digest>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

impl KeyRing {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong.
    pub(super) fn open(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path).map_err(|error| explain(path, &error))?;
        let set = KeySet::parse(&text, &KeySet::default()).map_err(|error| explain(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            set: ArcSwap::from_pointee(set),
            judged: Mutex::new(Digest::of(text.as_bytes())),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<Caller> {
        self.set.load().get(Digest::of(key.as_bytes())).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.set.load().len()
    }

    pub(super) fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Reads the file now, changed or not.
    pub(super) async fn reload(&self) -> Result<(), ConfigError> {
        let content = self.content().await;
        self.judge(&content)
    }

    /// Looks at the file for ever.
    pub(super) async fn watch(&self) {
        loop {
            tokio::time::sleep(POLL).await;
            let mut content = self.content().await;
            if self.is_judged(&content) {
                continue;
            }
            loop {
                tokio::time::sleep(SETTLE).await;
                let later = self.content().await;
                if later == content {
                    break;
                }
                content = later;
            }
            if !self.is_judged(&content) {
                // Already logged, and the last set is kept.
                drop(self.judge(&content));
            }
        }
    }

    /// The file's text, or why it cannot be had.
    async fn content(&self) -> Result<String, String> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || read(&path)).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn is_judged(&self, content: &Result<String, String>) -> bool {
        *self.judged.lock().unwrap_or_else(PoisonError::into_inner) == fingerprint(content)
    }

    /// Takes the content over, or keeps the last set and says why.
    fn judge(&self, content: &Result<String, String>) -> Result<(), ConfigError> {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        *judged = fingerprint(content);
        let set = content.as_ref().map_err(String::clone).and_then(|text| KeySet::parse(text, &self.set.load()));
        match set {
            Ok(set) => {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                info!(auth.keys = set.len(), auth.keys_file = %self.path.display(), "keys file taken over");
                self.set.store(set.into());
                Ok(())
            }
            Err(problem) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                error!(auth.keys_file = %self.path.display(), auth.keys = self.len(), %problem, "keys file cannot be used; the last keys stay in force");
                Err(explain(&self.path, &problem))
            }
        }
    }
}

fn fingerprint(content: &Result<String, String>) -> Digest {
    match content {
        Ok(text) => Digest::of(text.as_bytes()),
        Err(problem) => Digest::of(format!("unreadable: {problem}").as_bytes()),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read ({error}); check the path and its permissions");
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_SIZE {
        return Err("is larger than 32 MiB; is it a keys file?".to_owned());
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn explain(path: &Path, problem: &str) -> ConfigError {
    ConfigError(format!("auth.keys_file {}: {problem}", path.display()))
}
