//! The claims that this process knows, in bounded memory.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::key::ClaimKey;
use super::target::Target;

/// Most claims of one caller that a process holds: about what an org's rate limit admits in an hour.
pub const MOST_CLAIMS: usize = 20_000;
/// Most bytes of the claims of one caller.
pub const MOST_BYTES: usize = 8 << 20;
/// Most bytes of the claims of all callers.
pub const MOST_BYTES_OF_ALL: usize = 64 << 20;

/// A claim in memory, and when it ends.
#[derive(Debug, Clone)]
pub(super) struct HeldClaim {
    pub(super) targets: Arc<Vec<Target>>,
    pub(super) body: String,
    pub(super) until: Instant,
}

/// There is no room for another claim of this caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    /// Until the next claim ends that may make room: of this caller, or of any caller at the bound of all.
    pub(super) wait: Duration,
}

type ClaimDigest = [u8; 32];
type Cell = Arc<OnceCell<HeldClaim>>;

#[derive(Debug, Default)]
pub(super) struct HeldClaims {
    state: Mutex<Decisions>,
}

#[derive(Debug, Default)]
struct Decisions {
    entries: HashMap<ClaimDigest, ClaimEntry>,
    /// When each claim ends, the next one first.
    ends: BinaryHeap<Reverse<(Instant, ClaimDigest)>>,
    callers: HashMap<Arc<str>, Usage>,
    bytes: usize,
}

#[derive(Debug)]
struct ClaimEntry {
    cell: Cell,
    /// Requests that hold this place.
    users: usize,
    caller: Arc<str>,
    /// Its memory, once it is decided.
    bytes: usize,
}

#[derive(Debug, Default)]
struct Usage {
    claims: usize,
    bytes: usize,
    /// When each of its claims ends, the next one first.
    ends: BinaryHeap<Reverse<Instant>>,
}

/// Bytes that an entry takes in the maps and the heap, besides its targets.
const OVERHEAD: usize = 344;

impl HeldClaims {
    /// The place of this key. Requests with the same key share it, and wait there for one of them to decide.
    pub(super) fn place(&self, key: &ClaimKey) -> Result<DecisionPlace<'_>, Full> {
        let now = Instant::now();
        let digest = key.digest();
        let mut state = self.state.lock();
        state.forget_ended(now);
        if let Some(entry) = state.entries.get_mut(&digest) {
            entry.users += 1;
            return Ok(DecisionPlace { claims: self, digest, cell: Arc::clone(&entry.cell) });
        }
        state.check_room(key.caller(), now)?;
        let cell = Cell::default();
        state.callers.entry(Arc::clone(key.caller())).or_default().claims += 1;
        let entry = ClaimEntry { cell: Arc::clone(&cell), users: 1, caller: Arc::clone(key.caller()), bytes: 0 };
        state.entries.insert(digest, entry);
        Ok(DecisionPlace { claims: self, digest, cell })
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().entries.len()
    }
}

impl Decisions {
    fn check_room(&self, caller: &Arc<str>, now: Instant) -> Result<(), Full> {
        let usage = self.callers.get(caller);
        let full = usage.filter(|usage| usage.claims >= MOST_CLAIMS || usage.bytes >= MOST_BYTES);
        let next = match full {
            Some(usage) => usage.ends.peek().map(|Reverse(until)| *until),
            None if self.bytes >= MOST_BYTES_OF_ALL => self.ends.peek().map(|Reverse((until, _))| *until),
            None => return Ok(()),
        };
        let wait = next.map(|until| until.saturating_duration_since(now)).unwrap_or_default();
        Err(Full { wait: wait.max(Duration::from_secs(1)) })
    }

    fn forget_ended(&mut self, now: Instant) {
        while let Some(Reverse((until, digest))) = self.ends.peek().copied()
            && until <= now
        {
            self.ends.pop();
            self.remove(&digest);
        }
    }

    fn remove(&mut self, digest: &ClaimDigest) {
        let Some(entry) = self.entries.remove(digest) else { return };
        self.bytes -= entry.bytes;
        if let Some(usage) = self.callers.get_mut(&entry.caller) {
            usage.claims -= 1;
            usage.bytes -= entry.bytes;
            if entry.bytes > 0 {
                // A decided claim is removed when it ends, so its end is the next one.
                usage.ends.pop();
            }
            if usage.claims == 0 {
                self.callers.remove(&entry.caller);
            }
        }
    }
}

/// Where requests with the same key wait while one of them decides.
#[derive(Debug)]
pub(super) struct DecisionPlace<'a> {
    claims: &'a HeldClaims,
    digest: ClaimDigest,
    cell: Cell,
}

impl DecisionPlace<'_> {
    pub(super) fn cell(&self) -> &OnceCell<HeldClaim> {
        &self.cell
    }

    /// Counts the claim's memory, and notes when it ends. May be called again, without effect.
    pub(super) fn keep(&self, decided: &HeldClaim) {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_one = |target: &Target| size_of::<Target>() + text(&target.name) + text(&target.purpose);
        let bytes = OVERHEAD + decided.targets.iter().map(of_one).sum::<usize>();
        let mut guard = self.claims.state.lock();
        let state = &mut *guard;
        let Some(entry) = state.entries.get_mut(&self.digest).filter(|entry| Arc::ptr_eq(&entry.cell, &self.cell))
        else {
            return;
        };
        if entry.bytes == 0 {
            entry.bytes = bytes;
            state.bytes += bytes;
            if let Some(usage) = state.callers.get_mut(&entry.caller) {
                usage.bytes += bytes;
                usage.ends.push(Reverse(decided.until));
            }
            state.ends.push(Reverse((decided.until, self.digest)));
        }
    }
}

impl Drop for DecisionPlace<'_> {
    /// Removes an entry that was not decided, unless another request holds it. They are counted under the lock: of two that give up
    /// at the same moment, one is the last.
    fn drop(&mut self) {
        let mut state = self.claims.state.lock();
        let Some(entry) = state.entries.get_mut(&self.digest).filter(|entry| Arc::ptr_eq(&entry.cell, &self.cell))
        else {
            return;
        };
        entry.users -= 1;
        if entry.users == 0 && entry.bytes == 0 {
            state.remove(&self.digest);
        }
    }
}
