//! Tokens that were verified before: to accept one again costs a digest, no signature check.

use std::collections::HashMap;
use std::time::SystemTime;

use parking_lot::Mutex;

use super::super::caller::Caller;
use crate::digest::Digest;

/// Most tokens that are remembered; when there are more, all are forgotten.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct SeenTokens(Mutex<Verified>);

/// Callers by the digest of their token, verified with one generation of the issuer's keys.
#[derive(Debug, Default)]
struct Verified {
    generation: u64,
    callers: HashMap<Digest, Caller>,
}

impl SeenTokens {
    /// The caller of this token, unless it has expired or was verified with other keys.
    pub(super) fn get(&self, token: &str, generation: u64) -> Option<Caller> {
        let digest = Digest::of(token.as_bytes());
        let seen = self.0.lock();
        let caller = seen.callers.get(&digest).filter(|_| seen.generation == generation)?;
        caller.expires().is_some_and(|at| at > SystemTime::now()).then(|| caller.clone())
    }

    pub(super) fn put(&self, token: &str, generation: u64, caller: Caller) {
        let digest = Digest::of(token.as_bytes());
        let mut seen = self.0.lock();
        if seen.generation != generation || seen.callers.len() >= MOST {
            seen.callers.clear();
            seen.generation = generation;
        }
        seen.callers.insert(digest, caller);
    }
}
