//! Join: repeats share one disconnect, and nothing is remembered that could become untrue.

use hangup::config::Surface;
use hangup::disconnect::{Request, Wrapup};
use hangup::medium::Medium;
use hangup::sandbox::ParticipantSpec;
use tokio::time::sleep;

use crate::support::{Kind, Reply, TestApp, all_are, ms, origin, s, together};

#[tokio::test(start_paused = true)]
async fn a_hundred_repeats_at_once_are_one_call() {
    let service = TestApp::patch().ready().await;
    let asks = (0..100).map(|n| service.disconnect(0).header("x-request-id", &format!("r-{n}")));
    let answers = together(asks).await;
    all_are(&answers, "200 accepted");
    assert_eq!(service.counts(), [1, 0, 1, 0]);
    for (n, answer) in answers.iter().enumerate() {
        assert_eq!(answer.json["requestId"], format!("r-{n}"), "each has its own request id");
        assert_eq!(answer.attempts(), 1);
    }
    assert!((service.metric("hangup_joined_total").await - 99.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_the_first_counts_and_another_participant_is_another_flight() {
    let service = TestApp::post_only().ready().await;
    let reason = |reason: &str| serde_json::json!({"reason": reason});
    let asks = [("a", 0), ("b", 0), ("c", 2)].map(|(r, n)| service.disconnect(n).json(&reason(r)));
    all_are(&together(asks.into_iter()).await, "200 disconnected");
    let bodies: Vec<_> =
        service.seen().into_iter().filter(|s| s.asked.kind == Kind::Post).map(|s| s.asked.body).collect();
    assert_eq!(bodies, [r#"{"reason":"a"}"#, r#"{"reason":"c"}"#]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_shared_and_not_remembered() {
    let service = TestApp::patch()
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then(|| Reply::status(400, "bad.request")))
        .ready()
        .await;
    all_are(&together((0..10).map(|_| service.disconnect(0))).await, "422 upstream_rejected");
    assert_eq!(service.disconnects(), 1);
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn a_flight_that_crashes_answers_internal_to_all_and_the_next_one_flies() {
    let service = TestApp::patch()
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then_some(Reply::Panic))
        .ready()
        .await;
    let answers = together((0..10).map(|_| service.disconnect(0))).await;
    all_are(&answers, "500 internal");
    assert!(answers.iter().all(|a| a.effect() == "unknown"), "it may have been sent");
    assert_eq!(service.disconnects(), 1);
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    assert!(service.metric("hangup_in_flight").await.abs() < f64::EPSILON, "places are given back");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_within_ten_seconds_of_acceptance_reads_once_and_sends_nothing() {
    let service = TestApp::patch().config(|c| c.sandbox.effect_delay = s(5)).ready().await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    let repeat = service.disconnect(0).send().await;
    assert_eq!(
        (repeat.line().as_str(), repeat.attempts()),
        ("200 accepted", 0),
        "still there: it takes effect shortly"
    );
    assert_eq!(service.counts(), [1, 0, 1, 1]);
    sleep(s(6)).await;
    all_are(&together((0..20).map(|_| service.disconnect(0))).await, "200 already_disconnected, seen");
    assert_eq!(service.counts(), [1, 0, 1, 2]);
    sleep(s(5)).await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 already_disconnected, seen");
    assert_eq!(service.counts(), [1, 0, 2, 3], "after ten seconds it is a disconnect like any other");
}

#[tokio::test(start_paused = true)]
async fn a_repeat_does_not_prolong_the_memory() {
    let service = TestApp::patch()
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then(|| Reply::status(202, "")))
        .ready()
        .await;
    service.disconnect(0).send().await;
    sleep(s(9)).await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    sleep(s(2)).await;
    service.disconnect(0).send().await;
    assert_eq!(service.counts(), [1, 0, 2, 1], "the first had no effect, and the caller asks again");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_hangs_up_stops_neither_the_disconnect_nor_those_who_joined() {
    let service = TestApp::patch()
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "").late(s(1))))
        .ready()
        .await;
    let first = tokio::spawn(service.disconnect(0).send());
    sleep(ms(50)).await;
    let second = tokio::spawn(service.disconnect(0).send());
    sleep(ms(50)).await;
    first.abort();
    assert_eq!(second.await.unwrap().line(), "200 accepted");
    assert_eq!(service.disconnects(), 1);
    let third = tokio::spawn(service.disconnect(2).send());
    sleep(ms(50)).await;
    third.abort();
    sleep(s(2)).await;
    let seen = service.seen();
    assert_eq!(seen.last().unwrap().status, 202, "carried through although no caller waits");
}

#[tokio::test(start_paused = true)]
async fn repeats_share_a_refusal_that_is_looked_into() {
    let service = TestApp::auto().surface(Surface::Both).ready().await;
    // The queue leg is over: "gone" to the PATCH, one read.
    all_are(&together((0..50).map(|_| service.disconnect(1))).await, "200 already_disconnected, seen");
    assert_eq!(service.counts(), [1, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_reason_that_is_refused_fails_its_own_caller_only() {
    let service = TestApp::post_only()
        .script(|asked| {
            let worse = String::from_utf8_lossy(&asked.body).contains("forbidden word");
            (asked.kind == Kind::Post && worse).then(|| Reply::status(400, "bad.request").late(ms(100)))
        })
        .ready()
        .await;
    let ask = |reason: &str| service.disconnect(0).json(&serde_json::json!({"reason": reason}));
    let asks = ["forbidden word", "user_request", "forbidden word"].map(ask);
    let answers: Vec<_> = together(asks.into_iter()).await.iter().map(|answer| answer.line()).collect();
    assert_eq!(answers, ["422 upstream_rejected", "200 disconnected", "422 upstream_rejected"]);
    assert_eq!(service.count(Kind::Post), 2, "who gives the same reason shares its refusal");
}

#[tokio::test(start_paused = true)]
async fn only_requests_with_the_same_effect_are_joined() {
    let service = TestApp::patch()
        .participants(vec![ParticipantSpec::default(); 2])
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "").late(ms(100))))
        .ready()
        .await;
    let request = || {
        let (cid, pid) = (service.conference.id.into(), service.conference.participants[0].id.into());
        Request::new(origin("ivr"), cid, pid)
    };
    let code = |code: &str| Some(Wrapup { code: code.to_owned(), notes: None });
    let requests = [
        request(),
        request(),
        Request { media: Some(Medium::Calls), ..request() },
        Request { wrapup: code("a"), ..request() },
        Request { wrapup: code("a"), reason: Some("other".to_owned()), ..request() },
        Request { wrapup: code("b"), ..request() },
        Request { wrapup_skipped: Some(true), ..request() },
    ];
    let disconnector = &service.app.disconnector;
    for result in futures_util::future::join_all(requests.map(|request| disconnector.disconnect(request))).await {
        assert_eq!(result.unwrap().outcome.name(), "accepted");
    }
    let seen = service.seen();
    let mut sent: Vec<_> = seen
        .iter()
        .filter(|s| s.asked.kind == Kind::Patch)
        .map(|s| format!("{} {}", s.asked.path.contains("/calls/"), String::from_utf8_lossy(&s.asked.body)))
        .collect();
    sent.sort();
    assert_eq!(
        sent,
        [
            r#"false {"state":"disconnected","wrapup":{"code":"a"}}"#,
            r#"false {"state":"disconnected","wrapup":{"code":"b"}}"#,
            r#"false {"state":"disconnected","wrapupSkipped":true}"#,
            r#"false {"state":"disconnected"}"#,
            r#"true {"state":"disconnected"}"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_repeat_where_the_post_is_all_there_is_hears_at_once_that_it_is_done() {
    let posts = std::sync::atomic::AtomicUsize::new(0);
    let service = TestApp::auto()
        .script(move |asked| {
            let first = || posts.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
            match asked.kind {
                Kind::Login => None,
                Kind::Post if first() => Some(Reply::status(204, "")),
                _ => Some(Reply::foreign(404, r#"{"detail":"Not Found"}"#)),
            }
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 disconnected");
    for _ in 0..3 {
        let repeat = service.disconnect(0).send().await;
        assert_eq!((repeat.line().as_str(), repeat.get("gone")), ("200 already_disconnected", true.into()));
    }
    assert_eq!(service.count(Kind::Post), 4);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_that_cannot_look_does_not_say_that_nobody_was_disconnected() {
    let service = TestApp::patch()
        .crowd(1)
        .script(|asked| (asked.kind == Kind::Read).then(|| Reply::status(503, "service.unavailable")))
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    let repeat = service.disconnect(0).send().await;
    assert_eq!((repeat.line().as_str(), repeat.effect()), ("503 upstream_unavailable", "unknown"), "{}", repeat.json);
    assert_eq!(service.disconnects(), 1);
}
