//! The mode is switched while requests are under way: what has not gone upstream by then follows the new mode.

use hangup::config::{Config, Mode};
use serde_json::json;
use tokio::time::sleep;

use crate::support::ms;
use crate::support::{Answer, Ask, TestApp};

/// Sends it, and switches the mode half a second later; a call takes a second.
async fn switched(service: &TestApp, ask: Ask, mode: Mode) -> Answer {
    let switch = async {
        sleep(ms(500)).await;
        service.app.disconnector.set_mode(mode);
    };
    let (answer, ()) = tokio::join!(ask.send(), switch);
    answer
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_that_still_waits_when_the_mode_becomes_observe_is_only_looked_at() {
    // It waits for the first login.
    let service = TestApp::patch().latency(ms(1_000)).start().await;
    let answer = switched(&service, service.disconnect(0), Mode::Observe).await;
    assert_eq!(answer.line(), "200 would_disconnect, seen");
    assert_eq!(service.disconnects(), 0);
    service.app.disconnector.set_mode(Mode::Enforce);
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_at_the_gate_is_not_sent_either() {
    let service = TestApp::patch().window(4).config(|c| c.sandbox.rate_window = ms(6_000)).crowd(6).ready().await;
    let together = crate::support::together((0..6).map(|n| service.disconnect(n)));
    let (answers, ()) = tokio::join!(together, async {
        sleep(ms(1_000)).await;
        service.app.disconnector.set_mode(Mode::Observe);
    });
    let sent = answers.iter().filter(|answer| answer.line() == "200 accepted").count();
    assert_eq!(sent, service.answered(202), "nothing went out after the switch: {answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.line() == "200 would_disconnect, seen").count(), 6 - sent);
    assert!((1..6).contains(&sent), "some had to wait: {answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_selector_says_what_the_mode_made_of_it_when_it_is_switched_after_the_look() {
    for (first, then) in [(Mode::Enforce, Mode::Observe), (Mode::Observe, Mode::Enforce)] {
        let service = TestApp::patch().crowd(3).latency(ms(1_000)).ready().await;
        service.app.disconnector.set_mode(first);
        let ask = service.selector(&json!({"purpose": "customer", "max": 3}));
        let answer = switched(&service, ask, then).await;
        assert_eq!(answer.line(), "200 would_disconnect", "{then:?}");
        assert_eq!((answer.get("matched"), answer.get("disconnected")), (3.into(), 0.into()));
        assert_eq!(service.disconnects(), 0, "{then:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_has_only_looked_when_the_mode_becomes_observe_ends_nothing() {
    let permitted = |c: &mut Config| c.auth.anonymous_permissions.0.push("teardown".to_owned());
    let service = TestApp::patch().config(permitted).latency(ms(1_000)).ready().await;
    let answer = switched(&service, service.teardown(), Mode::Observe).await;
    assert_eq!(answer.line(), "200 would_disconnect, seen");
    assert!(service.live(0), "{answer:?}");
}
