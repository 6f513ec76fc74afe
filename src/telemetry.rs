//! Logs by `tracing`: JSON or human lines, written by a thread of their own that never blocks the service.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Write};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{LogFormat, Telemetry};

/// Lines that may wait to be written; more are dropped and counted.
const QUEUE: usize = 16 * 1024;

/// Must live until the last line: dropping it writes what waits.
#[derive(Debug)]
pub struct Guard {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

impl Guard {
    /// Lines dropped so far because the writer could not keep up.
    #[must_use]
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }
}

/// Installs the process's subscriber. Call once.
///
/// # Errors
/// A log file that cannot be opened, or a subscriber that is there already.
pub fn install(settings: &Telemetry) -> Result<Guard, String> {
    let target: Box<dyn Write + Send> = match settings.log_target.as_str() {
        "stdout" => Box::new(std::io::stdout()),
        "stderr" => Box::new(std::io::stderr()),
        path => Box::new(OpenOptions::new().create(true).append(true).open(path).map_err(|e| {
            format!("telemetry.log_target = \"{path}\": cannot be opened ({e}); name a file that can be written, or \"stdout\"")
        })?),
    };
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).finish(target);
    let dropped = writer.error_counter();
    let levels: Targets = settings.log_level.parse().map_err(|e| format!("telemetry.log_level: {e}"))?;
    // Our dependencies' inner life is not ours to log, and could show what we keep to ourselves.
    let levels = ["hyper", "hyper_util", "reqwest", "rustls", "h2", "tower"]
        .into_iter()
        .fold(levels, |levels, name| levels.with_target(name, tracing::Level::WARN));
    let timer = UtcTime::rfc_3339();
    let layer = match settings.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_timer(timer)
            .with_writer(writer)
            .boxed(),
        LogFormat::Human => {
            let ansi = settings.log_target == "stdout" && std::io::stdout().is_terminal();
            tracing_subscriber::fmt::layer().with_ansi(ansi).with_timer(timer).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry().with(layer.with_filter(levels)).try_init().map_err(|e| format!("no logs: {e}"))?;
    Ok(Guard { _writer: guard, dropped })
}
