//! Workers, each of which asks for random things in random conversations.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hangup::sandbox::{ConversationSpec, ParticipantSpec, Sandbox};
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::http::Caller;
use super::books::Books;
use super::request::Request;

/// Agents of a conversation; the customer and the supervisor, who are never to be disconnected, come on top.
const AGENTS: usize = 4;

/// A conversation of the soak.
pub(super) struct Stage {
    pub(super) id: Uuid,
    agents: Vec<Uuid>,
    bystanders: Vec<Uuid>,
}

impl Stage {
    pub(super) fn set(sandbox: &Sandbox) -> Self {
        let mut members = vec![ParticipantSpec::of("customer"), ParticipantSpec::of("supervisor")];
        members.extend((0..AGENTS).map(|_| ParticipantSpec::of("agent")));
        let made = sandbox.create_conference(ConversationSpec::with(members));
        let of = |wanted: bool| {
            made.participants.iter().filter(|p| (p.purpose == "agent") == wanted).map(|p| p.id).collect()
        };
        Self { id: made.id, agents: of(true), bystanders: of(false) }
    }
}

pub(super) struct Worker {
    pub(super) caller: Caller,
    pub(super) dice: StdRng,
    pub(super) sandbox: Sandbox,
    pub(super) books: Arc<Mutex<Books>>,
    pub(super) stages: Arc<Mutex<HashSet<Uuid>>>,
    pub(super) common: Arc<Stage>,
}

impl Worker {
    pub(super) async fn work(mut self, until: Instant) {
        while Instant::now() < until {
            // One conversation is everybody's, so that callers go on asking for it while it is poisoned.
            let stage = match self.dice.random_range(0..8) {
                0 => Arc::clone(&self.common),
                _ => Arc::new(Stage::set(&self.sandbox)),
            };
            self.stages.lock().unwrap().insert(stage.id);
            for _ in 0..self.dice.random_range(2..6) {
                self.act(&stage).await;
                sleep(Duration::from_millis(self.dice.random_range(0..40))).await;
            }
        }
    }

    async fn act(&mut self, stage: &Stage) {
        let request = Request::pick(&mut self.dice);
        let agent = stage.agents[self.dice.random_range(0..stage.agents.len())];
        let c = stage.id;
        let disconnect = format!("/conversations/{c}/participants/{agent}/disconnect");
        match request {
            Request::Disconnect => self.send(request, c, &[agent], "POST", &disconnect, None).await,
            Request::Repeated => {
                // The same at once from two sides, as an IVR platform that repeats.
                let mut other = self.caller.fresh();
                self.books().note_asked(c, &[agent]);
                let (one, two) = tokio::join!(self.caller.post(&disconnect), other.post(&disconnect));
                self.books().settle(request, c, &[agent], one);
                self.books().settle(request, c, &[agent], two);
            }
            Request::DropIn => {
                let path = format!("/api/v2/conversations/calls/{c}/participants/{agent}");
                self.send(request, c, &[agent], "PATCH", &path, Some(r#"{"state":"disconnected"}"#)).await;
            }
            Request::Selector => {
                let path = format!("/conversations/{c}/participants/disconnect");
                let body = json!({"purpose": "agent", "max": AGENTS}).to_string();
                self.send(request, c, &stage.agents, "POST", &path, Some(&body)).await;
            }
            Request::Teardown => {
                // Everybody may go: the bystanders are none any more.
                let everybody: Vec<Uuid> = stage.agents.iter().chain(&stage.bystanders).copied().collect();
                let path = format!("/conversations/{c}/disconnect");
                self.send(request, c, &everybody, "POST", &path, Some(r#"{"all":true}"#)).await;
            }
            Request::Queued => {
                self.send(request, c, &[agent], "POST", &format!("{disconnect}?async=true"), None).await;
            }
            Request::Lookup => {
                self.send(request, c, &[], "GET", &format!("/conversations/{c}/participants"), None).await
            }
            Request::Read => self.send(request, c, &[], "GET", &format!("/api/v2/conversations/{c}"), None).await,
            Request::Nonsense => {
                let path = format!("/conversations/{c}/participants/{agent}x/disconnect");
                self.send(request, c, &[], "POST", &path, None).await;
            }
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    async fn send(&mut self, request: Request, c: Uuid, whom: &[Uuid], method: &str, path: &str, body: Option<&str>) {
        self.books().note_asked(c, whom);
        let answer = self.caller.send(method, path, body).await;
        self.books().settle(request, c, whom, answer);
    }
}
