//! When the effect of an attempt is unknown: one read, within the deadline, in the time reserved for it.

use hangup::config::{OperationChoice, Surface, UnknownConversation};

use crate::support::{Kind, Reply, TestApp, all_are, ms, s};

#[tokio::test(start_paused = true)]
async fn a_disconnect_whose_answer_was_lost_after_it_took_effect_is_already_disconnected() {
    for (service, kind) in [(TestApp::patch(), Kind::Patch), (TestApp::post_only(), Kind::Post)] {
        let service = service
            .config(|c| c.sandbox.effect_delay = ms(0))
            .script(move |asked| (asked.kind == kind && asked.nth == 1).then_some(Reply::ServedButLost))
            .ready()
            .await;
        let answer = service.disconnect(0).send().await;
        assert_eq!(answer.line(), "200 already_disconnected, seen", "{kind:?}: {}", answer.json);
        assert_eq!((service.count(kind), service.count(Kind::Read)), (2, 1));
        assert_eq!(answer.attempts(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_lost_and_the_effect_is_still_reported() {
    let service = TestApp::patch()
        .crowd(51)
        .config(|c| c.sandbox.effect_delay = ms(0))
        .script(|asked| (asked.kind == Kind::Patch).then_some(Reply::ServedButLost))
        .ready()
        .await;
    all_are(&service.disconnect_all(0..50).await, "200 already_disconnected, seen");
}

#[tokio::test(start_paused = true)]
async fn time_is_kept_back_for_the_look_behind_an_upstream_that_hangs() {
    for (deadline, attempt) in [(s(10), s(3)), (s(3), s(3)), (s(2), s(30)), (s(8), ms(500)), (ms(200), s(3))] {
        let service = TestApp::patch()
            .config(|c| {
                c.disconnect.deadline = deadline;
                c.disconnect.attempt_timeout = attempt;
                c.sandbox.effect_delay = ms(0);
            })
            .script(|asked| (asked.kind == Kind::Patch).then_some(Reply::ServedButHangs))
            .ready()
            .await;
        let answer = service.disconnect(0).send().await;
        assert_eq!(answer.line(), "200 already_disconnected, seen", "{deadline:?} {attempt:?}: {}", answer.json);
        assert!(answer.took <= deadline, "{deadline:?}: {:?}", answer.took);
        assert_eq!(service.count(Kind::Read), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_the_attempt_time_out_or_a_quarter_of_the_deadline() {
    let service = TestApp::patch()
        .script(|asked| match asked.kind {
            Kind::Login => None,
            _ => Some(Reply::Hang),
        })
        .ready()
        .await;
    let started = service.elapsed();
    let answer = service.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("504 upstream_timeout", "unknown"));
    assert_eq!(answer.took, s(10), "not a moment longer");
    let look = service.times(Kind::Read)[0] - started;
    assert!((ms(7490)..=ms(7510)).contains(&look), "{look:?}");
    assert!(service.times(Kind::Patch).iter().all(|at| *at - started < ms(7500)));
}

#[tokio::test(start_paused = true)]
async fn still_live_or_not_to_be_seen_is_the_error_with_unknown_effect() {
    let live =
        TestApp::patch().script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(503, "x"))).ready().await;
    let answer = live.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("503 upstream_unavailable", "unknown"));
    assert_eq!((live.disconnects(), live.count(Kind::Read)), (4, 1));
    assert_eq!(answer.json["upstream"]["status"], 503);

    let hidden = TestApp::patch()
        .script(|asked| match asked.kind {
            Kind::Patch => Some(Reply::status(503, "x")),
            Kind::Read => Some(Reply::status(403, "missing.permissions")),
            _ => None,
        })
        .ready()
        .await;
    let answer = hidden.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("503 upstream_unavailable", "unknown"));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_conversation_settles_an_unknown_effect_only_by_the_seeds_rule() {
    for (rule, line) in [
        (UnknownConversation::Error, "503 upstream_unavailable"),
        (UnknownConversation::Ended, "200 conversation_ended"),
    ] {
        let service = TestApp::patch()
            .config(|c| c.disconnect.unknown_conversation = rule)
            .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(504, "x")))
            .ready()
            .await;
        let (conversation, participant) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let answer = service.disconnect_in(conversation, participant).send().await;
        assert_eq!(answer.line(), line);
        assert_eq!(service.count(Kind::Read), 1, "one read in the reserve");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_looked_at_already_is_not_looked_at_again() {
    // 503, then a refusal that is looked into, and the look fails.
    let service = TestApp::patch()
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(503, "x")),
            (Kind::Patch, _) => Some(Reply::status(404, "not.found")),
            (Kind::Read, _) => Some(Reply::json(&serde_json::json!({"no": "conversation"}))),
            _ => None,
        })
        .ready()
        .await;
    let answer = service.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("502 upstream_invalid_response", "unknown"));
    assert_eq!(service.count(Kind::Read), 1);
}

#[tokio::test(start_paused = true)]
async fn refused_after_an_unknown_effect_and_live_all_the_same_is_a_conflict_of_unknown_effect() {
    let service = TestApp::patch()
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(503, "x")),
            (Kind::Patch, _) => Some(Reply::status(409, "conflict")),
            _ => None,
        })
        .ready()
        .await;
    let answer = service.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("409 upstream_conflict", "unknown"));
    assert_eq!((service.disconnects(), service.count(Kind::Read)), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_never_overrun_whatever_is_slow() {
    type Slow = (&'static str, fn(Kind) -> Option<Reply>);
    let slow: [Slow; 6] = [
        ("login", |kind| (kind == Kind::Login).then_some(Reply::Hang)),
        ("disconnect", |kind| matches!(kind, Kind::Post | Kind::Patch).then_some(Reply::Hang)),
        ("all", |kind| (kind != Kind::Login).then_some(Reply::Hang)),
        ("read", |kind| match kind {
            Kind::Login => None,
            Kind::Read => Some(Reply::Hang),
            _ => Some(Reply::status(404, "x")),
        }),
        ("each a little", |kind| (kind != Kind::Login).then(|| Reply::status(503, "x").late(ms(2900)))),
        ("lost late", |kind| (kind != Kind::Login).then(|| Reply::Lost.late(ms(2500)))),
    ];
    for operation in [OperationChoice::Auto, OperationChoice::Post, OperationChoice::Patch] {
        for (what, script) in slow {
            let service = TestApp::auto()
                .operation(operation)
                .surface(Surface::Both)
                .crowd(100)
                .script(move |asked| script(asked.kind))
                .start()
                .await;
            tokio::time::sleep(ms(100)).await;
            let answers = service.disconnect_all(0..100).await;
            let slowest = answers.iter().map(|a| a.took).max().unwrap();
            assert!(slowest <= s(10), "{operation:?}, {what}: {slowest:?}");
            let last = service.seen().iter().filter(|c| c.asked.kind != Kind::Login).map(|c| c.asked.at).max();
            assert!(last.is_none_or(|at| at < ms(10_100)), "{operation:?}, {what}: sent at {last:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn behind_an_answer_that_says_try_again_the_conversation_is_read() {
    for (status, code) in [(408, ""), (400, "request.timeout"), (409, "service.unavailable")] {
        let service = TestApp::patch()
            .script(move |asked| (asked.kind == Kind::Patch).then(|| Reply::status(status, code)))
            .ready()
            .await;
        // The queue leg is over.
        let gone = service.disconnect(1).send().await;
        assert_eq!(gone.line(), "200 already_disconnected, seen", "{status} {code}: {}", gone.json);
        let live = service.disconnect(0).send().await;
        assert_eq!((live.line().as_str(), live.effect()), ("503 upstream_unavailable", "unknown"), "{status} {code}");
        assert_eq!(live.get("gone"), false);
    }
}
