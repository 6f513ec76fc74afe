//! The books of the soak: what was asked for and what was answered, and whether it agrees with what became of the people.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use hangup::sandbox::Sandbox;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::http::{Answer, Caller};
use super::request::Request;

/// In clear weather every job has ended after this: what was accepted and is still there is reported after 60 s.
const JOBS_END: Duration = Duration::from_secs(90);

/// The books: who may be gone, who must be, and what was answered.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) sent: u64,
    pub(super) answered: BTreeMap<(Request, u16), u64>,
    pub(super) lost: Vec<String>,
    /// Answered in another form than the contract's.
    pub(super) malformed: Vec<String>,
    /// Asked to disconnect, by whatever way.
    asked: HashSet<(Uuid, Uuid)>,
    /// Reported as gone, or accepted.
    reported: HashSet<(Uuid, Uuid)>,
    /// Jobs that were promised, each with the one it is about.
    pub(super) jobs: BTreeMap<String, (Uuid, Uuid)>,
    pub(super) slowest: Duration,
    /// What took longest.
    pub(super) slow: Option<(Request, String)>,
}

impl Books {
    /// Notes who may be gone from now on.
    pub(super) fn note_asked(&mut self, conversation: Uuid, whom: &[Uuid]) {
        self.asked.extend(whom.iter().map(|p| (conversation, *p)));
    }

    /// Enters an answer into the books.
    pub(super) fn settle(
        &mut self,
        request: Request,
        conversation: Uuid,
        whom: &[Uuid],
        answer: std::io::Result<Answer>,
    ) {
        self.sent += 1;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.lost.push(format!("{request:?}: {error}")),
        };
        *self.answered.entry((request, answer.status)).or_default() += 1;
        if answer.took > self.slowest {
            (self.slowest, self.slow) = (answer.took, Some((request, answer.text())));
        }
        let json: Value = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        let ours = !matches!(request, Request::DropIn | Request::Read);
        let well = answer.status < 300 && json["outcome"] != "partial";
        if ours && json["ok"] != json!(well) || answer.body.len() >= 32 * 1024 {
            self.malformed.push(answer.text());
        }
        if (answer.status == 503 || answer.status == 429) && answer.retry_after().is_none() && ours {
            self.malformed.push(answer.text());
        }
        let pairs = |ids: &[Uuid]| ids.iter().map(|p| (conversation, *p)).collect::<Vec<_>>();
        match (request, answer.status) {
            (Request::Selector, 200) => {
                for result in json["results"].as_array().into_iter().flatten().filter(|r| r["ok"] == true) {
                    let id = result["participantId"].as_str().and_then(|id| id.parse().ok());
                    self.reported.extend(id.map(|id| (conversation, id)));
                }
            }
            // A promise, which is looked into at the end.
            (Request::Queued, 202) => {
                let id = json["jobId"].as_str().expect("a job's id").to_owned();
                self.jobs.extend(pairs(whom).into_iter().map(|pair| (id.clone(), pair)));
            }
            (_, 200..300) => self.reported.extend(pairs(whom)),
            _ => {}
        }
    }

    /// Waits for every job that was promised, and says how many ended in which way. Targets that an item calls gone are noted as gone.
    pub(super) async fn see_jobs_through(&mut self, caller: &mut Caller) -> BTreeMap<String, u64> {
        let (mut ends, until) = (BTreeMap::new(), Instant::now() + JOBS_END);
        for (id, pair) in &self.jobs {
            let item = loop {
                let answer = caller.get(&format!("/jobs/{id}/items")).await.expect("an answer");
                assert_eq!(answer.status, 200, "{}", answer.text());
                let item = answer.json()["items"][0].clone();
                if item["state"] == "done" {
                    break item;
                }
                assert!(Instant::now() < until, "a promise that is not kept: {item}");
                sleep(Duration::from_millis(100)).await;
            };
            let end =
                [&item["code"], &item["outcome"]].into_iter().find_map(Value::as_str).unwrap_or("none").to_owned();
            if ["disconnected", "already_disconnected", "conversation_ended"].contains(&end.as_str()) {
                self.reported.insert(*pair);
            }
            *ends.entry(end).or_default() += 1;
        }
        ends
    }

    /// Asserts that the books agree with the sandbox: no one who was reported gone is there, and no one else was disconnected.
    pub(super) fn balance(&self, sandbox: &Sandbox, conversations: &HashSet<Uuid>) {
        let (mut lied, mut harmed) = (Vec::new(), Vec::new());
        for id in conversations {
            let conference = sandbox.conference(*id).expect("it is remembered");
            for member in &conference.participants {
                let pair = (*id, member.id);
                if self.reported.contains(&pair) && member.live {
                    lied.push(pair);
                }
                if !self.asked.contains(&pair) && (!member.live || member.disconnects > 0) {
                    harmed.push(pair);
                }
            }
        }
        assert!(lied.is_empty(), "reported gone and still there: {lied:?}");
        assert!(harmed.is_empty(), "disconnected without being asked for: {harmed:?}");
    }
}
