//! Join: repeats share one flight, and nothing is remembered that could become untrue.

use hangup::config::Surface;
use tokio::time::sleep;

use crate::engine::harness::{Kind, Reply, Stand, all_are, ms, s, together};

#[tokio::test(start_paused = true)]
async fn a_hundred_repeats_at_once_are_one_call() {
    let stand = Stand::patch().ready().await;
    let asks = (0..100).map(|n| stand.disconnect(0).with("x-request-id", &format!("r-{n}")));
    let answers = together(asks).await;
    all_are(&answers, "200 accepted");
    assert_eq!(stand.counts(), [1, 0, 1, 0]);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.json["requestId"], format!("r-{n}"), "each has its own request id");
        assert_eq!(answer.attempts(), 1);
    }
    assert!((stand.metric("hangup_joined_total").await - 99.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_the_first_counts_and_another_participant_is_another_flight() {
    let stand = Stand::post().ready().await;
    let reason = |reason: &str| serde_json::json!({"reason": reason});
    let asks = [("a", 0), ("b", 0), ("c", 2)].map(|(r, n)| stand.disconnect(n).body(&reason(r)));
    all_are(&together(asks.into_iter()).await, "200 disconnected");
    let bodies: Vec<_> =
        stand.seen().into_iter().filter(|s| s.asked.kind == Kind::Post).map(|s| s.asked.body).collect();
    assert_eq!(bodies, [r#"{"reason":"a"}"#, r#"{"reason":"c"}"#]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_shared_and_not_remembered() {
    let stand = Stand::patch()
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then(|| Reply::status(400, "bad.request")))
        .ready()
        .await;
    all_are(&together((0..10).map(|_| stand.disconnect(0))).await, "422 upstream_rejected");
    assert_eq!(stand.disconnects(), 1);
    assert_eq!(stand.disconnect(0).send().await.line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_crashes_answers_internal_to_all_and_the_next_one_flies() {
    let stand = Stand::patch()
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then_some(Reply::Panic))
        .ready()
        .await;
    let answers = together((0..10).map(|_| stand.disconnect(0))).await;
    all_are(&answers, "500 internal");
    assert!(answers.iter().all(|a| a.effect() == "unknown"), "it may have been sent");
    assert_eq!(stand.disconnects(), 1);
    assert_eq!(stand.disconnect(0).send().await.line(), "200 accepted");
    assert!(stand.metric("hangup_in_flight").await.abs() < f64::EPSILON, "places are given back");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_within_ten_seconds_of_acceptance_reads_once_and_sends_nothing() {
    let stand = Stand::patch().config(|c| c.sandbox.effect_delay = s(5)).ready().await;
    assert_eq!(stand.disconnect(0).send().await.line(), "200 accepted");
    let repeat = stand.disconnect(0).send().await;
    assert_eq!(
        (repeat.line().as_str(), repeat.attempts()),
        ("200 accepted", 0),
        "still there: it takes effect shortly"
    );
    assert_eq!(stand.counts(), [1, 0, 1, 1]);
    sleep(s(6)).await;
    all_are(&together((0..20).map(|_| stand.disconnect(0))).await, "200 already_disconnected, seen");
    assert_eq!(stand.counts(), [1, 0, 1, 2]);
    sleep(s(5)).await;
    assert_eq!(stand.disconnect(0).send().await.line(), "200 already_disconnected, seen");
    assert_eq!(stand.counts(), [1, 0, 2, 3], "after ten seconds it is a mission like any other");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_does_not_prolong_the_memory() {
    let stand = Stand::patch()
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then(|| Reply::status(202, "")))
        .ready()
        .await;
    stand.disconnect(0).send().await;
    sleep(s(9)).await;
    assert_eq!(stand.disconnect(0).send().await.line(), "200 accepted");
    sleep(s(2)).await;
    stand.disconnect(0).send().await;
    assert_eq!(stand.counts(), [1, 0, 2, 1], "the first had no effect, and somebody asks again");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_stops_neither_the_disconnect_nor_those_who_joined() {
    let stand = Stand::patch()
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "").late(s(1))))
        .ready()
        .await;
    let first = tokio::spawn(stand.disconnect(0).send());
    sleep(ms(50)).await;
    let second = tokio::spawn(stand.disconnect(0).send());
    sleep(ms(50)).await;
    first.abort();
    assert_eq!(second.await.unwrap().line(), "200 accepted");
    assert_eq!(stand.disconnects(), 1);
    let third = tokio::spawn(stand.disconnect(2).send());
    sleep(ms(50)).await;
    third.abort();
    sleep(s(2)).await;
    let seen = stand.seen();
    assert_eq!(seen.last().unwrap().status, 202, "carried through although nobody waits");
}

#[tokio::test(start_paused = true)]
async fn repeats_share_a_refusal_that_is_looked_into() {
    let stand = Stand::auto().surface(Surface::Both).ready().await;
    // The queue leg is over: 404 to the POST, "gone" to the PATCH, one look.
    all_are(&together((0..50).map(|_| stand.disconnect(1))).await, "200 already_disconnected, seen");
    assert_eq!(stand.counts(), [1, 1, 1, 1]);
}
