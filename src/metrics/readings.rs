//! What other parts count or hold for themselves, read at each scrape.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::audit::AuditStats;
use crate::callers::CallerStats;
use crate::claims::ClaimStats;
use crate::genesys::UpstreamReading;
use crate::server::{ServeStats, TlsSource};
use crate::store::{QueueDepth, StoreStats};

/// What is read at each scrape.
#[derive(Debug)]
pub struct Readings {
    /// Of the upstream's client.
    pub upstream: UpstreamReading,
    /// Of the audit's writer.
    pub audit: AuditStats,
    /// Of keys and tokens of callers.
    pub callers: CallerStats,
    /// Of the callers' listener.
    pub connections: Arc<ServeStats>,
    /// Of that listener's TLS files, where it has any.
    pub tls: Option<TlsSource>,
    /// Of the store.
    pub store: StoreStats,
    /// Of claims.
    pub claims: ClaimStats,
    /// Of the queue of jobs.
    pub queue: QueueDepth,
    /// Replicas that are alive.
    pub replicas: usize,
    /// Spans that the collector did not take.
    pub spans_lost: u64,
    /// Log lines dropped.
    pub log_dropped: usize,
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut Out(encoder);
        self.upstream(out)?;
        self.queue(out)?;
        self.audit_and_telemetry(out)?;
        self.callers(out)?;
        self.connections(out)?;
        self.store_and_claims(out)
    }
}

impl Readings {
    fn upstream(&self, out: &mut Out<'_>) -> fmt::Result {
        let UpstreamReading { gate, token_ages, token_usable } = &self.upstream;
        let requests = |number: Option<u32>| number.map_or(-1, i64::from);
        out.gauge("pace_allowed", "Requests the upstream allows per window", requests(gate.allowed))?;
        out.gauge("pace_remaining", "Requests that remain in the window", requests(gate.remaining))?;
        out.seconds("pace_reset_seconds", "Time until the window resets", gate.reset.unwrap_or_default())?;
        out.gauge("pace_waiting", "Calls waiting at the gate", gate.waiting)?;
        out.flag("pace_closed", "1 while the gate is closed", gate.closed)?;
        let (age, expires_in) = token_ages.unwrap_or_default();
        out.seconds("token_age_seconds", "Age of the newest token", age)?;
        out.seconds("token_expires_in_seconds", "Time until the newest token expires", expires_in)?;
        out.flag("token_usable", "1 while there is a token to send", *token_usable)
    }

    fn queue(&self, out: &mut Out<'_>) -> fmt::Result {
        let queue = &self.queue;
        out.gauge("jobs_items_queued", "Items of running jobs that wait", queue.pending)?;
        let leased = "Items that are worked on, or accepted and not yet seen gone";
        out.gauge("jobs_items_leased", leased, queue.under_way)?;
        out.gauge("jobs_running", "Jobs that run", queue.running)?;
        out.gauge("jobs_waiting", "Jobs that are held or scheduled", queue.waiting)?;
        out.gauge("jobs_paused", "Jobs that are paused", queue.paused)?;
        let oldest = "How long the oldest running job has been running";
        out.gauge("jobs_oldest_seconds", oldest, queue.oldest.as_secs())
    }

    fn audit_and_telemetry(&self, out: &mut Out<'_>) -> fmt::Result {
        let audit = &self.audit;
        out.counter("audit_failures", "Audit records that could not be written", audit.failures)?;
        out.flag("audit_failing", "1 while audit records are being lost", audit.failing)?;
        out.counter("audit_records", "Audit records written", audit.written)?;
        let suppressed = "Refusals of unknown callers left out of the audit because there were too many in one second";
        out.counter("audit_suppressed", suppressed, audit.suppressed)?;
        let dropped = "Log lines dropped because the writer could not keep up";
        out.gauge("log_lines_dropped", dropped, self.log_dropped)?;
        out.counter("trace_spans_lost", "Spans that the collector of traces did not take", self.spans_lost)
    }

    fn callers(&self, out: &mut Out<'_>) -> fmt::Result {
        let callers = &self.callers;
        out.gauge("keys", "Keys of callers in force", callers.keys)?;
        out.counter("keys_reloads", "Changed key files that were taken over", callers.key_reloads)?;
        out.counter("keys_reload_failures", "Changed key files that could not be used", callers.key_reload_failures)?;
        let fetches = "Fetches of the token issuer's keys that failed";
        out.counter("issuer_failures", fetches, callers.issuer_failures)?;
        out.counter("callers_refused", "Requests whose credentials were missing or wrong", callers.refused)
    }

    fn connections(&self, out: &mut Out<'_>) -> fmt::Result {
        let connections = &self.connections;
        out.gauge("connections", "Connections of callers open now", connections.open())?;
        out.counter("connections_accepted", "Connections of callers that were accepted", connections.accepted())?;
        out.counter("accept_failures", "Accepts of callers' connections that failed", connections.accept_failures())?;
        let cut = "Connections cut because a head came, or an answer was taken, too slowly";
        out.counter("connections_cut", cut, connections.cut())?;
        let evicted = "Idle connections closed because a new one needed their place";
        out.counter("connections_evicted", evicted, connections.evicted())?;
        let refused = "Connections closed at once because their address held too many busy ones";
        out.counter("connections_refused", refused, connections.refused())?;
        out.counter("heads_refused", "Request heads that could not be read", connections.refused_heads())?;
        out.counter("tls_failures", "TLS handshakes of callers that failed", connections.tls_failures())?;
        let (taken_over, unusable) =
            self.tls.as_ref().map_or_else(Default::default, |tls| (tls.reloads(), tls.reload_failures()));
        out.counter("tls_reloads", "Changed TLS files that were taken over", taken_over)?;
        out.counter("tls_reload_failures", "Changed TLS files that could not be used", unusable)
    }

    fn store_and_claims(&self, out: &mut Out<'_>) -> fmt::Result {
        let (store, claims) = (&self.store, &self.claims);
        out.flag("store_up", "1 while the store answers", store.up)?;
        out.counter("store_failures", "Calls to the store that failed", store.failures)?;
        out.counter("store_writes", "Transactions of the store that write", store.writes)?;
        let made = "Selectors and teardowns for which it was decided whom they reach";
        out.counter("claims_made", made, claims.made)?;
        let repeated = "Selectors and teardowns that acted on an earlier decision";
        out.counter("claims_repeated", repeated, claims.repeated)?;
        let refused = "Selectors and teardowns refused because the store was out of reach or replaced";
        out.counter("claims_refused", refused, claims.refused)?;
        out.gauge("claims_held", "Decisions about selectors and teardowns held in memory", claims.held)?;
        out.gauge("replicas", "Replicas of the fleet that are alive, this one included", self.replicas)
    }
}

/// Writes one value each.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.write(name, help, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.write(name, help, &ConstGauge::new(value))
    }

    fn seconds(&mut self, name: &str, help: &str, value: Duration) -> fmt::Result {
        self.gauge(name, help, value.as_secs_f64())
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) -> fmt::Result {
        self.gauge(name, help, i64::from(value))
    }

    fn write(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        // With a full stop, as the registry ends the help of all others.
        let help = format!("{help}.");
        metric.encode(self.0.encode_descriptor(name, &help, None, metric.metric_type())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesys::GateReading;
    use crate::metrics::Metrics;

    #[test]
    fn what_was_read_is_written_like_what_is_registered() {
        let gate = GateReading {
            allowed: None,
            remaining: Some(12),
            reset: Some(Duration::from_millis(1500)),
            waiting: 3,
            closed: true,
        };
        let text = Metrics::new().text(Readings {
            upstream: UpstreamReading { gate, token_ages: None, token_usable: false },
            audit: AuditStats { failures: 4, ..AuditStats::default() },
            callers: CallerStats::default(),
            connections: Arc::default(),
            tls: None,
            store: StoreStats::default(),
            claims: ClaimStats::default(),
            queue: QueueDepth::default(),
            replicas: 2,
            spans_lost: 0,
            log_dropped: 0,
        });
        for lines in [
            "# HELP hangup_pace_allowed Requests the upstream allows per window.\n# TYPE hangup_pace_allowed gauge\nhangup_pace_allowed -1\n",
            "\nhangup_pace_remaining 12\n",
            "\nhangup_pace_reset_seconds 1.5\n",
            "\nhangup_pace_closed 1\n",
            "# TYPE hangup_audit_failures counter\nhangup_audit_failures_total 4\n",
            "\nhangup_replicas 2\n# EOF\n",
            "# HELP hangup_joined Requests that shared the disconnect of another.\n# TYPE hangup_joined counter\n",
        ] {
            assert!(text.contains(lines), "{lines} is not in\n{text}");
        }
        let mut names: Vec<_> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "each name once");
    }
}
