//! A claim fixes which participants a request may reach. It is committed to the store before the first of them is
//! disconnected.
//!
//! Every repeat of the request, on any replica and after any crash, acts on that set alone, so that a repeated
//! `{"purpose": "agent"}` never reaches the next agent. If replicas decide at the same time, the first to write wins. A
//! process also holds the claims that it knows in memory, timed by its monotonic clock: a jump of the system clock
//! cannot end them early, and repeats need not ask the store.
//!
//! What is held in memory is bounded: [`MOST_CLAIMS`] and [`MOST_BYTES`] for each caller, [`MOST_BYTES_OF_ALL`] for
//! all. Unexpired claims are never evicted; at the bound, new ones are refused.

mod held;
mod key;
mod target;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::ParticipantId;
use crate::problem::{Code, Problem};
use crate::store::{NewClaim, Store, StoreError, StoredClaim};
use held::{Full, HeldClaim, HeldClaims};
pub use held::{MOST_BYTES, MOST_BYTES_OF_ALL, MOST_CLAIMS};
pub use key::ClaimKey;
pub use target::Target;

/// Longest `Retry-After` while claims are refused because the store was replaced.
const RETRY_AFTER_REPLACED: Duration = Duration::from_secs(60);

/// Which participants a request may reach.
#[derive(Debug, Clone)]
pub struct Claim {
    /// These participants.
    pub targets: Arc<Vec<Target>>,
    /// Whether this request made the claim, so that nothing can have been sent under it before.
    pub first: bool,
}

impl Claim {
    /// A claim that is stored elsewhere, with a job's item. `first` says that nothing can have been sent under it
    /// before.
    #[must_use]
    pub fn stored_elsewhere(participants: &[ParticipantId], first: bool) -> Self {
        let target = |id: &ParticipantId| Target { id: *id, name: None, purpose: None };
        Self { targets: Arc::new(participants.iter().map(target).collect()), first }
    }

    /// Whether this participant may be reached.
    #[must_use]
    pub fn reaches(&self, id: ParticipantId) -> bool {
        self.targets.iter().any(|claimed| claimed.id == id)
    }
}

/// All claims. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Claims(Arc<ClaimsInner>);

#[derive(Debug)]
struct ClaimsInner {
    store: Store,
    held: HeldClaims,
    counts: ClaimCounts,
}

#[derive(Debug, Default)]
struct ClaimCounts {
    made: AtomicU64,
    repeated: AtomicU64,
    refused: AtomicU64,
}

/// What is counted, for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClaimStats {
    /// Claims made here.
    pub made: u64,
    /// Requests that acted on a claim made before.
    pub repeated: u64,
    /// Requests refused because the store did not answer, or had been replaced.
    pub refused: u64,
    /// Claims held in memory.
    pub held: usize,
}

/// Why there is no claim.
enum NoClaim {
    /// There is nothing to claim.
    Nothing,
    Problem(Problem),
}

impl Claims {
    /// Claims kept in this store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self(Arc::new(ClaimsInner { store, held: HeldClaims::default(), counts: ClaimCounts::default() }))
    }

    /// The targets of this request: those of the claim under its key, or what `resolve` gives, once that is stored. If it gives
    /// `None`, nothing is stored, and a repeat resolves anew. No targets at all are a decision, too: a teardown that met no one
    /// lets its repeat reach no one.
    ///
    /// # Errors
    /// What `resolve` fails with; `store_unavailable`; `idempotency_key_reused`; `caller_rate_limited` at the caller's
    /// bound. With any of them, no participant was disconnected.
    pub async fn targets(
        &self,
        key: &ClaimKey,
        resolve: impl Future<Output = Result<Option<Vec<Target>>, Problem>>,
    ) -> Result<Claim, Problem> {
        let held = &self.0.held;
        let place = held.place(key).map_err(too_many)?;
        let first = AtomicBool::new(false);
        let decided = place.cell().get_or_try_init(|| self.decide(key, resolve, &first)).await.cloned();
        let decided = match decided {
            Ok(decided) => decided,
            Err(NoClaim::Nothing) => return Ok(Claim { targets: Arc::default(), first: true }),
            Err(NoClaim::Problem(problem)) => return Err(problem),
        };
        place.keep(&decided);
        if decided.body != key.body() {
            let detail = "this Idempotency-Key was sent with another body or for another conversation within the last hour; \
                          nobody was disconnected. Use a new key for each request, and the same only to repeat one";
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
        let first = first.load(Ordering::Relaxed);
        if !first {
            self.0.counts.repeated.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Claim { targets: decided.targets, first })
    }

    /// Looks for a claim, and makes one where there is none.
    async fn decide(
        &self,
        key: &ClaimKey,
        resolve: impl Future<Output = Result<Option<Vec<Target>>, Problem>>,
        first: &AtomicBool,
    ) -> Result<HeldClaim, NoClaim> {
        let id = key.id();
        let (store, begun) = (&self.0.store, Instant::now());
        let problem = |error| NoClaim::Problem(self.refuse(&error));
        if let Some(found) = store.find_claim(&id, key.refused_after_replacement()).await.map_err(problem)? {
            return held_of(&found, begun);
        }
        let targets = resolve.await.map_err(NoClaim::Problem)?.ok_or(NoClaim::Nothing)?;
        let text = serde_json::to_string(&targets).unwrap_or_default();
        let token = uuid::Uuid::new_v4().to_string();
        let conversation = key.conversation().to_string();
        let new = NewClaim {
            key: &id,
            caller: key.caller(),
            operation: key.operation(),
            conversation: &conversation,
            body: key.body(),
            targets: &text,
            token: &token,
            life: key.life(),
            refused_for: key.refused_after_replacement(),
        };
        // The store counts its life from a later moment than this one. So it never lives longer in memory than there.
        let asked = Instant::now();
        // A commit that timed out may have happened. It is not repeated here: nothing has been sent, and a repeat of
        // the request will find the claim.
        let stored = store.claim(&new).await.map_err(problem)?;
        if stored.token == token {
            first.store(true, Ordering::Relaxed);
            self.0.counts.made.fetch_add(1, Ordering::Relaxed);
        }
        held_of(&stored, asked)
    }

    /// Counts and explains a request that is refused because of the store.
    fn refuse(&self, error: &StoreError) -> Problem {
        self.0.counts.refused.fetch_add(1, Ordering::Relaxed);
        unavailable(error)
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> ClaimStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.0.counts;
        ClaimStats {
            made: count(&counts.made),
            repeated: count(&counts.repeated),
            refused: count(&counts.refused),
            held: self.0.held.len(),
        }
    }
}

fn held_of(stored: &StoredClaim, since: Instant) -> Result<HeldClaim, NoClaim> {
    let targets = serde_json::from_str(&stored.targets).map_err(|_| {
        // Better to disconnect no participant than the wrong one.
        NoClaim::Problem(Problem::new(Code::Internal, "a stored claim cannot be read; nobody was disconnected"))
    })?;
    Ok(HeldClaim { targets: Arc::new(targets), body: stored.body.clone(), until: since + stored.left })
}

/// The answer to callers when the store cannot be used.
pub(crate) fn unavailable(error: &StoreError) -> Problem {
    if let StoreError::Replaced { for_ms } = error {
        let left = Duration::from_millis(u64::try_from(*for_ms).unwrap_or(0));
        let detail = format!(
            "the store was replaced by one without the earlier claims, so a repeat could reach another person; selectors and \
             teardowns are refused for another {} s, and nobody was disconnected. Disconnects that name their participant work",
            left.as_secs() + 1
        );
        return Problem::new(Code::StoreUnavailable, detail).cause(error).retry_after(left.min(RETRY_AFTER_REPLACED));
    }
    let detail = "the store cannot be reached, so a repeat could reach other people than this request; nobody was disconnected. Repeat the \
                  request, or name the participant: that works without the store";
    Problem::new(Code::StoreUnavailable, detail).cause(error)
}

fn too_many(full: Full) -> Problem {
    let detail = "this caller has reached the number of selectors and teardowns that hangup remembers for one caller; repeat after \
                  Retry-After, and use one Idempotency-Key per request only";
    Problem::new(Code::CallerRateLimited, detail).retry_after(full.wait)
}
