//! Metrics in Prometheus text form. The registry is the app's own; nothing here is process-wide.
//!
//! Labels are route templates, outcomes, codes and key names: never ids, never secrets.

mod few;
mod labels;
mod scraped;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::disconnect::outcome::Outcome;
use crate::genesys::Client;
use crate::genesys::request::Operation;
use crate::genesys::token::login::LoginFailure;
use crate::genesys::trace::ATTEMPT_RESULTS;
use crate::problem::Code;
use few::Few;
use labels::{
    AttemptLabels, CallerLabels, Mission, OperationLabels, Reason, RequestLabels, ResultLabel, RouteLabels, Version,
};
pub use scraped::Readings;
use scraped::Scraped;

/// A gauge of seconds.
type Seconds = Gauge<f64, AtomicU64>;
type Durations<L> = Few<L, Histogram, fn() -> Histogram>;

/// The `result` label of a login that gave a token. The others are [`LoginFailure::KINDS`].
pub(crate) const GRANTED: &str = "granted";

/// All metrics of one app.
pub struct Metrics {
    registry: Registry,
    requests: Few<RequestLabels, Counter>,
    request_duration: Durations<RouteLabels>,
    caller_requests: Family<CallerLabels, Counter>,
    missions: Few<Mission, Counter>,
    attempts: Few<AttemptLabels, Counter>,
    attempt_duration: Durations<OperationLabels>,
    retries: Family<Reason, Counter>,
    budget_exhausted: Counter,
    renewals: Family<ResultLabel, Counter>,
    login_failing: Family<Reason, Gauge>,
    joined: Counter,
    shed: Counter,
    unconfirmed: Counter,
    in_flight: Gauge,
    observing: Gauge,
    pace_allowed: Gauge,
    pace_remaining: Gauge,
    pace_reset: Seconds,
    pace_waiting: Gauge,
    pace_closed: Gauge,
    token_age: Seconds,
    token_expires_in: Seconds,
    token_usable: Gauge,
    scraped: Scraped,
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

fn histograms<L: Clone + std::hash::Hash + Eq>() -> Family<L, Histogram> {
    Family::new_with_constructor(duration_buckets)
}

fn count(counter: &Counter) {
    counter.inc();
}

/// Registers a metric and hands it back.
fn add<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// Registers all metrics under `hangup_`.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("hangup");
        let r = &mut registry;
        let build: Family<Version, Gauge> = add(r, "build_info", "Version of this binary", Family::default());
        build.get_or_create(&Version { version: env!("CARGO_PKG_VERSION") }).set(1);
        let metrics = Self {
            requests: Few::of(add(r, "requests", "Requests answered, by route template and status", Family::default())),
            request_duration: Few::of(add(
                r,
                "request_duration_seconds",
                "Time from head to answer, by route template",
                histograms(),
            )),
            caller_requests: add(r, "caller_requests", "Requests by caller", Family::default()),
            missions: Few::of(add(r, "missions", "Disconnect missions by outcome or error code", Family::default())),
            attempts: Few::of(add(
                r,
                "upstream_attempts",
                "Requests sent upstream, by operation and result",
                Family::default(),
            )),
            attempt_duration: Few::of(add(
                r,
                "upstream_attempt_duration_seconds",
                "Time of one upstream attempt",
                histograms(),
            )),
            retries: add(r, "retries", "Repeated upstream attempts by reason", Family::default()),
            budget_exhausted: add(r, "retry_budget_exhausted", "Retries that the budget forbade", Counter::default()),
            renewals: add(r, "token_renewals", "Logins by result", Family::default()),
            login_failing: add(
                r,
                "login_failing",
                "1 while the latest login failed for this reason",
                Family::default(),
            ),
            joined: add(r, "joined", "Requests that shared the mission of another", Counter::default()),
            shed: add(r, "shed", "Requests refused as overloaded", Counter::default()),
            unconfirmed: add(
                r,
                "unconfirmed",
                "Accepted disconnects after which the participant was still there",
                Counter::default(),
            ),
            in_flight: add(r, "in_flight", "Missions and lookups under way", Gauge::default()),
            observing: add(r, "observe_mode", "1 while nothing is written upstream", Gauge::default()),
            pace_allowed: add(r, "pace_allowed", "Requests the upstream allows per window", Gauge::default()),
            pace_remaining: add(r, "pace_remaining", "Requests that remain in the window", Gauge::default()),
            pace_reset: add(r, "pace_reset_seconds", "Time until the window resets", Seconds::default()),
            pace_waiting: add(r, "pace_waiting", "Calls waiting at the gate", Gauge::default()),
            pace_closed: add(r, "pace_closed", "1 while the gate is closed", Gauge::default()),
            token_age: add(r, "token_age_seconds", "Age of the newest token", Seconds::default()),
            token_expires_in: add(
                r,
                "token_expires_in_seconds",
                "Time until the newest token expires",
                Seconds::default(),
            ),
            token_usable: add(r, "token_usable", "1 while there is a token to send", Gauge::default()),
            scraped: Scraped::new(r),
            registry,
        };
        metrics.begin_at_zero();
        metrics
    }

    /// A counter that first appears at 1 shows no increase to a scraper: the first failure of a kind would raise no alert.
    fn begin_at_zero(&self) {
        for outcome in Outcome::ALL.iter().map(|o| o.name()).chain(Code::ALL.iter().map(|c| c.name())) {
            self.missions.begin(&Mission { outcome });
        }
        for operation in Operation::ALL.iter().map(|o| o.name()) {
            for result in ATTEMPT_RESULTS {
                self.attempts.begin(&AttemptLabels { operation, result });
            }
        }
        self.renewals.get_or_create(&ResultLabel { result: GRANTED }).inc_by(0);
        for reason in LoginFailure::KINDS {
            self.renewals.get_or_create(&ResultLabel { result: reason }).inc_by(0);
            self.login_failing.get_or_create(&Reason { reason }).set(0);
        }
    }

    /// A request was answered.
    pub fn request(&self, route: &'static str, status: u16, duration: Duration) {
        self.requests.with(&RequestLabels { route, status }, count);
        self.request_duration.with(&RouteLabels { route }, |durations| durations.observe(duration.as_secs_f64()));
    }

    /// A request of a known caller came in.
    pub fn caller_request(&self, caller: &str) {
        self.caller_requests.get_or_create(&CallerLabels { caller: caller.to_owned() }).inc();
    }

    /// A mission ended with this outcome or error code.
    pub fn mission(&self, outcome: &'static str) {
        self.missions.with(&Mission { outcome }, count);
    }

    pub(crate) fn upstream_attempt(&self, operation: Operation, result: &'static str, duration: Duration) {
        let operation = operation.name();
        self.attempts.with(&AttemptLabels { operation, result }, count);
        self.attempt_duration
            .with(&OperationLabels { operation }, |durations| durations.observe(duration.as_secs_f64()));
    }

    pub(crate) fn retry(&self, reason: &'static str) {
        self.retries.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn retry_budget_exhausted(&self) {
        self.budget_exhausted.inc();
    }

    /// A login ended: [`GRANTED`], or the kind of its failure.
    pub(crate) fn token_renewal(&self, result: &'static str) {
        self.renewals.get_or_create(&ResultLabel { result }).inc();
        for reason in LoginFailure::KINDS {
            self.login_failing.get_or_create(&Reason { reason }).set((reason == result).into());
        }
    }

    /// A request shared the mission of another.
    pub fn join(&self) {
        self.joined.inc();
    }

    /// A request was refused as `overloaded`.
    pub fn shed(&self) {
        self.shed.inc();
    }

    /// A participant was still there when somebody looked after an accepted disconnect.
    pub fn unconfirmed(&self) {
        self.unconfirmed.inc();
    }

    /// Whether nothing is written upstream now.
    pub fn set_observing(&self, observing: bool) {
        self.observing.set(observing.into());
    }

    /// Counts something under way until the guard is dropped.
    #[must_use]
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// The text for a scraper, with the state of the client and of those who count for themselves as it is now.
    #[must_use]
    pub fn text(&self, client: &Client, readings: &Readings<'_>) -> String {
        self.scraped.take(readings);
        let gate = client.gate().reading();
        self.pace_allowed.set(gate.allowed.map_or(-1, i64::from));
        self.pace_remaining.set(gate.remaining.map_or(-1, i64::from));
        self.pace_reset.set(gate.reset.unwrap_or_default().as_secs_f64());
        self.pace_waiting.set(i64::try_from(gate.waiting).unwrap_or(i64::MAX));
        self.pace_closed.set(gate.closed.into());
        let (age, expires_in) = client.tokens().ages().unwrap_or_default();
        self.token_age.set(age.as_secs_f64());
        self.token_expires_in.set(expires_in.as_secs_f64());
        self.token_usable.set(client.tokens().current().is_some().into());
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// See [`Metrics::in_flight`].
#[derive(Debug)]
pub struct InFlight(Gauge<i64, AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(metrics: &Metrics) -> String {
        let mut text = String::new();
        encode(&mut text, &metrics.registry).unwrap();
        text
    }

    #[test]
    fn what_has_not_happened_yet_is_there_as_zero() {
        let text = text(&Metrics::new());
        for line in [
            "hangup_missions_total{outcome=\"upstream_forbidden\"} 0",
            "hangup_upstream_attempts_total{operation=\"participant_state\",result=\"429\"} 0",
            "hangup_token_renewals_total{result=\"rejected\"} 0",
            "hangup_login_failing{reason=\"rejected\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn only_the_latest_login_says_why_it_fails() {
        let metrics = Metrics::new();
        let failing = |reason: &str| text(&metrics).contains(&format!("hangup_login_failing{{reason=\"{reason}\"}} 1"));
        metrics.token_renewal("unavailable");
        assert!(failing("unavailable"));
        metrics.token_renewal("rejected");
        assert!(failing("rejected") && !failing("unavailable"));
        metrics.token_renewal(GRANTED);
        assert!(!failing("rejected") && !failing("unavailable"));
    }
}
