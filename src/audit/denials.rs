//! Limits records of denials to one a second per caller: a caller that is refused in a loop must not push the records of real
//! disconnects out of the files. The next record counts the others in its `suppressed`.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::record::Record;

/// Least time between two records of denials of the same caller.
const INTERVAL: Duration = Duration::from_secs(1);
/// Addresses of strangers that have records of their own within a second; all others share one.
const MAX_STRANGERS: usize = 20;
/// The same for callers with credentials.
const MAX_CALLERS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Denials {
    recent: HashMap<DeniedKey, RecentDenials>,
    suppressed: u64,
}

/// Whose denials are counted together: those of a caller, or of a stranger's address. `None` stands for all beyond the maximum.
type DeniedKey = (DeniedKind, Option<String>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum DeniedKind {
    Caller,
    Stranger,
}

#[derive(Debug)]
struct RecentDenials {
    recorded: Instant,
    /// The latest denial since that record, and how many came between the two.
    held: Option<(Record, u64)>,
}

impl Denials {
    /// Denials that will never have a record of their own.
    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// Returns the record if it may be written now; else holds it.
    pub(super) fn admit(&mut self, mut record: Record) -> Option<Record> {
        let (now, key) = (Instant::now(), self.key_of(&record));
        let Some(recent) = self.recent.get_mut(&key) else {
            self.recent.insert(key, RecentDenials { recorded: now, held: None });
            return Some(record);
        };
        let before = recent.held.take().map_or(0, |(_, before)| before + 1);
        // The one that was held until now will never have a record of its own.
        self.suppressed += u64::from(before > 0);
        if now.duration_since(recent.recorded) >= INTERVAL {
            recent.recorded = now;
            record.suppressed = before;
            return Some(record);
        }
        recent.held = Some((record, before));
        None
    }

    /// Takes the held records whose second is over, or all of them. Forgets callers without a denial for that long.
    pub(super) fn due(&mut self, all: bool) -> Vec<Record> {
        let (now, mut due) = (Instant::now(), Vec::new());
        self.recent.retain(|_, recent| {
            if !all && now.duration_since(recent.recorded) < INTERVAL {
                return true;
            }
            let Some((mut record, before)) = recent.held.take() else { return false };
            record.suppressed = before;
            recent.recorded = now;
            due.push(record);
            true
        });
        due
    }

    fn key_of(&self, record: &Record) -> DeniedKey {
        let (kind, name, max) = match &record.caller {
            Some(caller) => (DeniedKind::Caller, caller.to_string(), MAX_CALLERS),
            None => (
                DeniedKind::Stranger,
                record.caller_address.map(|addr| addr.to_string()).unwrap_or_default(),
                MAX_STRANGERS,
            ),
        };
        let key = (kind, Some(name));
        let known = self.recent.contains_key(&key);
        if known || self.recent.keys().filter(|(other, _)| *other == kind).count() < max { key } else { (kind, None) }
    }
}
