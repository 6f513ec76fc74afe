//! What jobs count, and how much is queued.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::add;
use super::labels::Disconnect;
use crate::outcome::Outcome;
use crate::problem::Code;
use crate::store::QueueDepth;

/// Outcomes that only items have.
const OF_ITEMS: [&str; 5] = ["skipped", "cancelled", "unconfirmed", "none_matched", "failed"];

/// The metrics of jobs. The queue is the store's, so that each replica shows the same; what is counted is this process's own.
#[derive(Debug)]
pub struct JobMetrics {
    items: Family<Disconnect, Counter>,
    taken_over: Counter,
    self_paused: Counter,
    depth: Mutex<QueueDepth>,
}

/// What jobs have counted since the start of this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobStats {
    /// What is queued, as it was at the last look.
    pub depth: QueueDepth,
    /// Items that got their result here: each outcome or code with its number.
    pub items: BTreeMap<&'static str, u64>,
    /// Items whose lease had expired before this replica took them over.
    pub taken_over: u64,
    /// Jobs that paused themselves.
    pub self_paused: u64,
}

/// Every word that an item can end with.
fn words() -> impl Iterator<Item = &'static str> {
    let known = Outcome::ALL.iter().map(|outcome| outcome.name()).chain(Code::ALL.iter().map(|code| code.name()));
    known.chain(OF_ITEMS)
}

impl JobMetrics {
    pub(super) fn register(r: &mut Registry) -> Self {
        let metrics = Self {
            items: add(
                r,
                "jobs_items",
                "Items of jobs that got their result, by outcome or error code",
                Family::default(),
            ),
            taken_over: add(r, "jobs_items_taken_over", "Items whose earlier lease had expired", Counter::default()),
            self_paused: add(
                r,
                "jobs_self_paused",
                "Jobs that paused themselves because their first items failed alike",
                Counter::default(),
            ),
            depth: Mutex::default(),
        };
        // As with disconnects: the first of a kind is an increase.
        for outcome in words() {
            metrics.items.get_or_create(&Disconnect { outcome }).inc_by(0);
        }
        metrics
    }

    /// Items got this result: an outcome or a code.
    pub fn items_ended(&self, word: &str, number: u64) {
        let outcome = words().find(|known| *known == word).unwrap_or("failed");
        self.items.get_or_create(&Disconnect { outcome }).inc_by(number);
    }

    /// An item was taken over.
    pub fn taken_over(&self) {
        self.taken_over.inc();
    }

    /// A job paused itself.
    pub fn self_paused(&self) {
        self.self_paused.inc();
    }

    /// What is queued now.
    pub fn set_depth(&self, depth: QueueDepth) {
        *self.depth.lock() = depth;
    }

    /// What was queued at the last look.
    pub(crate) fn depth(&self) -> QueueDepth {
        *self.depth.lock()
    }

    /// Everything as it is now.
    #[must_use]
    pub fn stats(&self) -> JobStats {
        let count = |outcome| (outcome, self.items.get_or_create(&Disconnect { outcome }).get());
        JobStats {
            depth: self.depth(),
            items: words().map(count).filter(|(_, number)| *number > 0).collect(),
            taken_over: self.taken_over.get(),
            self_paused: self.self_paused.get(),
        }
    }
}
