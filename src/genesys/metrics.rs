//! What the client counts: attempts, retries, logins.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::request::Operation;
use super::token::LoginFailure;

/// The `result` label of a login that gave a token. The others are [`LoginFailure::KINDS`].
pub(crate) const GRANTED: &str = "granted";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    operation: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabel {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// All values of the `result` label of attempts.
pub(crate) const ATTEMPT_RESULTS: [&str; 13] = [
    "2xx",
    "3xx",
    "4xx",
    "401",
    "403",
    "404",
    "409",
    "429",
    "5xx",
    "connect",
    "connection_lost",
    "broken_answer",
    "cut_off",
];

/// The handles of what each attempt of one operation counts.
#[derive(Debug)]
struct Attempts {
    /// In the order of [`ATTEMPT_RESULTS`].
    results: Vec<Counter>,
    duration: Histogram,
}

/// The metrics of one client.
#[derive(Debug)]
pub struct UpstreamMetrics {
    /// In the order of [`Operation::ALL`].
    attempts: Vec<Attempts>,
    retries: Family<ReasonLabel, Counter>,
    budget_exhausted: Counter,
    renewals: Family<ResultLabel, Counter>,
    login_failing: Family<ReasonLabel, Gauge>,
}

impl UpstreamMetrics {
    /// Registers them. All begin at zero: a counter that first appears at 1 shows no increase to a scraper, so that the first
    /// failure of a kind would raise no alert. `buckets` makes the histograms of durations.
    #[must_use]
    pub fn register(registry: &mut Registry, buckets: fn() -> Histogram) -> Self {
        let attempts = Family::<AttemptLabels, Counter>::default();
        registry.register("upstream_attempts", "Requests sent upstream, by operation and result", attempts.clone());
        let durations = Family::<OperationLabel, Histogram, fn() -> Histogram>::new_with_constructor(buckets);
        registry.register("upstream_attempt_duration_seconds", "Time of one upstream attempt", durations.clone());
        let of = |operation: Operation| {
            let operation = operation.name();
            let counter = |&result: &_| attempts.get_or_create_owned(&AttemptLabels { operation, result });
            Attempts {
                results: ATTEMPT_RESULTS.iter().map(counter).collect(),
                duration: durations.get_or_create_owned(&OperationLabel { operation }),
            }
        };
        let retries = Family::default();
        registry.register("retries", "Repeated upstream attempts by reason", retries.clone());
        let budget_exhausted = Counter::default();
        registry.register("retry_budget_exhausted", "Retries that the budget forbade", budget_exhausted.clone());
        let renewals = Family::<ResultLabel, Counter>::default();
        registry.register("token_renewals", "Logins by result", renewals.clone());
        let login_failing = Family::<ReasonLabel, Gauge>::default();
        registry.register("login_failing", "1 while the latest login failed for this reason", login_failing.clone());
        renewals.get_or_create(&ResultLabel { result: GRANTED }).inc_by(0);
        for reason in LoginFailure::KINDS {
            renewals.get_or_create(&ResultLabel { result: reason }).inc_by(0);
            login_failing.get_or_create(&ReasonLabel { reason }).set(0);
        }
        Self {
            attempts: Operation::ALL.into_iter().map(of).collect(),
            retries,
            budget_exhausted,
            renewals,
            login_failing,
        }
    }

    /// An attempt ended; `result` is one of [`ATTEMPT_RESULTS`].
    pub(super) fn attempt(&self, operation: Operation, result: &'static str, duration: Duration) {
        let place = Operation::ALL.iter().position(|known| *known == operation);
        let Some(attempts) = place.and_then(|place| self.attempts.get(place)) else { return };
        attempts.duration.observe(duration.as_secs_f64());
        let place = ATTEMPT_RESULTS.iter().position(|known| *known == result);
        if let Some(counter) = place.and_then(|place| attempts.results.get(place)) {
            counter.inc();
        }
    }

    pub(super) fn retry(&self, reason: &'static str) {
        self.retries.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(super) fn retry_budget_exhausted(&self) {
        self.budget_exhausted.inc();
    }

    /// A login ended: [`GRANTED`], or the kind of its failure.
    pub(super) fn token_renewal(&self, result: &'static str) {
        self.renewals.get_or_create(&ResultLabel { result }).inc();
        for reason in LoginFailure::KINDS {
            self.login_failing.get_or_create(&ReasonLabel { reason }).set((reason == result).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> (UpstreamMetrics, Registry) {
        let mut registry = Registry::default();
        let metrics = UpstreamMetrics::register(&mut registry, || Histogram::new([1.0]));
        (metrics, registry)
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn what_has_not_happened_yet_is_there_as_zero() {
        let text = text(&metrics().1);
        for line in [
            "upstream_attempts_total{operation=\"participant_state\",result=\"429\"} 0",
            "token_renewals_total{result=\"rejected\"} 0",
            "login_failing{reason=\"rejected\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn each_attempt_counts_for_its_operation_and_result() {
        let (metrics, registry) = metrics();
        for operation in Operation::ALL {
            for result in ATTEMPT_RESULTS {
                metrics.attempt(operation, result, Duration::from_millis(1));
            }
        }
        let text = text(&registry);
        let counted = text.lines().filter(|l| l.starts_with("upstream_attempts_total{") && l.ends_with(" 1")).count();
        assert_eq!(counted, Operation::ALL.len() * ATTEMPT_RESULTS.len(), "{text}");
    }

    #[test]
    fn only_the_latest_login_says_why_it_fails() {
        let (metrics, registry) = metrics();
        let failing = |reason: &str| text(&registry).contains(&format!("login_failing{{reason=\"{reason}\"}} 1"));
        metrics.token_renewal("unavailable");
        assert!(failing("unavailable"));
        metrics.token_renewal("rejected");
        assert!(failing("rejected") && !failing("unavailable"));
        metrics.token_renewal(GRANTED);
        assert!(!failing("rejected") && !failing("unavailable"));
    }
}
