//! How many requests of one caller may be under way: half of all, so that one caller cannot keep the others out.

use std::sync::Arc;

use foldhash::HashMap;
use parking_lot::Mutex;

/// The places that each caller holds.
type HeldShares = Arc<Mutex<HashMap<Arc<str>, usize>>>;

/// The places that callers hold. Bounded by those places.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// `None` where callers cannot be distinguished.
    most: Option<usize>,
    held: HeldShares,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    caller: Arc<str>,
    held: HeldShares,
}

impl Shares {
    /// Each caller may hold `most` places.
    pub(super) fn new(most: Option<usize>) -> Self {
        Self { most, held: Arc::default() }
    }

    /// A place for this caller; `None` when it has its share.
    pub(super) fn take(&self, caller: &Arc<str>) -> Option<Share> {
        let mut held = self.held.lock();
        let places = held.entry(Arc::clone(caller)).or_default();
        if self.most.is_some_and(|most| *places >= most) {
            return None;
        }
        *places += 1;
        Some(Share { caller: Arc::clone(caller), held: Arc::clone(&self.held) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        if let Some(places) = held.get_mut(&self.caller) {
            *places -= 1;
            if *places == 0 {
                held.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_holds_its_share_at_most_and_gives_places_back() {
        let (shares, ivr, crm) = (Shares::new(Some(2)), Arc::<str>::from("key:ivr"), Arc::<str>::from("key:crm"));
        let first = shares.take(&ivr).unwrap();
        let second = shares.take(&ivr).unwrap();
        assert!(shares.take(&ivr).is_none() && shares.take(&crm).is_some());
        drop(first);
        assert!(shares.take(&ivr).is_some());
        drop(second);
        assert!(shares.held.lock().is_empty());
    }

    #[test]
    fn where_callers_cannot_be_distinguished_there_is_no_share() {
        let (shares, anonymous) = (Shares::default(), Arc::<str>::from("anonymous"));
        let held: Vec<_> = (0..100).map(|_| shares.take(&anonymous)).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
