//! Connections that break in the hand: those to the upstream, and those of callers who hang up.

use std::time::Duration;

use hangup::sandbox::{ConversationSpec, Fault, On, ParticipantSpec};
use serde_json::json;
use tokio::time::Instant;

use super::callers::{Seen, disconnects};
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;

const THEME: &str = "Connections";

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reused_connections_reset_at_the_moment_of_use_are_not_noticed() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan()).await;
    stand_in.rule(json!({"on": "api", "reused": true, "action": "reset"}));
    stand_in.sandbox.clear_journal();
    let mut seen = Seen::default();
    while stand_in.sandbox.counts().faults < 1_000 {
        assert!(seen.total() < 5_000, "{} resets only", stand_in.sandbox.counts().faults);
        let more = disconnects(&service, &stand_in.targets(200), 8).await;
        more.none_failed();
        seen.answers.extend(more.answers);
    }
    assert!(stand_in.only_these_are_gone(&seen.gone()).await);
    Row {
        theme: THEME,
        fault: "1,000 reused connections to the upstream are reset at the moment of use",
        callers_see: "Nothing",
        figure: "0 errors",
        measured: format!("{} disconnects met {} resets", seen.total(), stand_in.sandbox.counts().faults),
        test: "connections::a_thousand_reused_connections_reset_at_the_moment_of_use_are_not_noticed",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disconnect_of_a_caller_who_hangs_up_completes_and_is_logged() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan()).await;
    stand_in.fault(Fault::latency(On::Disconnect, Duration::from_millis(500)));
    let targets = stand_in.targets(50);
    stand_in.sandbox.clear_journal();
    let mut callers = Vec::new();
    for target in &targets {
        let mut caller = service.caller();
        caller.begin("POST", &target.path(), None).await.unwrap();
        callers.push(caller);
    }
    let under_way = until(Duration::from_secs(5), async || stand_in.sandbox.counts().in_flight == 50).await;
    assert!(under_way.is_some(), "{:?}", stand_in.sandbox.counts());
    drop(callers);
    assert!(stand_in.only_these_are_gone(&targets).await);
    let logged = until(Duration::from_secs(5), async || {
        let log = service.log();
        let logged = |id: &str| log.lines().any(|l| l.contains(id) && l.contains("\"outcome\":\"accepted\""));
        targets.iter().all(|t| logged(&t.participant.to_string()))
    });
    assert!(logged.await.is_some(), "the outcome is not logged: {}", service.log());
    assert_eq!(stand_in.sandbox.counts().disconnects(), 50);
    Row {
        theme: THEME,
        fault: "Callers close their connection in the middle of a request",
        callers_see: "Nothing; their disconnect goes on",
        figure: "50 of 50 disconnects complete, and the outcome of each is logged with its ids",
        measured: "50 of 50".to_owned(),
        test: "connections::the_disconnect_of_a_caller_who_hangs_up_completes_and_is_logged",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_selector_of_a_caller_who_hangs_up_reaches_everybody_it_matched() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan().set("auth.anonymous_permissions", "disconnect,teardown")).await;
    let mut participants = vec![ParticipantSpec::of("customer")];
    participants.extend((0..20).map(|_| ParticipantSpec::of("agent")));
    let conference = stand_in.sandbox.create_conference(ConversationSpec::with(participants));
    stand_in.fault(Fault::latency(On::Disconnect, Duration::from_millis(200)));
    stand_in.sandbox.clear_journal();
    let mut caller = service.caller();
    let body = json!({"purpose": "agent", "max": 50}).to_string();
    let path = format!("/conversations/{}/participants/disconnect", conference.id);
    caller.begin("POST", &path, Some(&body)).await.unwrap();
    // The look at who is there has been answered, and disconnects wait for the upstream.
    let within = async || stand_in.sandbox.counts().reads() >= 1 && stand_in.sandbox.counts().in_flight >= 1;
    assert!(until(Duration::from_secs(5), within).await.is_some(), "no disconnect is sent");
    drop(caller);
    let began = Instant::now();
    let left = || stand_in.sandbox.conference(conference.id).map_or(0, |c| c.live().len());
    until(Duration::from_secs(5), async || left() == 1).await;
    assert_eq!(left(), 1, "who is left after {:?}: the customer alone", began.elapsed());
    Row {
        theme: THEME,
        fault: "A caller closes its connection in the middle of a selector that matches 20 agents",
        callers_see: "Nothing; the rest goes on",
        figure: "20 of 20 agents are disconnected, the customer stays",
        measured: format!("after {} ms", began.elapsed().as_millis()),
        test: "connections::the_selector_of_a_caller_who_hangs_up_reaches_everybody_it_matched",
        long_half: false,
    }
    .write();
}
