//! The issuer's keys: fetched by one task, kept when the issuer is down, fetched again for an unknown key id.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::super::refusal::Refusal;
use super::fetch::Fetch;

/// How long after a successful fetch keys are fetched again.
const REFRESH: Duration = Duration::from_secs(600);
/// The same after a failure, and the least time between two fetches for unknown key ids.
pub(super) const RETRY: Duration = Duration::from_secs(30);
/// The same after a failure while there are no keys at all.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// Longest wait of a request for keys that are being fetched.
const PATIENCE: Duration = Duration::from_secs(5);
/// Keys of a set, and keys tried for one token, at most.
const MOST: usize = 64;
const MOST_TRIED: usize = 4;

pub(super) struct Issuer {
    fetch: Fetch,
    keys: ArcSwapOption<Keys>,
    progress: watch::Sender<FetchProgress>,
    wanted: Notify,
    failing: AtomicBool,
    failures: AtomicU64,
}

#[derive(Debug)]
struct Keys {
    generation: u64,
    published: Value,
    keys: Vec<IssuerKey>,
}

struct IssuerKey {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    key: Arc<DecodingKey>,
}

/// The state of fetching.
#[derive(Debug, Clone, Copy, Default)]
struct FetchProgress {
    running: bool,
    finished: u64,
    started: Option<Instant>,
    next: Option<Instant>,
}

impl Issuer {
    pub(super) fn new(fetch: Fetch) -> Self {
        Self {
            fetch,
            keys: ArcSwapOption::empty(),
            progress: watch::Sender::default(),
            wanted: Notify::new(),
            failing: AtomicBool::new(false),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Which set of keys is in force; changes only when the set does.
    pub(super) fn generation(&self) -> u64 {
        self.keys.load().as_ref().map_or(0, |keys| keys.generation)
    }

    /// The keys that may have signed a token with this key id and algorithm; at least one.
    pub(super) async fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<Arc<DecodingKey>>, Refusal> {
        let found = self.look(id, algorithm);
        if !found.is_empty() {
            return Ok(found);
        }
        self.refreshed().await;
        let found = self.look(id, algorithm);
        if !found.is_empty() {
            return Ok(found);
        }
        if self.keys.load().is_some() {
            return Err(Refusal::TokenSignature);
        }
        let next = self.progress.borrow().next;
        Err(Refusal::IssuerUnavailable(next.map_or(FIRST_RETRY, |at| at.saturating_duration_since(Instant::now()))))
    }

    fn look(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<Arc<DecodingKey>> {
        let keys = self.keys.load();
        let fitting = keys.iter().flat_map(|keys| &keys.keys).filter(|key| {
            (id.is_none() || key.id.as_deref() == id)
                && key.algorithm.is_none_or(|only| only == algorithm)
                && key.key.family() == algorithm.family()
        });
        fitting.take(MOST_TRIED).map(|key| Arc::clone(&key.key)).collect()
    }

    /// Waits for the fetch under way, or asks for one if the last one began long enough ago.
    async fn refreshed(&self) {
        let mut progress = self.progress.subscribe();
        let before = *progress.borrow_and_update();
        if !before.running {
            if before.started.is_some_and(|at| at.elapsed() < RETRY) {
                return;
            }
            self.wanted.notify_one();
        }
        // Whether keys came in time is seen when they are looked up again.
        drop(timeout(PATIENCE, progress.wait_for(|now| now.finished != before.finished)).await);
    }

    /// Fetches the keys again and again; never returns.
    pub(super) async fn watch(&self) {
        loop {
            let started = Instant::now();
            self.progress.send_modify(|progress| {
                progress.running = true;
                progress.started = Some(started);
            });
            let fetched = (self.fetch)().await.and_then(|published| self.replace(published));
            let pause = match fetched {
                Ok(()) => {
                    self.report_recovery();
                    REFRESH
                }
                Err(problem) => {
                    self.report(&problem);
                    if self.keys.load().is_some() { RETRY } else { FIRST_RETRY }
                }
            };
            let next = Instant::now() + pause;
            self.progress.send_modify(|progress| {
                progress.running = false;
                progress.finished += 1;
                progress.next = Some(next);
            });
            let wanted = async {
                loop {
                    self.wanted.notified().await;
                    // A request for keys that came before this fetch must not cause another one.
                    if started.elapsed() >= RETRY {
                        return;
                    }
                }
            };
            drop(tokio::time::timeout_at(next, wanted).await);
        }
    }

    /// Puts a fetched set of keys in force, if it is another one.
    fn replace(&self, published: Value) -> Result<(), String> {
        let before = self.keys.load();
        if before.as_ref().is_some_and(|keys| keys.published == published) {
            return Ok(());
        }
        let keys = usable(&published)?;
        info!(auth.jwt.keys = keys.len(), "new keys of the token issuer are in force");
        let generation = before.as_ref().map_or(1, |keys| keys.generation + 1);
        self.keys.store(Some(Arc::new(Keys { generation, published, keys })));
        Ok(())
    }

    /// Counts a failure, and logs the first of an episode.
    fn report(&self, problem: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if !self.failing.swap(true, Ordering::Relaxed) {
            let kept = self.keys.load().as_ref().map_or(0, |keys| keys.keys.len());
            warn!(%problem, auth.jwt.keys = kept, "keys of the token issuer cannot be fetched; the last ones stay in force");
        }
    }

    fn report_recovery(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            info!("keys of the token issuer can be fetched again");
        }
    }
}

/// The signing keys of a published set that we can use. Unreadable ones are left out, and the others are used.
fn usable(published: &Value) -> Result<Vec<IssuerKey>, String> {
    let list = published.get("keys").and_then(Value::as_array).ok_or("the key set has no list \"keys\"")?;
    let keys: Vec<IssuerKey> = list.iter().take(MOST).filter_map(key).collect();
    if keys.is_empty() { Err("the key set has no public key for signatures".to_owned()) } else { Ok(keys) }
}

fn key(published: &Value) -> Option<IssuerKey> {
    let jwk: Jwk = serde_json::from_value(published.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|to| *to != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = match &jwk.common.key_algorithm {
        Some(named) => Some(named.to_string().parse().ok()?),
        None => None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
    Some(IssuerKey { id: jwk.common.key_id, algorithm, key: Arc::new(key) })
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Issuer").field("keys", &self.keys).finish_non_exhaustive()
    }
}
