//! Three replicas that share a PostgreSQL, each asked in turn: what one process promises, the fleet keeps.

mod cluster;
mod database;
mod jobs;
mod promises;
mod rolling;
mod tls;

use std::time::Duration;

use hangup::sandbox::ParticipantSpec;
use uuid::Uuid;

use super::http::{Answer, Caller};
use super::service::{Launch, Process};
use super::shared::stand_in::StandIn;
use super::target::Target;
use cluster::Cluster;

/// Added to `store.timeout` (500 ms) when a refusal is timed on a busy machine; the contract says 100 ms.
const IN_TIME: Duration = Duration::from_millis(600);

/// Replicas of one store, in front of one sandbox.
struct Fleet {
    stand_in: StandIn,
    replicas: Vec<Process>,
    next: usize,
    cluster: Cluster,
}

impl Fleet {
    async fn start(test: &str, size: usize) -> Option<Self> {
        Self::with(test, size, |plan| plan).await
    }

    async fn with(test: &str, size: usize, change: impl Fn(Launch) -> Launch) -> Option<Self> {
        let cluster = Cluster::start(test)?;
        let mut fleet = Self { stand_in: StandIn::new(), replicas: Vec::new(), next: 0, cluster };
        for _ in 0..size {
            let plan = change(fleet.plan());
            let replica = fleet.stand_in.start(plan).await;
            fleet.replicas.push(replica);
        }
        Some(fleet)
    }

    fn plan(&self) -> Launch {
        self.stand_in
            .plan()
            .set("store.url", &self.cluster.url())
            .set("auth.anonymous_permissions", "disconnect,read,teardown,audit,operate")
    }

    /// A caller of the next replica, as a round robin would choose it.
    fn caller(&mut self) -> Caller {
        self.next = (self.next + 1) % self.replicas.len();
        self.replicas[self.next].caller()
    }

    /// Disconnects the agent of this conversation by a selector.
    async fn select(&mut self, target: &Target, key: Option<&str>) -> Answer {
        let mut caller = self.caller();
        if let Some(key) = key {
            caller.headers = format!("idempotency-key: {key}\r\n");
        }
        let path = format!("/conversations/{}/participants/disconnect", target.conversation);
        caller.send("POST", &path, Some(r#"{"purpose":"agent"}"#)).await.expect("an answer")
    }

    async fn tear_down(&mut self, target: &Target) -> Answer {
        let path = format!("/conversations/{}/disconnect", target.conversation);
        self.caller().send("POST", &path, Some(r#"{"all":true}"#)).await.expect("an answer")
    }

    /// Whether it is noted in the store that it stands in for another one.
    fn replacement_is_noted(&self) -> bool {
        let tables = "SELECT count(*) FROM pg_tables WHERE tablename = 'meta'";
        self.cluster.sql("app", tables) == "1"
            && self.cluster.sql("app", "SELECT count(*) FROM meta WHERE key = 'replaced'") == "1"
    }

    /// Another agent joins.
    fn another_agent(&self, target: &Target) -> Uuid {
        let added = self.stand_in.sandbox.add_participant(target.conversation, ParticipantSpec::of("agent"));
        added.expect("a participant").expect("a live conversation")
    }

    /// Disconnects fresh targets by name, at all replicas; none of them may fail.
    async fn named_go_on(&mut self, count: usize) {
        for _ in 0..count {
            let target = self.stand_in.target();
            let answer = self.caller().post(&target.path()).await.expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
}
