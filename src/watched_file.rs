//! Settings that live in files of their own and are taken over when those change, without a restart.
//!
//! Content is polled: notification misses the symbolic links that Kubernetes swaps. What cannot be read or is wrong
//! leaves the last good value in force, and is logged once per change.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tracing::{error, info};

use crate::config::ConfigError;
use crate::digest::Digest;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(2);
/// Changed files count once they have stayed the same for this long: writers do not always replace files at once.
const SETTLE: Duration = Duration::from_millis(200);

/// The content of one or more files, or what is wrong and what to do.
pub(crate) type Content = Result<Vec<Vec<u8>>, String>;

/// Files, and what is made of them. Errors name the configuration key, the path and the remedy.
pub(crate) trait FileSource: Send + Sync + 'static {
    type Value: Send + Sync;

    /// What this is, for logs.
    const NAME: &'static str;

    /// Reads the files; blocking.
    fn read(&self) -> Content;

    /// Makes a value of the content. `previous` is the one in force, if there is one.
    fn make(&self, content: &[Vec<u8>], previous: Option<&Self::Value>) -> Result<Self::Value, String>;
    /// A change could not be used, for this reason; the value in force stays.
    fn rejected(&self, _problem: &str) {}
}

/// A value that follows its files.
#[derive(Debug)]
pub(crate) struct WatchedFile<S: FileSource> {
    source: Arc<S>,
    value: ArcSwap<S::Value>,
    /// What was last judged, good or bad. Held while judging, so that reloads do not overtake each other.
    judged: Mutex<Digest>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

impl<S: FileSource> WatchedFile<S> {
    /// Reads the files for the first time.
    pub(crate) fn open(source: S) -> Result<Self, ConfigError> {
        let (content, print) = look(&source);
        let judged = Mutex::new(print);
        let value = content.and_then(|content| source.make(&content, None)).map_err(ConfigError)?;
        Ok(Self {
            source: Arc::new(source),
            value: ArcSwap::from_pointee(value),
            judged,
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// Where the value comes from.
    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// The value in force.
    pub(crate) fn get(&self) -> arc_swap::Guard<Arc<S::Value>> {
        self.value.load()
    }

    /// Times a change was taken over.
    pub(crate) fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// Times a change could not be used.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Reads the files now, changed or not.
    pub(crate) async fn reload(&self) -> Result<(), ConfigError> {
        let (content, print) = self.look().await;
        self.judge(&content, print)
    }

    /// Looks at the files for ever.
    pub(crate) async fn watch(&self) {
        loop {
            tokio::time::sleep(POLL).await;
            let (_, mut print) = self.look().await;
            while !self.is_judged(print) {
                tokio::time::sleep(SETTLE).await;
                let (content, later) = self.look().await;
                if later == print {
                    // A failure is logged there, and the last value is kept.
                    drop(self.judge(&content, print));
                }
                print = later;
            }
        }
    }

    async fn look(&self) -> (Content, Digest) {
        let source = Arc::clone(&self.source);
        let failed = |error: tokio::task::JoinError| {
            let content = Err(error.to_string());
            let print = fingerprint(&content);
            (content, print)
        };
        tokio::task::spawn_blocking(move || look(&*source)).await.unwrap_or_else(failed)
    }

    fn is_judged(&self, print: Digest) -> bool {
        *self.judged.lock() == print
    }

    /// Takes the content over, or keeps the last value and says why.
    fn judge(&self, content: &Content, print: Digest) -> Result<(), ConfigError> {
        let mut judged = self.judged.lock();
        *judged = print;
        let made = match content {
            Ok(content) => self.source.make(content, Some(&self.value.load())),
            Err(problem) => Err(problem.clone()),
        };
        match made {
            Ok(value) => {
                self.value.store(Arc::new(value));
                self.reloads.fetch_add(1, Ordering::Relaxed);
                info!("{} have changed and are taken over", S::NAME);
                Ok(())
            }
            Err(problem) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.source.rejected(&problem);
                error!(%problem, "{} have changed and cannot be used; the last good ones stay in force", S::NAME);
                Err(ConfigError(problem))
            }
        }
    }
}

/// Reads, and takes the fingerprint: a large file takes some milliseconds of a processor.
fn look(source: &impl FileSource) -> (Content, Digest) {
    let content = source.read();
    let print = fingerprint(&content);
    (content, print)
}

fn fingerprint(content: &Content) -> Digest {
    let mut bytes = Vec::new();
    match content {
        Ok(files) => files.iter().for_each(|file| {
            bytes.extend_from_slice(&file.len().to_be_bytes());
            bytes.extend_from_slice(file);
        }),
        Err(problem) => bytes.extend_from_slice(problem.as_bytes()),
    }
    Digest::of(&bytes)
}
