//! Whom the tests disconnect, and what the stand-in knows of them.

use std::time::Duration;

use hangup::config::{self, Config};
use hangup::sandbox::{ConversationSpec, Fault, ParticipantSpec, Sandbox};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::service::{Launch, PATIENCE, Process, against};
use super::shared::stand_in::StandIn;

/// A participant to be disconnected, in a conversation with a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) conversation: Uuid,
    pub(crate) participant: Uuid,
    pub(crate) customer: Uuid,
}

impl Target {
    pub(crate) fn path(&self) -> String {
        format!("/conversations/{}/participants/{}/disconnect", self.conversation, self.participant)
    }

    /// The conversation's participants.
    pub(crate) fn list(&self) -> String {
        format!("/conversations/{}/participants", self.conversation)
    }
}

impl StandIn {
    /// A sandbox without a rate limit to speak of.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(adjust: impl FnOnce(&mut config::Sandbox)) -> Self {
        // The tests of this process open thousands of connections.
        let _as_it_is = hangup::server::raise_descriptor_limit();
        let mut settings = Config::defaults().sandbox;
        settings.rate_limit = 10_000_000;
        adjust(&mut settings);
        Self::serving(&settings)
    }

    /// How a service against this sandbox is started.
    pub(crate) fn plan(&self) -> Launch {
        against(self.addr)
    }

    /// Starts the service and carries one disconnect through, so that it knows the org's way to disconnect.
    pub(crate) async fn start(&self, plan: Launch) -> Process {
        let service = plan.start().await;
        service.ready().await;
        let answer = service.caller().post(&self.target().path()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        service
    }

    /// A fresh conversation of an agent and a customer; the agent is the target.
    pub(crate) fn target(&self) -> Target {
        target_in(&self.sandbox)
    }

    pub(crate) fn targets(&self, count: usize) -> Vec<Target> {
        (0..count).map(|_| self.target()).collect()
    }

    pub(crate) fn is_live(&self, target: &Target) -> bool {
        self.sandbox.is_live(target.conversation, target.participant)
    }

    /// Waits until these are gone, and says whether their customers are still there.
    pub(crate) async fn only_these_are_gone(&self, targets: &[Target]) -> bool {
        let began = Instant::now();
        while targets.iter().any(|t| self.is_live(t)) {
            assert!(began.elapsed() < PATIENCE, "a disconnect that was reported never takes effect");
            sleep(Duration::from_millis(20)).await;
        }
        targets.iter().all(|t| self.sandbox.is_live(t.conversation, t.customer))
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.sandbox.add_fault(fault).expect("a rule");
    }

    /// A rule as the control endpoints take it.
    pub(crate) fn rule(&self, rule: serde_json::Value) {
        self.fault(serde_json::from_value(rule).expect("a rule"));
    }
}

/// A fresh conversation in this sandbox.
pub(crate) fn target_in(sandbox: &Sandbox) -> Target {
    let spec = ConversationSpec::with(vec![ParticipantSpec::of("agent"), ParticipantSpec::of("customer")]);
    let made = sandbox.create_conference(spec);
    Target {
        conversation: made.id,
        participant: made.first("agent").expect("an agent"),
        customer: made.first("customer").expect("a customer"),
    }
}
