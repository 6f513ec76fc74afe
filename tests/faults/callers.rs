//! Many callers at once, and an account of what they saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;

use super::http::{Answer, Caller};
use super::service::Process;
use super::shared::stand_in::StandIn;
use super::target::Target;

/// What callers saw: answers, and failures to get one.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) answers: Vec<(Target, Answer)>,
    pub(crate) failures: Vec<String>,
}

impl Seen {
    pub(crate) fn take(&mut self, target: Target, answer: std::io::Result<Answer>) {
        match answer {
            Ok(answer) => self.answers.push((target, answer)),
            Err(error) => self.failures.push(error.to_string()),
        }
    }

    fn join(&mut self, other: Self) {
        self.answers.extend(other.answers);
        self.failures.extend(other.failures);
    }

    /// How often each status came with each word; `lost` counts requests without an answer.
    pub(crate) fn account(&self) -> BTreeMap<String, usize> {
        let mut account = BTreeMap::new();
        for (_, answer) in &self.answers {
            *account.entry(format!("{} {}", answer.status, answer.word())).or_default() += 1;
        }
        if !self.failures.is_empty() {
            account.insert("lost".to_owned(), self.failures.len());
        }
        account
    }

    /// Requests that did not end in success.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len() + self.answers.iter().filter(|(_, a)| a.status >= 300).count()
    }

    pub(crate) fn total(&self) -> usize {
        self.failures.len() + self.answers.len()
    }

    pub(crate) fn slowest(&self) -> Duration {
        self.answers.iter().map(|(_, a)| a.took).max().unwrap_or_default()
    }

    /// The time within which 99 of 100 were answered.
    pub(crate) fn p99(&self) -> Duration {
        let mut times: Vec<_> = self.answers.iter().map(|(_, a)| a.took).collect();
        times.sort_unstable();
        times.get(times.len() * 99 / 100).copied().unwrap_or_default()
    }

    /// Targets of successful disconnects.
    pub(crate) fn gone(&self) -> Vec<Target> {
        self.answers.iter().filter(|(_, a)| a.status == 200).map(|(t, _)| *t).collect()
    }

    #[track_caller]
    pub(crate) fn none_failed(&self) {
        assert_eq!(self.failed(), 0, "{:?} {:?}", self.account(), self.failures.first());
    }
}

/// Sends one disconnect per target, from `at_once` callers with a connection each.
pub(crate) async fn disconnects(service: &Process, targets: &[Target], at_once: usize) -> Seen {
    all(service, targets, at_once, "POST", Target::path).await
}

/// Lists the participants of each target's conversation.
pub(crate) async fn lookups(service: &Process, targets: &[Target], at_once: usize) -> Seen {
    all(service, targets, at_once, "GET", Target::list).await
}

async fn all(
    service: &Process,
    targets: &[Target],
    at_once: usize,
    method: &'static str,
    path: fn(&Target) -> String,
) -> Seen {
    let mut tasks = JoinSet::new();
    for share in 0..at_once {
        let targets: Vec<_> = targets.iter().skip(share).step_by(at_once).copied().collect();
        let mut caller = service.caller();
        tasks.spawn(async move {
            let mut seen = Seen::default();
            for target in targets {
                seen.take(target, caller.send(method, &path(&target), None).await);
            }
            seen
        });
    }
    let mut seen = Seen::default();
    while let Some(share) = tasks.join_next().await {
        seen.join(share.expect("no panic"));
    }
    seen
}

/// Disconnects at a steady rate, whatever the answers, until they are stopped.
#[derive(Debug)]
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Seen>,
}

impl Traffic {
    /// `per_second` disconnects a second, each for another target.
    pub(crate) fn start(service: &Process, stand_in: &StandIn, per_second: u32) -> Self {
        let sandbox = stand_in.sandbox.clone();
        Self::start_with(service.caller(), per_second, move || super::target::target_in(&sandbox))
    }

    /// With callers like this one. They wait for each other only when all are busy.
    pub(crate) fn start_with(
        like: Caller,
        per_second: u32,
        mut target: impl FnMut() -> Target + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let mut idle: Vec<Caller> = Vec::new();
            let mut busy = JoinSet::new();
            let mut seen = Seen::default();
            let mut tick = interval(Duration::from_secs(1) / per_second);
            while !stopped.load(Ordering::Relaxed) {
                tick.tick().await;
                while let Some(done) = busy.try_join_next() {
                    let (caller, target, answer): (Caller, Target, _) = done.expect("no panic");
                    idle.push(caller);
                    seen.take(target, answer);
                }
                let mut caller = idle.pop().unwrap_or_else(|| like.fresh());
                let target = target();
                busy.spawn(async move {
                    let answer = caller.post(&target.path()).await;
                    (caller, target, answer)
                });
            }
            while let Some(done) = busy.join_next().await {
                let (_, target, answer) = done.expect("no panic");
                seen.take(target, answer);
            }
            seen
        });
        Self { stop, task }
    }

    /// Makes it send nothing more; [`Traffic::end`] still waits for what is under way.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) async fn end(self) -> Seen {
        self.stop();
        self.task.await.expect("no panic")
    }
}
