//! Metrics of parts that count for themselves: copied at each scrape.

use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register::add;
use crate::audit::AuditStats;
use crate::callers::CallerStats;
use crate::claims::ClaimStats;
use crate::server::ServeStats;
use crate::store::StoreStats;

/// What is read at each scrape.
#[derive(Debug, Clone, Copy, Default)]
pub struct Readings<'a> {
    /// Of the audit's writer.
    pub audit: AuditStats,
    /// Of keys and tokens of callers.
    pub callers: CallerStats,
    /// Of the callers' listener.
    pub connections: Option<&'a ServeStats>,
    /// Of the store.
    pub store: StoreStats,
    /// Of claims.
    pub claims: ClaimStats,
    /// Replicas that are alive.
    pub replicas: usize,
    /// Spans that the collector did not take.
    pub spans_lost: u64,
    /// Log lines dropped.
    pub log_dropped: usize,
}

#[derive(Debug)]
pub(super) struct Scraped {
    audit_failures: Counter,
    audit_failing: Gauge,
    audit_records: Counter,
    audit_suppressed: Counter,
    log_dropped: Gauge,
    keys: Gauge,
    keys_reloads: Counter,
    keys_reload_failures: Counter,
    issuer_failures: Counter,
    callers_refused: Counter,
    connections: Gauge,
    connections_accepted: Counter,
    accept_failures: Counter,
    connections_cut: Counter,
    connections_evicted: Counter,
    connections_refused: Counter,
    heads_refused: Counter,
    tls_failures: Counter,
    spans_lost: Counter,
    store_up: Gauge,
    store_failures: Counter,
    store_writes: Counter,
    claims_made: Counter,
    claims_repeated: Counter,
    claims_refused: Counter,
    claims_held: Gauge,
    replicas: Gauge,
}

impl Scraped {
    pub(super) fn new(r: &mut Registry) -> Self {
        let mut counter = |name: &str, help: &str| add(r, name, help, Counter::default());
        let audit_failures = counter("audit_failures", "Audit records that could not be written");
        let audit_records = counter("audit_records", "Audit records written");
        let audit_suppressed = counter(
            "audit_suppressed",
            "Refusals of unknown callers left out of the audit because there were too many in one second",
        );
        let keys_reloads = counter("keys_reloads", "Changed key files that were taken over");
        let keys_reload_failures = counter("keys_reload_failures", "Changed key files that could not be used");
        let issuer_failures = counter("issuer_failures", "Fetches of the token issuer's keys that failed");
        let callers_refused = counter("callers_refused", "Requests whose credentials were missing or wrong");
        let connections_accepted = counter("connections_accepted", "Connections of callers that were accepted");
        let accept_failures = counter("accept_failures", "Accepts of callers' connections that failed");
        let connections_cut =
            counter("connections_cut", "Connections cut because a head came, or an answer was taken, too slowly");
        let connections_evicted =
            counter("connections_evicted", "Idle connections closed because a new one needed their place");
        let connections_refused =
            counter("connections_refused", "Connections closed at once because their address held too many busy ones");
        let heads_refused = counter("heads_refused", "Request heads that could not be read");
        let tls_failures = counter("tls_failures", "TLS handshakes of callers that failed");
        let spans_lost = counter("trace_spans_lost", "Spans that the collector of traces did not take");
        let store_failures = counter("store_failures", "Calls to the store that failed");
        let store_writes = counter("store_writes", "Transactions of the store that write");
        let claims_made = counter("claims_made", "Selectors and teardowns for which it was decided whom they reach");
        let claims_repeated = counter("claims_repeated", "Selectors and teardowns that acted on an earlier decision");
        let claims_refused =
            counter("claims_refused", "Selectors and teardowns refused because the store was out of reach or replaced");
        let mut gauge = |name: &str, help: &str| add(r, name, help, Gauge::default());
        Self {
            audit_failures,
            audit_failing: gauge("audit_failing", "1 while audit records are being lost"),
            audit_records,
            audit_suppressed,
            log_dropped: gauge("log_lines_dropped", "Log lines dropped because the writer could not keep up"),
            keys: gauge("keys", "Keys of callers in force"),
            keys_reloads,
            keys_reload_failures,
            issuer_failures,
            callers_refused,
            connections: gauge("connections", "Connections of callers open now"),
            connections_accepted,
            accept_failures,
            connections_cut,
            connections_evicted,
            connections_refused,
            heads_refused,
            tls_failures,
            spans_lost,
            store_up: gauge("store_up", "1 while the store answers"),
            store_failures,
            store_writes,
            claims_made,
            claims_repeated,
            claims_refused,
            claims_held: gauge("claims_held", "Decisions about selectors and teardowns held in memory"),
            replicas: gauge("replicas", "Replicas of the fleet that are alive, this one included"),
        }
    }

    pub(super) fn take(&self, readings: &Readings<'_>) {
        let set = |counter: &Counter, value: u64| counter.inner().store(value, Ordering::Relaxed);
        let gauge = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        let (audit, callers) = (readings.audit, readings.callers);
        set(&self.audit_failures, audit.failures);
        set(&self.audit_records, audit.written);
        set(&self.audit_suppressed, audit.suppressed);
        self.audit_failing.set(audit.failing.into());
        set(&self.spans_lost, readings.spans_lost);
        self.log_dropped.set(gauge(readings.log_dropped));
        self.keys.set(gauge(callers.keys));
        set(&self.keys_reloads, callers.key_reloads);
        set(&self.keys_reload_failures, callers.key_reload_failures);
        set(&self.issuer_failures, callers.issuer_failures);
        set(&self.callers_refused, callers.refused);
        self.store_up.set(readings.store.up.into());
        set(&self.store_failures, readings.store.failures);
        set(&self.store_writes, readings.store.writes);
        let claims = readings.claims;
        set(&self.claims_made, claims.made);
        set(&self.claims_repeated, claims.repeated);
        set(&self.claims_refused, claims.refused);
        self.claims_held.set(gauge(claims.held));
        self.replicas.set(gauge(readings.replicas));
        let Some(connections) = readings.connections else { return };
        self.connections.set(gauge(connections.open()));
        set(&self.connections_accepted, connections.accepted());
        set(&self.accept_failures, connections.accept_failures());
        set(&self.connections_cut, connections.cut());
        set(&self.connections_evicted, connections.evicted());
        set(&self.connections_refused, connections.refused());
        set(&self.heads_refused, connections.refused_heads());
        set(&self.tls_failures, connections.tls_failures());
    }
}
