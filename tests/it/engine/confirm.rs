//! Confirm: looks after an accepted disconnect until the participant is gone, and says what it has seen.

use std::time::Duration;

use hangup::config::{Confirm, Surface};
use tokio::time::sleep;

use crate::support::{Kind, Reply, TestApp, all_are, ms, s, together};

/// Times of the reads after the last disconnect was answered.
fn looks(service: &TestApp, latency: Duration) -> Vec<u128> {
    let sent = *service.times(Kind::Patch).last().unwrap() + latency;
    service.times(Kind::Read).iter().map(|at| (*at - sent).as_millis()).collect()
}

fn near(found: &[u128], expected: &[u128]) -> bool {
    found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.abs_diff(*e) <= 20)
}

#[tokio::test(start_paused = true)]
async fn looks_come_at_a_quarter_a_half_one_and_two_seconds_until_gone() {
    let service = TestApp::patch().config(|c| c.sandbox.effect_delay = ms(1500)).ready().await;
    let answer = service.disconnect(0).header("prefer", "wait=10").send().await;
    assert_eq!(answer.line(), "200 disconnected, seen");
    assert_eq!(answer.headers["preference-applied"], "wait=10");
    assert_eq!(answer.attempts(), 1, "reads are no attempts");
    let times = looks(&service, ms(10));
    assert!(near(&times, &[250, 500, 1000, 2000]), "{times:?}");
    assert!(answer.took < ms(2100));
}

#[tokio::test(start_paused = true)]
async fn still_live_at_the_end_of_the_wait_is_202_accepted() {
    let service = TestApp::patch().config(|c| c.sandbox.effect_delay = s(60)).ready().await;
    let answer = service.disconnect(0).header("prefer", "wait=5").send().await;
    assert_eq!(answer.line(), "202 accepted");
    assert!((ms(4500)..=ms(5100)).contains(&answer.took), "{:?}", answer.took);
    let times = looks(&service, ms(10));
    assert!(near(&times[..5], &[250, 500, 1000, 2000, 4000]), "{times:?}");
    assert!(times.len() <= 6, "and a last one before the answer: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_wait_counts_from_acceptance_and_may_outlast_the_deadline() {
    let service = TestApp::patch()
        .config(|c| c.sandbox.effect_delay = s(14))
        .script(|asked| {
            (asked.kind == Kind::Patch && asked.nth == 1).then(|| Reply::status(503, "x").with("retry-after", &3))
        })
        .ready()
        .await;
    let answer = service.disconnect(0).header("prefer", "wait=20").send().await;
    assert_eq!(answer.line(), "200 disconnected, seen");
    assert!(answer.took > s(17), "{:?}", answer.took);
    let none = TestApp::patch().config(|c| c.sandbox.effect_delay = s(300)).ready().await;
    let answer = none.disconnect(0).header("prefer", "wait=3600").send().await;
    assert_eq!(answer.line(), "202 accepted");
    assert!((s(59)..=s(61)).contains(&answer.took), "at most a minute: {:?}", answer.took);
    let times = looks(&none, ms(10));
    assert!(times.last().unwrap() > &59_000, "what is said at the end was seen at the end: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_the_same_participant_share_the_looks() {
    let service = TestApp::patch().config(|c| c.sandbox.effect_delay = ms(800)).ready().await;
    let asks = (0..40).map(|_| service.disconnect(0).header("prefer", "wait=5"));
    all_are(&together(asks).await, "200 disconnected, seen");
    assert_eq!(service.counts(), [1, 0, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn the_synchronous_post_is_verified_by_a_look_when_asked_for() {
    let service = TestApp::post_only().ready().await;
    let answer = service.disconnect(0).header("prefer", "wait=5").send().await;
    assert_eq!(answer.line(), "200 disconnected, seen");
    assert_eq!(service.counts(), [1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_ends_with_the_disconnect_is_gone_too() {
    let service = TestApp::patch().participants(vec![hangup::sandbox::ParticipantSpec::default()]).ready().await;
    let answer = service.disconnect(0).header("prefer", "wait=5").send().await;
    assert_eq!(answer.line(), "200 disconnected, seen");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_look_the_acceptance_stands() {
    for read in [Reply::status(403, "missing.permissions"), Reply::status(503, "x"), Reply::Hang, Reply::Panic] {
        let answer = read.clone();
        let service =
            TestApp::patch().script(move |asked| (asked.kind == Kind::Read).then(|| answer.clone())).ready().await;
        let answer = service.disconnect(0).header("prefer", "wait=2").send().await;
        assert_eq!(answer.line(), "200 accepted", "{read:?}");
        assert!(answer.took <= ms(2050), "{read:?}: {:?}", answer.took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_crashed_does_not_blind_the_next_wait() {
    let service = TestApp::patch()
        .script(|asked| (asked.kind == Kind::Read && asked.nth == 1).then_some(Reply::Panic))
        .ready()
        .await;
    assert_eq!(service.disconnect(0).header("prefer", "wait=5").send().await.line(), "200 accepted");
    sleep(s(11)).await;
    assert_eq!(service.disconnect(0).header("prefer", "wait=5").send().await.line(), "200 already_disconnected, seen");
    let other = service.disconnect(2).header("prefer", "wait=5").send().await;
    assert_eq!(other.line(), "200 disconnected, seen");
}

#[tokio::test(start_paused = true)]
async fn configuration_can_ask_for_every_look_and_minimal_answers_are_given() {
    let service =
        TestApp::patch().surface(Surface::Published).config(|c| c.disconnect.confirm = Confirm::Always).ready().await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 disconnected, seen");
    let minimal = service.disconnect(2).header("prefer", "return=minimal").send().await;
    assert_eq!((minimal.status, minimal.json.is_null()), (204, true));
    assert_eq!(minimal.headers["preference-applied"], "return=minimal");
}

#[tokio::test(start_paused = true)]
async fn the_background_looks_only_while_over_half_of_the_window_is_left() {
    let service =
        TestApp::patch().crowd(20).window(20).config(|c| c.disconnect.confirm = Confirm::Background).ready().await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    assert_eq!(service.count(Kind::Read), 0, "answered before anybody looks");
    sleep(s(6)).await;
    let looked = service.count(Kind::Read);
    assert!(looked >= 1);
    sleep(s(60)).await;
    // A new window of 20. Each disconnect comes and is looked at before the next, until half of the window is gone.
    for n in 1..14 {
        assert_eq!(service.disconnect(n).send().await.line(), "200 accepted");
        sleep(s(1)).await;
    }
    let looks = service.count(Kind::Read) - looked;
    assert!((1..=6).contains(&looks), "{looks} looks");
}

#[tokio::test(start_paused = true)]
async fn polls_wait_behind_disconnects_at_the_gate() {
    let service = TestApp::patch()
        .crowd(40)
        .config(|c| c.pace.spread = ms(50))
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(202, "").window(300, 300, 1)),
            (Kind::Patch, _) => Some(Reply::status(202, "")),
            _ => None,
        })
        .ready()
        .await;
    let polled = tokio::spawn(service.disconnect(0).header("prefer", "wait=20").send());
    // The poll is in line from 250 ms on, the disconnects come after it.
    sleep(ms(500)).await;
    let disconnects = service.disconnect_all(1..20).await;
    all_are(&disconnects, "200 accepted");
    let (first_read, last_disconnect) =
        (service.times(Kind::Read).first().copied(), *service.times(Kind::Patch).last().unwrap());
    assert!(first_read.is_none_or(|at| at >= last_disconnect), "{first_read:?} before {last_disconnect:?}");
    polled.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_accepted_of_somebody_who_is_not_there_is_not_found_once_it_is_looked_at() {
    let service =
        TestApp::patch().script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, ""))).ready().await;
    let nobody = "99999999-9999-4999-8999-999999999999".parse().unwrap();
    let answer = service.disconnect_id(nobody).query("wait=2").send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("404 participant_not_found", "unknown"), "{}", answer.json);
    let path = format!("{}?wait=2", service.path_of(service.who("customer")));
    let answer = service.post(&path).json(&serde_json::json!({"media": "email"})).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("404 participant_not_found", "unknown"), "{}", answer.json);
    assert!(answer.json["detail"].as_str().unwrap().contains("no email"), "{}", answer.json);
}

#[tokio::test(start_paused = true)]
async fn what_the_upstream_said_it_disconnected_is_not_taken_back_by_a_list_without_it() {
    let service = TestApp::post_only()
        .script(|asked| {
            let id = asked.path.rsplit('/').next().unwrap();
            (asked.kind == Kind::Read).then(|| Reply::json(&serde_json::json!({"id": id, "participants": []})))
        })
        .ready()
        .await;
    let answer = service.disconnect(0).query("wait=2").send().await;
    assert_eq!((answer.line().as_str(), answer.json["verified"].as_bool()), ("200 disconnected", Some(false)));
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_behind_takes_nothing_back() {
    let service = TestApp::patch()
        .script(|asked| {
            let id = asked.path.rsplit('/').next().unwrap();
            match (asked.kind, asked.nth) {
                (Kind::Patch, _) => Some(Reply::status(202, "")),
                (Kind::Read, 2..) => Some(Reply::json(&serde_json::json!({"id": id, "participants": []}))),
                _ => None,
            }
        })
        .ready()
        .await;
    let answer = service.disconnect(0).query("wait=2").send().await;
    assert_eq!((answer.status, answer.json["gone"].as_bool()), (202, Some(false)), "{}", answer.json);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_no_time_reads_nothing() {
    let service = TestApp::patch().ready().await;
    assert_eq!(service.disconnect(0).query("wait=0").send().await.line(), "200 accepted");
    sleep(s(1)).await;
    assert_eq!(service.counts()[3], 0);
}

#[tokio::test(start_paused = true)]
async fn an_early_look_before_an_outage_is_no_alarm_and_a_last_one_that_sees_the_participant_is() {
    for (readable, alarms) in [(1, 0.0), (usize::MAX, 1.0)] {
        let service = TestApp::patch()
            .config(|c| {
                c.disconnect.confirm = Confirm::Background;
                // The first looks still see the participant.
                c.sandbox.effect_delay = s(3600);
            })
            .script(move |asked| (asked.kind == Kind::Read && asked.nth > readable).then(|| Reply::status(503, "x")))
            .ready()
            .await;
        assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
        tokio::time::sleep(s(30)).await;
        let unconfirmed = service.metric("hangup_unconfirmed_total").await;
        assert!((unconfirmed - alarms).abs() < f64::EPSILON, "{readable} reads: {unconfirmed}");
    }
}
