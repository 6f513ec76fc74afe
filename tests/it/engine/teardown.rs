//! A repeated teardown when others have come: those who were there at first are disconnected one by one.

use hangup::sandbox::ParticipantSpec;
use tokio::time::sleep;

use crate::support::{Asked, Builder, Kind, Reply, TestApp, ms, s};

/// The first teardown was refused, and one more participant has come since.
pub(super) async fn after_a_newcomer(
    app: Builder,
    patch: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
) -> TestApp {
    let service = app
        .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .script(move |asked| match asked.kind {
            Kind::Post => Some(Reply::status(422, "bad.request")),
            Kind::Patch => patch(asked),
            _ => None,
        })
        .ready()
        .await;
    assert_eq!(service.teardown().send().await.line(), "422 upstream_rejected");
    service.sandbox.add_participant(service.conference.id, ParticipantSpec::of("agent")).unwrap();
    service
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_fails_for_one_member_ends_the_others_and_says_that_it_had_an_effect() {
    let service =
        after_a_newcomer(TestApp::patch().crowd(3), |asked| (asked.nth == 2).then(|| Reply::status(413, "too.large")))
            .await;
    let answer = service.teardown().send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("422 upstream_rejected", "unknown"), "{}", answer.json);
    service.settled().await;
    assert_eq!([0, 1, 2].map(|n| service.live(n)), [false, true, false]);
    assert!(service.there().contains(&"agent".to_owned()), "the newcomer stays");
}

#[tokio::test(start_paused = true)]
async fn a_teardown_waits_for_all_of_its_members_together() {
    let service = after_a_newcomer(TestApp::patch().crowd(3), |_| Some(Reply::status(202, ""))).await;
    let answer = service.teardown().query("wait=5").send().await;
    assert_eq!((answer.status, answer.json["gone"].as_bool()), (202, Some(false)), "{}", answer.json);
    assert_eq!((answer.json["outcome"].as_str(), answer.attempts()), (Some("accepted"), 3));
    assert!(answer.took < s(6), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_was_sent_is_named_though_the_conversation_had_ended_already() {
    for (status, code) in [(409, "conflict"), (503, "service.unavailable")] {
        let service = TestApp::patch()
            .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
            .script(move |asked| {
                let id = asked.path.rsplit('/').next().unwrap();
                let body = serde_json::json!({"id": id, "endTime": "2026-01-01T00:00:00Z", "participants": []});
                match (asked.kind, asked.nth) {
                    (Kind::Post, _) => Some(Reply::status(status, code)),
                    (Kind::Read, 2..) => Some(Reply::json(&body)),
                    _ => None,
                }
            })
            .ready()
            .await;
        let answer = service.teardown().send().await;
        assert_eq!(answer.line(), "200 conversation_ended, seen", "{}", answer.json);
        assert_eq!(answer.json["operation"], "conversation_disconnect", "{status}: {}", answer.json);
        assert!(answer.attempts() > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_are_always_confirmed_are_all_sent_for_first() {
    let app = TestApp::patch().crowd(4).config(|c| {
        c.disconnect.confirm = hangup::config::Confirm::Always;
        c.disconnect.confirm_wait = s(5);
    });
    let service = after_a_newcomer(app, |_| Some(Reply::status(202, ""))).await;
    let answer = service.teardown().send().await;
    assert_eq!((answer.status, answer.attempts()), (202, 4), "{}", answer.json);
    assert!(answer.took < s(6), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_meets_an_owed_wrapup_says_who_must_be_disconnected_with_it() {
    let service = TestApp::patch()
        .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .script(|asked| {
            (asked.kind == Kind::Post).then(|| Reply::status(400, "conversation.error.wrapup.code.required"))
        })
        .ready()
        .await;
    let answer = service.teardown().send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("409 wrapup_required", "none"), "{}", answer.json);
    assert_eq!((answer.json["gone"].as_bool(), service.disconnects()), (Some(false), 1));
    let said = "the conversation goes on and a wrap-up code is owed: disconnect the participant who owes it, with wrapup \
                or wrapupSkipped";
    assert_eq!(answer.json["detail"], said);
    assert_eq!(answer.json["upstream"]["code"], "conversation.error.wrapup.code.required");
}

#[tokio::test(start_paused = true)]
async fn a_teardown_with_a_wait_of_no_time_reads_nothing_after_it_was_accepted() {
    for (query, looks) in [("wait=0", 0), ("wait=2", 1)] {
        let service = TestApp::patch()
            .config(|c| {
                c.auth.anonymous_permissions.0.push("teardown".to_owned());
                c.sandbox.effect_delay = ms(100);
            })
            .ready()
            .await;
        let answer = service.teardown().query(query).send().await;
        let line = if looks == 0 { "200 accepted" } else { "200 disconnected, seen" };
        assert_eq!((answer.line().as_str(), answer.json["gone"].as_bool()), (line, (looks > 0).then_some(true)));
        sleep(s(3)).await;
        assert_eq!(service.count(Kind::Read), 1 + looks, "{query}: one read before it, to claim who is there");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_teardown_that_met_no_one_reaches_no_one_who_has_come_since() {
    let service = TestApp::patch()
        .crowd(3)
        .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .script(|asked| {
            let id = asked.path.rsplit('/').next().unwrap();
            match (asked.kind, asked.nth) {
                // It goes on, and everyone has left.
                (Kind::Read, 1) => Some(Reply::json(&serde_json::json!({"id": id, "participants": []}))),
                (Kind::Post, 1) => Some(Reply::status(503, "service.unavailable")),
                (Kind::Post, 2) => Some(Reply::status(422, "bad.request")),
                _ => None,
            }
        })
        .ready()
        .await;
    assert_eq!(service.teardown().send().await.line(), "422 upstream_rejected");
    let answer = service.teardown().send().await;
    assert_eq!(answer.line(), "200 already_disconnected, seen", "{}", answer.json);
    service.settled().await;
    assert_eq!(([0, 1, 2].map(|n| service.live(n)), service.disconnects()), ([true; 3], 2));
}
