//! What jobs count, and how much is queued.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::add;
use super::labels::Disconnect;
use crate::disconnect::outcome::Outcome;
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
    queued: Gauge,
    leased: Gauge,
    running: Gauge,
    waiting: Gauge,
    paused: Gauge,
    oldest: Gauge,
    depth: Mutex<QueueDepth>,
}

/// What jobs have counted since the start of this process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobStats {
    /// What is queued, as it was at the last look.
    pub depth: QueueDepth,
    /// Items that got their result here: each outcome or code with its number.
    pub items: BTreeMap<&'static str, u64>,
    /// Items whose lease had passed before this replica took them over.
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
            taken_over: add(r, "jobs_items_taken_over", "Items whose earlier lease had passed", Counter::default()),
            self_paused: add(
                r,
                "jobs_self_paused",
                "Jobs that paused themselves because their first items failed alike",
                Counter::default(),
            ),
            queued: add(r, "jobs_items_queued", "Items of running jobs that wait", Gauge::default()),
            leased: add(
                r,
                "jobs_items_leased",
                "Items that are worked on, or accepted and not yet seen gone",
                Gauge::default(),
            ),
            running: add(r, "jobs_running", "Jobs that run", Gauge::default()),
            waiting: add(r, "jobs_waiting", "Jobs that are held or scheduled", Gauge::default()),
            paused: add(r, "jobs_paused", "Jobs that are paused", Gauge::default()),
            oldest: add(r, "jobs_oldest_seconds", "How long the oldest running job has been running", Gauge::default()),
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

    /// Everything as it is now.
    #[must_use]
    pub fn stats(&self) -> JobStats {
        let count = |outcome| (outcome, self.items.get_or_create(&Disconnect { outcome }).get());
        JobStats {
            depth: *self.depth.lock(),
            items: words().map(count).filter(|(_, number)| *number > 0).collect(),
            taken_over: self.taken_over.get(),
            self_paused: self.self_paused.get(),
        }
    }

    /// Brings the gauges up to date.
    pub(super) fn take(&self) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let depth = *self.depth.lock();
        self.queued.set(gauge(depth.pending));
        self.leased.set(gauge(depth.under_way));
        self.running.set(gauge(depth.running));
        self.waiting.set(gauge(depth.waiting));
        self.paused.set(gauge(depth.paused));
        self.oldest.set(gauge(depth.oldest.as_secs()));
    }
}
