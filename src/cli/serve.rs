//! `hangup serve`.

use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;
use crate::app::{App, Reloader, StartError, UpstreamTransport, stop_signals};
use crate::config::Config;
use crate::files;
use crate::server;
use crate::telemetry::{Guard, LogControl};

/// Serves until SIGTERM. SIGHUP takes over what can be taken over of `file` and the environment.
pub(super) async fn run(config: Config, file: Option<PathBuf>, logs: &Guard) -> Result<(), Failure> {
    // Before the first login: a signal that comes early must not kill us.
    let (asked, hurry) = stop_signals();
    let listen = |kind, name| signal(kind).map_err(|e| Failure::failed(format!("{name} cannot be listened to: {e}")));
    let signals = Signals {
        reload: listen(SignalKind::hangup(), "SIGHUP")?,
        reopen: listen(SignalKind::user_defined1(), "SIGUSR1")?,
    };
    if let Err(cause) = server::forbid_core_dumps() {
        tracing::warn!(event = "core_dumps", cause = %cause, "a crash may leave a core dump with secrets in it");
    }
    if let Err(cause) = server::raise_descriptor_limit() {
        tracing::warn!(event = "descriptor_limit", cause = %cause, "the limit of open files stays as it is");
    }
    if config.genesys.urls().is_ok_and(|(api, login)| api.starts_with("http://") || login.starts_with("http://")) {
        tracing::warn!(
            event = "plain_upstream",
            "the upstream is reached without TLS: the client secret goes in the clear"
        );
    }
    for finding in files::writable_by_others(&config) {
        tracing::warn!(
            event = "writable_file",
            cause = %finding,
            "a file with keys or secrets can be changed by others"
        );
    }
    for finding in files::open_to_others(&config) {
        tracing::warn!(event = "audit_file_open", cause = %finding, "an audit file can be read or changed by others");
    }
    let app = App::build(config, UpstreamTransport::Sockets).await.map_err(start_failed)?;
    // The app is new, so it cannot have been set before.
    let _ = app.http().log_dropped.set(logs.dropped());
    if let Ok(addr) = app.addr() {
        let admin = app.admin_addr().map(|a| a.to_string());
        tracing::info!(event = "listening", addr = %addr, admin_addr = admin, version = env!("CARGO_PKG_VERSION"), "listening");
    }
    let (reloader, control) = (app.reloader(), logs.control());
    tokio::select! {
        () = app.run_until(asked.cancelled(), hurry.cancelled()) => {}
        () = reload_on(signals, reloader, file.as_deref(), &control) => {}
    }
    Ok(())
}

/// What is listened to while serving.
struct Signals {
    /// SIGHUP: reads the configuration again.
    reload: Signal,
    /// SIGUSR1: reopens the files of logs and audit.
    reopen: Signal,
}

/// Follows the signals for ever.
async fn reload_on(mut signals: Signals, mut reloader: Reloader, file: Option<&Path>, logs: &LogControl) {
    loop {
        let received = tokio::select! {
            received = signals.reload.recv() => received,
            received = signals.reopen.recv() => {
                if received.is_some() {
                    let done = reloader.reopen_files(logs);
                    tracing::info!(
                        event = "reopened", taken_over = done.taken_over.join(", "), kept = done.kept.join("; "),
                        "SIGUSR1: opened the files of logs and audit anew"
                    );
                    continue;
                }
                received
            }
        };
        if received.is_none() {
            return std::future::pending().await;
        }
        let fresh = Config::load(file).and_then(|fresh| fresh.check_serve().map(|()| fresh));
        match fresh {
            Err(cause) => {
                reloader.refuse(&cause.to_string());
                tracing::error!(
                    event = "reload_failed", cause = %cause,
                    "SIGHUP: the configuration cannot be used; nothing has changed"
                );
            }
            Ok(fresh) => {
                let done = reloader.reload(fresh, logs).await;
                tracing::info!(
                    event = "reloaded",
                    taken_over = done.taken_over.join(", "),
                    needs_restart = done.needs_restart.join(", "),
                    kept = done.kept.join("; "),
                    "SIGHUP: applied what needs no restart"
                );
            }
        }
    }
}

/// Settings are unusable; a taken address is a failure.
pub(super) fn start_failed(error: StartError) -> Failure {
    match error {
        StartError::Config(error) => Failure::unusable(error),
        StartError::Listen { .. } | StartError::ModeUnread => Failure::failed(error.to_string()),
    }
}
