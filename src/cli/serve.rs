//! `hangup serve`.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_appender::non_blocking::ErrorCounter;

use super::Failure;
use crate::app::{App, StartError, stop_signals};
use crate::config::Config;
use crate::telemetry::Guard;
use crate::{http, server};

/// How often the count of dropped log lines is taken over into the metrics.
const LOG_LOOK: Duration = Duration::from_secs(5);

/// Serves until SIGTERM.
pub(super) async fn run(config: Config, logs: &Guard) -> Result<(), Failure> {
    // Before the first login: a signal that comes early must not kill us.
    let (asked, hurry) = stop_signals();
    let reloads = signal(SignalKind::hangup()).map_err(|e| Failure::failed(format!("SIGHUP cannot be heard: {e}")))?;
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
    tokio::spawn(attend(app.http().clone(), reloads, logs.dropped()));
    app.run_until(asked.cancelled(), hurry.cancelled()).await;
    Ok(())
}

/// On SIGHUP looks at once at what is followed anyway, and logs in with the secret as it is now.
async fn attend(app: http::App, mut reloads: Signal, dropped: ErrorCounter) {
    let mut look = tokio::time::interval(LOG_LOOK);
    loop {
        tokio::select! {
            _ = look.tick() => app.metrics.set_log_dropped(i64::try_from(dropped.dropped_lines()).unwrap_or(i64::MAX)),
            asked = reloads.recv() => {
                if asked.is_none() {
                    return;
                }
                tracing::info!(event = "reload_asked", "SIGHUP: reading the keys and logging in again");
                // What cannot be used is logged there, and the last good keys stay.
                drop(app.callers.reload().await);
                app.disconnector.client().tokens().renew_now();
            }
        }
    }
}

/// Settings are unusable; a taken address is a failure.
pub(super) fn start_failed(error: StartError) -> Failure {
    match error {
        StartError::Config(error) => Failure::unusable(error),
        StartError::Listen { .. } => Failure::failed(error.to_string()),
    }
}
