//! Registering.

use prometheus_client::registry::{Metric, Registry};

/// Registers a metric and hands it back.
pub(super) fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}
