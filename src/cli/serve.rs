//! `hangup serve`.

use super::Failure;
use crate::app::{App, StartError, stop_signals};
use crate::config::Config;
use crate::server;
use crate::telemetry::Guard;

/// Serves until SIGTERM.
pub(super) async fn run(config: Config, _logs: &Guard) -> Result<(), Failure> {
    // Before the first login: a signal that comes early must not kill us.
    let (asked, hurry) = stop_signals();
    if let Err(cause) = server::raise_descriptor_limit() {
        tracing::warn!(event = "descriptor_limit", cause = %cause, "the limit of open files stays as it is");
    }
    if config.genesys.urls().is_ok_and(|(api, login)| api.starts_with("http://") || login.starts_with("http://")) {
        tracing::warn!(
            event = "plain_upstream",
            "the upstream is reached without TLS: the client secret goes in the clear"
        );
    }
    let app = App::build(config).await.map_err(start_failed)?;
    if let Ok(addr) = app.addr() {
        let admin = app.admin_addr().map(|a| a.to_string());
        tracing::info!(event = "listening", addr = %addr, admin_addr = admin, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    app.run_until(asked.cancelled(), hurry.cancelled()).await;
    Ok(())
}

/// Settings are unusable; a taken address is a failure.
pub(super) fn start_failed(error: StartError) -> Failure {
    match error {
        StartError::Config(error) => Failure::unusable(error),
        StartError::Listen { .. } => Failure::failed(error.to_string()),
    }
}
