//! Denials cost a caller one record a second at most, however many there are: a caller that is refused in a loop must not
//! push the records of real disconnects out of the files. The others are counted in a record's `suppressed`.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::record::Record;

/// Least time between two records of denials of the same caller.
const BETWEEN: Duration = Duration::from_secs(1);
/// Addresses of strangers that have records of their own within a second; all others share one.
const STRANGERS: usize = 20;
/// The same for callers with credentials.
const CALLERS: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Denials {
    recent: HashMap<Denied, RecentDenials>,
    suppressed: u64,
}

/// Whose denials are counted together: a caller's, or an unknown one's by its address. `None` is everyone for whom there is
/// no room.
type Denied = (DeniedKind, Option<String>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum DeniedKind {
    Caller,
    Stranger,
}

#[derive(Debug)]
struct RecentDenials {
    recorded: Instant,
    /// The latest one without a record, and how many came before it.
    held: Option<(Record, u64)>,
}

impl Denials {
    /// How many have no record of their own so far.
    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// The record if it may be written now; else it is held, and counted.
    pub(super) fn admit(&mut self, mut record: Record) -> Option<Record> {
        let (now, denied) = (Instant::now(), self.place_of(&record));
        let Some(recent) = self.recent.get_mut(&denied) else {
            self.recent.insert(denied, RecentDenials { recorded: now, held: None });
            return Some(record);
        };
        let before = recent.held.take().map_or(0, |(_, before)| before + 1);
        if now.duration_since(recent.recorded) >= BETWEEN {
            recent.recorded = now;
            record.suppressed = before;
            return Some(record);
        }
        // The one that was held until now will never have a record.
        self.suppressed += u64::from(before > 0);
        recent.held = Some((record, before));
        None
    }

    /// Held records whose second is over, or all of them. Forgets callers that have been quiet for that long.
    pub(super) fn due(&mut self, all: bool) -> Vec<Record> {
        let (now, mut due) = (Instant::now(), Vec::new());
        self.recent.retain(|_, recent| {
            if !all && now.duration_since(recent.recorded) < BETWEEN {
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

    fn place_of(&self, record: &Record) -> Denied {
        let (kind, name, most) = match &record.caller {
            Some(caller) => (DeniedKind::Caller, caller.to_string(), CALLERS),
            None => (
                DeniedKind::Stranger,
                record.caller_address.map(|addr| addr.to_string()).unwrap_or_default(),
                STRANGERS,
            ),
        };
        let denied = (kind, Some(name));
        let known = self.recent.contains_key(&denied);
        if known || self.recent.keys().filter(|(other, _)| *other == kind).count() < most {
            denied
        } else {
            (kind, None)
        }
    }
}
