//! What used to break with more than one replica.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::shared::until;
use super::super::table::Row;
use super::Fleet;

const THEME: &str = "A fleet and its store";

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_selector_never_reaches_the_next_agent_whichever_replica_serves_it() {
    const TEST: &str = "fleet::a_repeated_selector_never_reaches_the_next_agent_whichever_replica_serves_it";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    let mut reached = 0;
    for n in 0..100 {
        let target = fleet.stand_in.target();
        let key = (n % 2 == 0).then(|| n.to_string());
        let first = fleet.select(&target, key.as_deref()).await;
        assert_eq!(first.status, 200, "{}", first.text());
        let next = fleet.another_agent(&target);
        for _ in 0..3 {
            let repeat = fleet.select(&target, key.as_deref()).await;
            assert_eq!(
                repeat.json()["results"][0]["participantId"],
                target.participant.to_string(),
                "{}",
                repeat.text()
            );
        }
        fleet.stand_in.sandbox.settled(target.conversation).await;
        reached += usize::from(!fleet.stand_in.sandbox.is_live(target.conversation, next));
    }
    assert_eq!(reached, 0, "repeats reached the next agent");
    let other = fleet.stand_in.target();
    assert_eq!(fleet.select(&other, Some("0")).await.word(), "idempotency_key_reused");
    Row {
        theme: THEME,
        fault: "A selector for the agent is repeated at the next of three replicas after another agent has joined",
        callers_see: "The first agent in every answer; 422 `idempotency_key_reused` for another conversation",
        figure: "0 of 300 repeats reach anyone else, with and without `Idempotency-Key`",
        measured: "300 repeats".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_teardown_ends_nobody_who_came_since() {
    const TEST: &str = "fleet::a_repeated_teardown_ends_nobody_who_came_since";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    // The teardown is taken and has no effect, as with an org that is slow: the conversation goes on.
    fleet.stand_in.rule(serde_json::json!({"on": "teardown", "action": "ignore_effect"}));
    let mut ended = 0;
    for _ in 0..30 {
        let target = fleet.stand_in.target();
        let first = fleet.tear_down(&target).await;
        assert_eq!(first.word(), "accepted", "{}", first.text());
        let next = fleet.another_agent(&target);
        for _ in 0..2 {
            let repeat = fleet.tear_down(&target).await;
            assert_eq!(repeat.status, 200, "{}", repeat.text());
        }
        assert!(fleet.stand_in.only_these_are_gone(&[super::super::target::Target { customer: next, ..target }]).await);
        let customer = super::super::target::Target { participant: target.customer, customer: next, ..target };
        assert!(fleet.stand_in.only_these_are_gone(&[customer]).await, "who was there at first is ended one by one");
        ended += usize::from(!fleet.stand_in.sandbox.is_live(target.conversation, next));
    }
    assert_eq!(ended, 0);
    Row {
        theme: THEME,
        fault: "A teardown is repeated at other replicas after another participant has joined",
        callers_see: "200: those who were there at first are disconnected one by one",
        figure: "0 of 60 repeats end a new participant, and all who were there are gone",
        measured: "60 repeats".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mode_set_at_one_replica_reaches_all_within_two_seconds() {
    const TEST: &str = "fleet::a_mode_set_at_one_replica_reaches_all_within_two_seconds";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    let mut slowest = Duration::ZERO;
    for mode in ["observe", "enforce", "observe"] {
        let body = format!(r#"{{"mode":"{mode}"}}"#);
        let begun = Instant::now();
        let set = fleet.replicas[0].operator().send("PUT", "/mode", Some(&body)).await.expect("an answer");
        assert_eq!(set.status, 200, "{}", set.text());
        for replica in &fleet.replicas {
            let there =
                async || replica.operator().get("/mode").await.is_ok_and(|answer| answer.json()["mode"] == mode);
            assert!(until(Duration::from_secs(2), there).await.is_some(), "{mode} does not reach all");
        }
        slowest = slowest.max(begun.elapsed());
    }
    for _ in 0..60 {
        let target = fleet.stand_in.target();
        assert_eq!(fleet.caller().post(&target.path()).await.expect("an answer").word(), "would_disconnect");
        assert!(fleet.stand_in.is_live(&target));
    }
    let restarted = fleet.stand_in.plan().set("store.url", &fleet.cluster.url()).start().await;
    restarted.ready().await;
    let target = fleet.stand_in.target();
    assert_eq!(restarted.caller().post(&target.path()).await.expect("an answer").word(), "would_disconnect");
    Row {
        theme: THEME,
        fault: "`PUT /mode` observe at one of three replicas",
        callers_see: "`would_disconnect` at all of them, including one that starts afterwards",
        figure: "All within 2 s; 0 of 60 disconnected",
        measured: format!("{} ms", slowest.as_millis()),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_what_all_replicas_let_through_together() {
    const TEST: &str = "fleet::a_rate_is_what_all_replicas_let_through_together";
    let key = hangup::callers::new_key("ivr").expect("a key");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.toml");
    std::fs::write(&file, format!("{}\nrate = \"5/s\"\n", key.toml.trim_end())).expect("a file");
    let with_keys = |plan: super::super::service::Launch| plan.set("auth.keys_file", file.to_str().expect("a path"));
    let Some(cluster) = super::cluster::Cluster::start(TEST) else { return };
    let mut fleet =
        Fleet { stand_in: super::super::shared::stand_in::StandIn::new(), replicas: Vec::new(), next: 0, cluster };
    for _ in 0..3 {
        let replica = with_keys(fleet.plan()).start().await;
        replica.ready().await;
        fleet.replicas.push(replica);
    }
    for replica in &fleet.replicas {
        let all = async || replica.metric("hangup_replicas").await >= 3.0;
        assert!(until(Duration::from_secs(10), all).await.is_some(), "it does not see the others");
    }
    let (begun, mut passed, mut asked) = (Instant::now(), 0, 0);
    while begun.elapsed() < Duration::from_secs(5) {
        let target = fleet.stand_in.target();
        let mut caller = fleet.caller();
        caller.headers = format!("x-api-key: {}\r\n", key.text);
        asked += 1;
        passed += usize::from(caller.post(&target.path()).await.expect("an answer").status == 200);
        sleep(Duration::from_millis(10)).await;
    }
    assert!((20..=33).contains(&passed), "{passed} of {asked} passed in 5 s");
    Row {
        theme: THEME,
        fault: "A key with `rate = \"5/s\"` floods three replicas for 5 s",
        callers_see: "429 `caller_rate_limited` for the rest",
        figure: "20 to 33 pass (5 a second and a burst), as with one process",
        measured: format!("{passed} of {asked}"),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_of_one_replica_shows_what_all_have_done() {
    const TEST: &str = "fleet::the_audit_of_one_replica_shows_what_all_have_done";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    let target = fleet.stand_in.target();
    for _ in 0..30 {
        assert_eq!(
            fleet.caller().post(&format!("{}?dryRun=true", target.path())).await.expect("an answer").status,
            200
        );
    }
    let path = format!("/audit?conversation={}", target.conversation);
    for replica in &fleet.replicas {
        let seen = async || {
            let answer = replica.caller().get(&path).await.expect("an answer").json();
            let records = answer["records"].as_array().cloned().unwrap_or_default();
            let instances: std::collections::BTreeSet<_> =
                records.iter().map(|r: &Value| r["instance"].to_string()).collect();
            records.len() == 30 && instances.len() == 3
        };
        assert!(until(Duration::from_secs(5), seen).await.is_some(), "not all records are seen");
    }
    Row {
        theme: THEME,
        fault: "30 requests are spread over three replicas",
        callers_see: "`GET /audit` at each of them shows all 30",
        figure: "30 of 30 at each, with the instance that wrote it",
        measured: "30".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_killed_between_claim_and_effect_leaves_its_claim_to_the_others() {
    const TEST: &str = "fleet::a_replica_killed_between_claim_and_effect_leaves_its_claim_to_the_others";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    for round in 0..2 {
        let target = fleet.stand_in.target();
        let rule = serde_json::json!({"on": "disconnect", "conversation": target.conversation, "times": 1, "action": "half_open"});
        fleet.stand_in.rule(rule);
        let doomed = fleet.replicas.remove(0);
        let path = format!("/conversations/{}/participants/disconnect", target.conversation);
        let mut caller = doomed.caller();
        let asking =
            tokio::spawn(async move { caller.send("POST", &path, Some(r#"{"purpose":"agent"}"#)).await.map(drop) });
        let claims = format!("SELECT count(*) FROM claims WHERE conversation = '{}'", target.conversation);
        let committed = async || fleet.cluster.sql("app", &claims) == "1";
        assert!(until(Duration::from_secs(5), committed).await.is_some(), "no claim");
        doomed.signal(if round == 0 { "KILL" } else { "STOP" });
        let next = fleet.another_agent(&target);
        fleet.next = 0;
        let repeat = fleet.select(&target, None).await;
        assert_eq!((repeat.status, repeat.word()), (200, "all".to_owned()), "{}", repeat.text());
        assert_eq!(repeat.json()["results"][0]["participantId"], target.participant.to_string());
        if round == 1 {
            doomed.signal("CONT");
        }
        // Its own request has ended too: with an answer, or with the connection.
        let _answered_or_killed = asking.await.expect("no panic");
        fleet.stand_in.sandbox.settled(target.conversation).await;
        assert!(fleet.stand_in.sandbox.is_live(target.conversation, next), "the next agent was reached");
        assert!(!fleet.stand_in.is_live(&target));
        let replica = fleet.stand_in.start(fleet.plan()).await;
        fleet.replicas.push(replica);
        drop(doomed);
    }
    Row {
        theme: THEME,
        fault: "A replica is killed, or stopped and continued later, between its claim and the disconnect, and another agent joins",
        callers_see: "200 for the repeat at another replica",
        figure: "The agent that was claimed is gone, the next one is not touched",
        measured: "one of each".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}
