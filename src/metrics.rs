//! Metrics in Prometheus text form. The registry is the app's own; nothing here is process-wide.
//!
//! Labels are route templates, outcomes, codes and key names: never ids, never secrets.

mod jobs;
mod labels;
mod readings;
mod register;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::genesys::metrics::UpstreamMetrics;
use crate::outcome::Outcome;
use crate::problem::Code;
pub use jobs::{JobMetrics, JobStats};
use labels::{CallerLabels, Disconnect, RequestLabels, RouteLabels, Version};
pub use readings::Readings;
use register::add;

/// What all names begin with.
const PREFIX: &str = "hangup";

/// All metrics of one app.
pub struct Metrics {
    registry: Registry,
    upstream: Arc<UpstreamMetrics>,
    jobs: Arc<JobMetrics>,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<RouteLabels, Histogram, fn() -> Histogram>,
    caller_requests: Family<CallerLabels, Counter>,
    disconnects: Family<Disconnect, Counter>,
    joined: Counter,
    shed: Counter,
    unconfirmed: Counter,
    in_flight: Gauge,
    observing: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// From 1 ms to 60 s: below is noise, above is past any deadline.
fn duration_buckets() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers all metrics under `hangup_`.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let r = &mut registry;
        let build: Family<Version, Gauge> = add(r, "build_info", "Version of this binary", Family::default());
        build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
        let metrics = Self {
            upstream: Arc::new(UpstreamMetrics::register(r, duration_buckets)),
            jobs: Arc::new(JobMetrics::register(r)),
            requests: add(r, "requests", "Requests answered, by route template and status", Family::default()),
            request_duration: add(
                r,
                "request_duration_seconds",
                "Time from head to answer, by route template",
                Family::new_with_constructor(duration_buckets as fn() -> Histogram),
            ),
            caller_requests: add(r, "caller_requests", "Requests by caller", Family::default()),
            disconnects: add(r, "disconnects", "Disconnects by outcome or error code", Family::default()),
            joined: add(r, "joined", "Requests that shared the disconnect of another", Counter::default()),
            shed: add(r, "shed", "Requests refused as overloaded", Counter::default()),
            unconfirmed: add(
                r,
                "unconfirmed",
                "Accepted disconnects after which the participant was still there",
                Counter::default(),
            ),
            in_flight: add(r, "in_flight", "Disconnects and lookups under way", Gauge::default()),
            observing: add(r, "observe_mode", "1 while nothing is written upstream", Gauge::default()),
            registry,
        };
        metrics.begin_at_zero();
        metrics
    }

    /// A counter that first appears at 1 shows no increase to a scraper: the first failure of a kind would raise no alert.
    fn begin_at_zero(&self) {
        for outcome in Outcome::ALL.iter().map(|o| o.name()).chain(Code::ALL.iter().map(|c| c.name())) {
            self.disconnects.get_or_create(&Disconnect { outcome }).inc_by(0);
        }
    }

    /// Those of the upstream's client.
    #[must_use]
    pub fn upstream(&self) -> &Arc<UpstreamMetrics> {
        &self.upstream
    }

    /// Those of jobs.
    #[must_use]
    pub fn jobs(&self) -> &Arc<JobMetrics> {
        &self.jobs
    }

    /// A request was answered.
    pub fn request(&self, route: &'static str, status: u16, duration: Duration) {
        self.requests.get_or_create(&RequestLabels { route, status }).inc();
        self.request_duration.get_or_create(&RouteLabels { route }).observe(duration.as_secs_f64());
    }

    /// A request of a known caller came in.
    pub fn caller_request(&self, caller: &str) {
        self.caller_requests.get_or_create(&CallerLabels { caller: caller.to_owned() }).inc();
    }

    /// A disconnect ended with this outcome or error code.
    pub fn disconnect(&self, outcome: &'static str) {
        self.disconnects.get_or_create(&Disconnect { outcome }).inc();
    }

    /// A request shared the disconnect of another.
    pub fn join(&self) {
        self.joined.inc();
    }

    /// A request was refused as `overloaded`.
    pub fn shed(&self) {
        self.shed.inc();
    }

    /// A participant was still there when we looked after an accepted disconnect.
    pub fn unconfirmed(&self) {
        self.unconfirmed.inc();
    }

    /// Whether nothing is written upstream now.
    pub fn set_observing(&self, observing: bool) {
        self.observing.set(observing.into());
    }

    /// Counts something under way until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> InFlightGuard {
        self.in_flight.inc();
        InFlightGuard(self.in_flight.clone())
    }

    /// The text for a scraper, with what was read of other parts just now.
    #[must_use]
    pub fn text(&self, readings: Readings) -> String {
        let mut read = Registry::with_prefix(PREFIX);
        read.register_collector(Box::new(readings));
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &read))
            .and_then(|()| encode_eof(&mut text));
        text
    }
}

/// See [`Metrics::in_flight`].
#[derive(Debug)]
pub struct InFlightGuard(Gauge<i64, AtomicI64>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_happened_yet_is_there_as_zero() {
        let mut text = String::new();
        encode_registry(&mut text, &Metrics::new().registry).unwrap();
        for line in [
            "hangup_disconnects_total{outcome=\"upstream_forbidden\"} 0",
            "hangup_upstream_attempts_total{operation=\"participant_state\",result=\"429\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
