//! `hangup serve`.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::app::{App, Reloader, StartError, stop_signals};
use crate::config::Config;
use crate::server;
use crate::telemetry::{Guard, Levels};

/// Serves until SIGTERM. SIGHUP takes over what can be taken over of `file` and the environment.
pub(super) async fn run(config: Config, file: Option<PathBuf>, logs: &Guard) -> Result<(), Failure> {
    // Before the first login: a signal that comes early must not kill us.
    let (asked, hurry) = stop_signals();
    let hangup =
        signal(SignalKind::hangup()).map_err(|e| Failure::failed(format!("SIGHUP cannot be listened to: {e}")))?;
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
    // Nobody else has set it: the app is new.
    let _ = app.http().log_dropped.set(logs.dropped());
    if let Ok(addr) = app.addr() {
        let admin = app.admin_addr().map(|a| a.to_string());
        tracing::info!(event = "listening", addr = %addr, admin_addr = admin, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    let (reloader, levels) = (app.reloader(), logs.levels());
    tokio::select! {
        () = app.run_until(asked.cancelled(), hurry.cancelled()) => {}
        () = reload_on(hangup, reloader, file.as_deref(), &levels) => {}
    }
    Ok(())
}

/// Reads the configuration again at each SIGHUP, for ever.
async fn reload_on(mut hangup: Signal, mut reloader: Reloader, file: Option<&Path>, levels: &Levels) {
    loop {
        if hangup.recv().await.is_none() {
            return std::future::pending().await;
        }
        let fresh = Config::load(file).and_then(|fresh| fresh.check_serve().map(|()| fresh));
        match fresh {
            Err(cause) => tracing::error!(
                event = "reload_failed", cause = %cause,
                "SIGHUP: the configuration cannot be used; nothing has changed"
            ),
            Ok(fresh) => {
                let done = reloader.reload(fresh, |level| levels.set(level)).await;
                tracing::info!(
                    event = "reloaded",
                    taken_over = done.taken_over.join(", "),
                    needs_restart = done.needs_restart.join(", "),
                    kept = done.kept.join("; "),
                    "SIGHUP: took over what can be taken over"
                );
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
