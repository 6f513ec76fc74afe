//! Following jobs to their end: a bar on a terminal, lines elsewhere, and Ctrl-C pauses them.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::batch::control;
use crate::cli::Failure;
use crate::cli::service::Service;

/// How often the jobs are asked how far they are.
const POLL: Duration = Duration::from_millis(500);
/// How often a line is written where there is no bar.
const LINE: Duration = Duration::from_secs(10);

/// How following ended.
#[derive(Debug)]
pub(super) enum SweepEnd {
    /// All items have a result.
    Done,
    /// A job was paused or cancelled, and why.
    Stopped(String),
    /// By Ctrl-C; the jobs are paused.
    Interrupted,
    /// The service does not answer, or does not know the job any more.
    Lost(String),
}

/// Ctrl-C, noted from the moment this is made, so that it is not lost between two polls.
#[derive(Debug)]
pub(super) struct Interrupt(Option<Signal>);

impl Interrupt {
    pub(super) fn listen() -> Self {
        Self(signal(SignalKind::interrupt()).ok())
    }

    async fn came(&mut self) {
        match &mut self.0 {
            Some(signal) => {
                signal.recv().await;
            }
            // The system does not tell us: it ends the process instead.
            None => std::future::pending().await,
        }
    }
}

/// How far all jobs are together.
#[derive(Debug, Default)]
struct Snapshot {
    total: u64,
    pending: u64,
    rate: u64,
    /// A job that does not run: its state, and why.
    stopped: Option<String>,
}

/// Follows the jobs until all are done.
pub(super) async fn follow(
    service: &Service,
    ids: &[String],
    patience: Duration,
    interrupt: &mut Interrupt,
) -> SweepEnd {
    let mut progress = ProgressDisplay::new();
    let mut answered = Instant::now();
    let end = loop {
        match look(service, ids).await {
            Ok(snapshot) => {
                answered = Instant::now();
                progress.show(&snapshot);
                if snapshot.pending == 0 {
                    break SweepEnd::Done;
                }
                if let Some(why) = snapshot.stopped {
                    break SweepEnd::Stopped(why);
                }
            }
            Err(failure) if answered.elapsed() >= patience => break SweepEnd::Lost(failure.text),
            Err(_) => progress.say("the service does not answer; waiting for it"),
        }
        tokio::select! {
            () = sleep(POLL) => {}
            () = interrupt.came() => break pause(service, ids).await,
        }
    };
    progress.close();
    end
}

async fn look(service: &Service, ids: &[String]) -> Result<Snapshot, Failure> {
    let mut snapshot = Snapshot::default();
    for id in ids {
        let job = service.ask(Method::GET, &format!("/jobs/{id}"), None, None).await?;
        if !job.is_good() {
            return Err(Failure::failed(job.problem()));
        }
        let number = |name: &str| job.body.get(name).and_then(Value::as_u64).unwrap_or_default();
        snapshot.total += number("total");
        let pending = number("pending");
        snapshot.pending += pending;
        match job.text("state") {
            "running" => snapshot.rate += number("ratePerMinute"),
            "held" => snapshot.stopped = Some(format!("job {id} is held")),
            // Items under way are finished.
            "paused" if pending > 0 => {
                snapshot.stopped = Some(format!("job {id} is paused: {}", job.text("pausedBecause")))
            }
            _ => {}
        }
    }
    Ok(snapshot)
}

async fn pause(service: &Service, ids: &[String]) -> SweepEnd {
    for id in ids {
        match control(service, id, "pause").await {
            Ok(reply) if reply.is_good() || reply.text("code") == "job_state" => {}
            Ok(reply) => {
                return SweepEnd::Lost(format!("the job could not be paused, it goes on: {}", reply.problem()));
            }
            Err(failure) => {
                return SweepEnd::Lost(format!("the job could not be paused, it goes on: {}", failure.text));
            }
        }
    }
    // The last of them may have ended meanwhile: then there is nothing to go on with.
    match look(service, ids).await {
        Ok(snapshot) if snapshot.pending == 0 => SweepEnd::Done,
        _ => SweepEnd::Interrupted,
    }
}

/// What people see meanwhile, on stderr.
struct ProgressDisplay {
    bar: Option<ProgressBar>,
    said: Option<Instant>,
    last: BTreeMap<u64, u64>,
}

impl ProgressDisplay {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {wide_bar} {pos} of {len}  {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, said: None, last: BTreeMap::new() }
    }

    fn show(&mut self, snapshot: &Snapshot) {
        let done = snapshot.total.saturating_sub(snapshot.pending);
        let message = rate_and_time_left(snapshot);
        if let Some(bar) = &self.bar {
            bar.set_length(snapshot.total);
            bar.set_position(done);
            bar.set_message(message);
            return;
        }
        let changed = self.last.insert(snapshot.total, done) != Some(done);
        if changed && (self.is_due() || snapshot.pending == 0) {
            self.said = Some(Instant::now());
            eprintln!("{done} of {} done{}{message}", snapshot.total, if message.is_empty() { "" } else { ", " });
        }
    }

    /// Says something, not too often.
    fn say(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None if self.is_due() => {
                self.said = Some(Instant::now());
                eprintln!("{text}");
            }
            None => {}
        }
    }

    fn is_due(&self) -> bool {
        self.said.is_none_or(|said| said.elapsed() >= LINE)
    }

    fn close(&self) {
        self.bar.iter().for_each(ProgressBar::abandon);
    }
}

/// Rate and time left.
fn rate_and_time_left(snapshot: &Snapshot) -> String {
    if snapshot.rate == 0 || snapshot.pending == 0 {
        return String::new();
    }
    let left = Duration::from_secs((snapshot.pending * 60).div_ceil(snapshot.rate));
    format!("{} a minute, {} left", snapshot.rate, humantime::format_duration(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_shows_rate_and_time_left_once_there_is_a_rate() {
        let snapshot = |rate| Snapshot { total: 500, pending: 250, rate, stopped: None };
        assert_eq!(rate_and_time_left(&snapshot(100)), "100 a minute, 2m 30s left");
        assert_eq!(rate_and_time_left(&snapshot(0)), "");
    }
}
