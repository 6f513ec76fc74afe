//! An org that a sweep clears: a sandbox without delays and limits, and a service in front of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use hangup::sandbox::StuckSpec;
use serde_json::Value;
use uuid::Uuid;

use crate::shared::free_addr;
use crate::support::process::{Binary, Process, text};

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
const MAY: (&str, &str) = ("HANGUP__AUTH__ANONYMOUS_PERMISSIONS", "disconnect,read,search,bulk,teardown,operate");

/// A sandbox without delays and limits, and a service in front of it.
pub(super) struct Org {
    pub(super) binary: Binary,
    pub(super) service: Process,
    pub(super) bind: String,
}

impl Org {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(super) async fn with(environment: &[(&str, &str)]) -> Self {
        let binary = Binary::new().await;
        binary.sandbox.forget(binary.conference.id);
        binary.settings(r#"{"rate_limit":1000000,"effect_delay":"0s"}"#).await;
        let free = free_addr();
        let bind = free.to_string();
        let service = Self::serve(&binary, &bind, environment).await;
        Self { binary, service, bind }
    }

    pub(super) async fn serve(binary: &Binary, bind: &str, environment: &[(&str, &str)]) -> Process {
        let own = [MAY, ("HANGUP__SERVER__BIND", bind)];
        binary.serve(&[], &[&own, environment].concat()).await
    }

    pub(super) fn stuck(&self, spec: StuckSpec) -> Vec<Uuid> {
        self.binary.sandbox.create_stuck(spec).unwrap()
    }

    /// The arguments for this service, a report in the binary's folder among them.
    pub(super) fn arguments<'a>(&'a self, arguments: &[&'a str], report: &'a str) -> Vec<&'a str> {
        [&["sweep", "--server", &self.service.url, "--report", report, "--time-zone", "UTC"], arguments].concat()
    }

    pub(super) async fn sweep(&self, arguments: &[&str], report: &Path) -> Output {
        self.binary.run(&self.arguments(arguments, &text(report)), &[]).await
    }

    pub(super) fn report(&self, name: &str) -> PathBuf {
        self.binary.path(name)
    }

    /// Whether anybody of that purpose is live in the conversation.
    pub(super) fn has(&self, id: Uuid, purpose: &str) -> bool {
        let seen = self.binary.sandbox.conference(id).unwrap();
        seen.participants.iter().any(|p| p.live && p.purpose == purpose)
    }

    /// How many items of its jobs have their result.
    pub(super) async fn finished(&self) -> u64 {
        let list = self.read("/jobs").await;
        let mut finished = 0;
        for job in list["jobs"].as_array().unwrap() {
            let job = self.read(&format!("/jobs/{}", job["id"].as_str().unwrap())).await;
            finished += job["total"].as_u64().unwrap() - job["pending"].as_u64().unwrap();
        }
        finished
    }

    pub(super) async fn read(&self, path: &str) -> Value {
        serde_json::from_str(&self.service.get(path).await.1).unwrap()
    }

    /// How many of these are empty.
    pub(super) fn empty(&self, ids: &[Uuid]) -> usize {
        ids.iter().filter(|id| self.binary.sandbox.conference(**id).is_none_or(|seen| seen.live().is_empty())).count()
    }
}

pub(super) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The rows of a list, by conversation.
pub(super) fn rows(path: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let text = String::from_utf8(bytes).unwrap();
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let rows = reader.deserialize::<BTreeMap<String, String>>().map(Result::unwrap);
    rows.map(|row| (row["conversationId"].clone(), row)).collect()
}

pub(super) fn names(ids: &[Uuid]) -> BTreeSet<String> {
    ids.iter().map(Uuid::to_string).collect()
}

/// The id of the job, from what a sweep says.
pub(super) fn job(said: &str) -> String {
    said.lines()
        .find_map(|line| line.strip_prefix("Job ")?.split([' ', ',']).next())
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}
