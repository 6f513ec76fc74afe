//! The latest requests one by one, and totals of all.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::clock::{self, Clock};

/// Most requests that are kept one by one; older ones are only in the totals.
const KEPT: usize = 10_000;

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `POST /oauth/token`.
    Login,
    /// `POST …/participants/{id}/disconnect`, the unpublished way.
    Post,
    /// `PATCH …/participants/{id}`, the published way, and the PATCH of one communication.
    Patch,
    /// A read of one conversation.
    Read,
    /// A read of the list of conversations.
    List,
    /// The end of a whole conversation, or of one medium in it.
    Teardown,
    /// The queries of analytics.
    Analytics,
    /// The names of queues and users.
    Names,
    /// Anything else.
    Other,
}

/// One request. Never holds a token or a body.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Wall time of arrival.
    pub at: String,
    /// Time of arrival since the sandbox started, in milliseconds.
    pub at_ms: u64,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Its kind.
    pub kind: Kind,
    /// Status of the answer; 0 if there was none.
    pub status: u16,
    /// Time until the answer, in milliseconds.
    pub took_ms: u64,
    /// Id of the token that it carried.
    pub token: Option<String>,
    /// Why the token was refused: `missing`, `unknown`, `expired`, `idled_out`, `revoked`.
    pub refused: Option<&'static str>,
    /// Id of the fault rule that was applied.
    pub fault: Option<u64>,
    /// What happened to a participant or conversation: `scheduled`, `done` or `ignored`.
    pub effect: Option<&'static str>,
    /// Number of the connection; `None` in-process.
    pub connection: Option<u64>,
    /// Whether that connection had served a request before.
    pub reused: bool,
    /// The `ININ-Correlation-Id` of the answer.
    pub correlation_id: String,
}

/// Totals since the start, or since the journal was last cleared.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Requests by kind.
    pub by_kind: BTreeMap<Kind, u64>,
    /// Answers by status; 0 counts requests that got none.
    pub by_status: BTreeMap<u16, u64>,
    /// Answers by kind and status.
    pub by_kind_and_status: BTreeMap<Kind, BTreeMap<u16, u64>>,
    /// Refused requests by reason: `missing`, `unknown`, `expired`, `idled_out`, `revoked`.
    pub refused: BTreeMap<&'static str, u64>,
    /// Requests that a fault rule was applied to.
    pub faults: u64,
    /// Disconnects and teardowns that took effect.
    pub effects: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Requests under way now.
    pub in_flight: u64,
    /// Most requests under way at once.
    pub max_in_flight: u64,
}

impl Counts {
    /// Requests of one kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// Answers with one status; 0 for requests that got none.
    #[must_use]
    pub fn status(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }

    /// Answers to one kind of request with one status.
    #[must_use]
    pub fn of_with_status(&self, kind: Kind, status: u16) -> u64 {
        self.by_kind_and_status.get(&kind).and_then(|m| m.get(&status)).copied().unwrap_or(0)
    }

    /// Logins, including refused ones.
    #[must_use]
    pub fn logins(&self) -> u64 {
        self.of(Kind::Login)
    }

    /// Disconnects by POST or PATCH, including refused ones.
    #[must_use]
    pub fn disconnects(&self) -> u64 {
        self.of(Kind::Post) + self.of(Kind::Patch)
    }

    /// Reads of one conversation.
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.of(Kind::Read)
    }
}

#[derive(Debug)]
pub(crate) struct Journal {
    clock: Clock,
    inner: Mutex<JournalInner>,
}

#[derive(Debug, Default)]
struct JournalInner {
    entries: VecDeque<Entry>,
    counts: Counts,
}

impl Journal {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, inner: Mutex::default() }
    }

    /// Begins the record of a request that has arrived. It is written when it is dropped.
    pub(crate) fn open(
        self: &Arc<Self>,
        method: &str,
        path: &str,
        kind: Kind,
        correlation_id: String,
    ) -> JournalRecord {
        let mut inner = self.inner.lock();
        inner.counts.in_flight += 1;
        inner.counts.max_in_flight = inner.counts.max_in_flight.max(inner.counts.in_flight);
        drop(inner);
        let now = Instant::now();
        let entry = Entry {
            at: clock::text(self.clock.wall(now)),
            at_ms: millis(self.clock.elapsed()),
            method: method.to_owned(),
            path: path.to_owned(),
            kind,
            status: 0,
            took_ms: 0,
            token: None,
            refused: None,
            fault: None,
            effect: None,
            connection: None,
            reused: false,
            correlation_id,
        };
        JournalRecord { journal: self.clone(), began: now, entry: Some(entry) }
    }

    pub(crate) fn connected(&self) {
        self.inner.lock().counts.connections += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        self.inner.lock().counts.clone()
    }

    /// The latest entries for which `wanted` is true, at most `limit`, oldest first.
    pub(crate) fn entries(&self, limit: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let inner = self.inner.lock();
        let mut latest: Vec<Entry> = inner.entries.iter().rev().filter(|e| wanted(e)).take(limit).cloned().collect();
        latest.reverse();
        latest
    }

    /// Clears entries and totals, except for the count of requests under way.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.lock();
        let in_flight = inner.counts.in_flight;
        inner.entries.clear();
        inner.counts = Counts { in_flight, max_in_flight: in_flight, ..Counts::default() };
    }

    fn write(&self, entry: Entry) {
        let mut inner = self.inner.lock();
        let counts = &mut inner.counts;
        counts.in_flight = counts.in_flight.saturating_sub(1);
        counts.requests += 1;
        *counts.by_kind.entry(entry.kind).or_default() += 1;
        *counts.by_status.entry(entry.status).or_default() += 1;
        *counts.by_kind_and_status.entry(entry.kind).or_default().entry(entry.status).or_default() += 1;
        if let Some(reason) = entry.refused {
            *counts.refused.entry(reason).or_default() += 1;
        }
        counts.faults += u64::from(entry.fault.is_some());
        counts.effects += u64::from(matches!(entry.effect, Some("scheduled" | "done")));
        if inner.entries.len() >= KEPT {
            inner.entries.pop_front();
        }
        inner.entries.push_back(entry);
    }
}

/// A request under way. If it is dropped without a status (the caller left, or a fault cut it off), it is written with
/// status 0.
#[derive(Debug)]
pub(crate) struct JournalRecord {
    journal: Arc<Journal>,
    began: Instant,
    entry: Option<Entry>,
}

impl JournalRecord {
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = &mut self.entry {
            change(entry);
        }
    }
}

impl Drop for JournalRecord {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.took_ms = millis(self.began.elapsed());
            self.journal.write(entry);
        }
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
