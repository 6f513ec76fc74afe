//! A family of few metrics: found by looking them through, which takes less than hashing their labels.

use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use prometheus_client::metrics::family::{Family, MetricConstructor};

/// See the module.
pub(super) struct Few<L, M, C = fn() -> M> {
    family: Family<L, M, C>,
    /// In the order of first use, so that those in use are found first.
    found: RwLock<Vec<(L, M)>>,
}

impl<L: Clone + Hash + Eq, M: Clone, C: MetricConstructor<M>> Few<L, M, C> {
    /// Finds metrics of this family.
    pub(super) fn of(family: Family<L, M, C>) -> Self {
        Self { family, found: RwLock::default() }
    }

    /// Makes the metric with these labels, so that it is there before its first use.
    pub(super) fn begin(&self, labels: &L) {
        drop(self.family.get_or_create(labels));
    }

    /// Uses the metric with these labels; makes it if need be.
    pub(super) fn with(&self, labels: &L, change: impl FnOnce(&M)) {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, metric)) = found.iter().find(|(known, _)| known == labels) {
            return change(metric);
        }
        drop(found);
        let metric = self.family.get_or_create_owned(labels);
        change(&metric);
        // Twice in it, where two have come at once, does no harm.
        self.found.write().unwrap_or_else(PoisonError::into_inner).push((labels.clone(), metric));
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::EncodeLabelSet;
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
    struct Labels {
        name: &'static str,
    }

    #[test]
    fn a_metric_is_the_same_at_every_use_and_another_for_other_labels() {
        let family = Family::<Labels, Counter>::default();
        let few = Few::of(family.clone());
        few.begin(&Labels { name: "a" });
        assert_eq!(family.get(&Labels { name: "a" }).map(|counter| counter.get()), Some(0));
        for name in ["a", "b", "a", "a"] {
            few.with(&Labels { name }, |counter| {
                counter.inc();
            });
        }
        assert_eq!(family.get_or_create(&Labels { name: "a" }).get(), 3);
        assert_eq!(family.get_or_create(&Labels { name: "b" }).get(), 1);
    }
}
