//! Leaving in order.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::callers::Traffic;
use super::service::PATIENCE;
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;

const THEME: &str = "Shutdown and crashes";

#[tokio::test(flavor = "multi_thread")]
async fn a_sigterm_under_traffic_fails_nobody_who_honours_readiness() {
    let stand_in = StandIn::new();
    let plan = stand_in.plan().set("shutdown.grace", "1500ms").set("shutdown.drain", "3s");
    let mut service = stand_in.start(plan).await;
    // Half a head stays open all the time.
    let mut half = service.caller();
    half.connect().await.unwrap().send("POST /conversations/x HTTP/1.1\r\nhost:").await.unwrap();

    let traffic = Traffic::start(&service, &stand_in, 200);
    sleep(Duration::from_secs(2)).await;
    service.signal("TERM");
    let asked = Instant::now();
    // As a load balancer does: look every 250 ms, send no more once it says no.
    let noticed = until(Duration::from_secs(1), async || {
        sleep(Duration::from_millis(250)).await;
        !service.readiness().await.is_ok_and(|a| a.status == 200)
    });
    assert!(noticed.await.is_some(), "it says that it is ready");
    let seen = traffic.end().await;
    seen.none_failed();
    let status = service.ended(Duration::from_secs(8)).await.expect("it does not end");
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0), "{status:?}");
    // Grace, drain, and a second for the rest.
    assert!(took < Duration::from_millis(5_500), "it took {took:?}");
    assert!(stand_in.only_these_are_gone(&seen.gone()).await);
    Row {
        theme: THEME,
        fault: "SIGTERM at 200 requests a second, with half a request head sent",
        callers_see: "Nothing, if they honour `/readyz`",
        figure: "0 failed requests; exit 0 within grace + drain + 1 s",
        measured: format!(
            "{} requests; exit 0 after {:.1} s with grace 1.5 s and drain 3 s",
            seen.total(),
            took.as_secs_f64()
        ),
        test: "shutdown::a_sigterm_under_traffic_fails_nobody_who_honours_readiness",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_drain_ends_is_answered_and_logged_by_its_ids() {
    let stand_in = StandIn::new();
    let plan = stand_in.plan().set("shutdown.grace", "100ms").set("shutdown.drain", "500ms");
    let mut service = stand_in.start(plan).await;
    stand_in.rule(serde_json::json!({"on": "api", "action": "half_open"}));
    let target = stand_in.target();
    let mut caller = service.caller();
    let path = target.path();
    let (answer, ()) = tokio::join!(caller.post(&path), async {
        let under_way = async || stand_in.sandbox.counts().in_flight > 0;
        assert!(until(PATIENCE, under_way).await.is_some(), "nothing goes upstream");
        service.signal("TERM");
    });
    let answer = answer.expect("an answer");
    assert_eq!((answer.status, answer.word().as_str()), (503, "shutting_down"), "{}", answer.text());
    assert_eq!(answer.json()["effect"], "unknown");
    assert!(answer.retry_after().is_some());
    let status = service.ended(Duration::from_secs(5)).await.expect("it does not end");
    assert_eq!(status.code(), Some(0));
    let log = service.log();
    let line = log.lines().find(|l| l.contains("\"event\":\"abandoned\"")).expect("a line");
    assert!(line.contains(&target.participant.to_string()) && line.contains(&target.conversation.to_string()));
    Row {
        theme: THEME,
        fault: "SIGTERM while the upstream does not answer",
        callers_see: "503 `shutting_down` with `Retry-After` and `effect: unknown` when the drain time ends",
        figure: "Every request under way is answered, and logged by its ids; exit 0",
        measured: "1 of 1".to_owned(),
        test: "shutdown::what_is_under_way_when_the_drain_ends_is_answered_and_logged_by_its_ids",
        long_half: false,
    }
    .write();
}
