//! Logs by `tracing`, as JSON or for reading, written by a separate thread so that logging never blocks the service.

mod batch_writer;
mod json;
mod log_file;
pub mod traces;

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::time::UtcTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use crate::config::{LogFormat, Telemetry};
use batch_writer::BatchWriter;
use json::Json;
use log_file::{LogFile, Reopen};

/// Most lines that wait to be written; more are dropped and counted. Memory for all of them is taken at the start.
const QUEUE: usize = 8 * 1024;
/// Longest wait at the end of the process for lines that have not been written.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// The most verbose level of dependencies: their details are of no use to operators, and could show secrets.
const DEPENDENCIES: LevelFilter = LevelFilter::WARN;

/// Must live until the last line is logged: dropping it writes the lines that wait.
#[derive(Debug)]
pub struct Guard {
    writer: Option<WorkerGuard>,
    dropped: ErrorCounter,
    control: LogControl,
}

impl Guard {
    /// Lines dropped so far because the writer could not keep up.
    #[must_use]
    pub fn dropped(&self) -> ErrorCounter {
        self.dropped.clone()
    }

    /// Changes the level, or reopens the file, later.
    #[must_use]
    pub fn control(&self) -> LogControl {
        self.control.clone()
    }
}

impl Drop for Guard {
    /// Writes the lines that wait, for a bounded time: the appender's own guard would wait for ever for a blocked
    /// target.
    fn drop(&mut self) {
        let writer = self.writer.take();
        let (done, ended) = std::sync::mpsc::channel();
        let dropping = std::thread::Builder::new().spawn(move || {
            drop(writer);
            let _ = done.send(());
        });
        if dropping.is_ok() {
            let _ = ended.recv_timeout(LAST_WAIT);
        }
    }
}

/// Changes the logs while the process runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogControl {
    levels: reload::Handle<Targets, Registry>,
    file: Option<Reopen>,
}

impl LogControl {
    /// Sets another `telemetry.log_level`.
    ///
    /// # Errors
    /// It is not a level.
    pub fn set_level(&self, log_level: &str) -> Result<(), String> {
        self.levels.reload(levels(log_level)?).map_err(|e| e.to_string())
    }

    /// Reopens `telemetry.log_target` after a log rotation has moved its file. Returns whether it is a file.
    ///
    /// # Errors
    /// It cannot be opened; lines still go to the old file.
    pub fn reopen(&self) -> Result<bool, String> {
        self.file.as_ref().map_or(Ok(false), |file| file.reopen().map(|()| true))
    }
}

/// Installs the process's subscriber. Call once.
///
/// # Errors
/// The log file cannot be opened, or the process has a subscriber already.
pub fn install(settings: &Telemetry) -> Result<Guard, String> {
    let mut file = None;
    let target: Box<dyn Write + Send> = match settings.log_target.as_str() {
        "stdout" => Box::new(std::io::stdout()),
        "stderr" => Box::new(std::io::stderr()),
        path => {
            let opened = LogFile::open(path)?;
            file = Some(opened.reopen_handle());
            Box::new(opened)
        }
    };
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE).finish(BatchWriter::new(target));
    let dropped = writer.error_counter();
    let (filter, handle) = reload::Layer::new(levels(&settings.log_level)?);
    let layer = match settings.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer().event_format(Json).with_writer(writer).boxed(),
        LogFormat::Human => {
            let ansi = settings.log_target == "stdout" && std::io::stdout().is_terminal();
            let timer = UtcTime::rfc_3339();
            tracing_subscriber::fmt::layer().with_ansi(ansi).with_timer(timer).with_writer(writer).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()
        .map_err(|e| format!("logging cannot start: {e}"))?;
    Ok(Guard { writer: Some(guard), dropped, control: LogControl { levels: handle, file } })
}

/// The levels that `telemetry.log_level` sets: for our own code as it says, for dependencies at most warnings.
fn levels(log_level: &str) -> Result<Targets, String> {
    let asked: Targets = log_level.parse().map_err(|e| format!("telemetry.log_level: {e}"))?;
    let default = asked.default_level().unwrap_or(LevelFilter::OFF);
    let own = |target: &str| target == "hangup" || target.starts_with("hangup::");
    // The quieter of the two: a more verbose filter is the greater one.
    let quiet = |level: LevelFilter| if level > DEPENDENCIES { DEPENDENCIES } else { level };
    let mut levels = Targets::new().with_default(quiet(default)).with_target("hangup", default);
    for (target, level) in asked.iter() {
        levels = levels.with_target(target.to_owned(), if own(target) { level } else { quiet(level) });
    }
    Ok(levels)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::levels;

    #[test]
    fn others_are_never_logged_below_warnings_however_the_level_is_written() {
        for text in ["trace", "hyper=trace,reqwest=debug", "info,hyper_util=trace,hangup=trace"] {
            let levels = levels(text).unwrap();
            for target in ["hyper::proto", "hyper_util::client", "reqwest::connect", "rustls", "opentelemetry_sdk"] {
                assert!(!levels.would_enable(target, &Level::INFO), "{text}: {target}");
            }
        }
    }

    #[test]
    fn our_own_level_is_as_it_was_configured() {
        assert!(levels("trace").unwrap().would_enable("hangup::http", &Level::TRACE));
        assert!(!levels("info").unwrap().would_enable("hangup::http", &Level::DEBUG));
        assert!(levels("warn,hangup::genesys=debug").unwrap().would_enable("hangup::genesys::trace", &Level::DEBUG));
        assert!(!levels("warn,hangup::genesys=debug").unwrap().would_enable("hangup::http", &Level::INFO));
        assert!(!levels("error").unwrap().would_enable("hyper", &Level::WARN));
        assert!(levels("no=such=level").is_err());
    }
}
