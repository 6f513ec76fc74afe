//! Shutdown: requests that have not gone upstream are answered at once; what is under way is carried through.

use std::time::Duration;

use hangup::sandbox::ParticipantSpec;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::support::{Kind, Reply, TestApp, all_are, ms, s, tally};

/// Stops the service after this time.
fn stop_after(service: &TestApp, time: Duration) {
    cancel_after(time, service.app.shutdown.stopping.clone());
}

/// Gives up what is under way after this time, as at the end of the drain time.
fn give_up_after(service: &TestApp, time: Duration) {
    cancel_after(time, service.app.shutdown.kill.clone());
}

fn cancel_after(time: Duration, token: CancellationToken) {
    tokio::spawn(async move {
        sleep(time).await;
        token.cancel();
    });
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_at_the_gate_are_turned_away() {
    let service = TestApp::patch()
        .crowd(60)
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "").late(s(2))))
        .ready()
        .await;
    stop_after(&service, s(1));
    let answers = service.disconnect_all(0..60).await;
    assert_eq!(tally(&answers), [("200 accepted".to_owned(), 32), ("503 shutting_down".to_owned(), 28)]);
    for answer in answers.iter().filter(|a| a.status == 503) {
        assert!(answer.took <= ms(1010), "{:?}", answer.took);
        assert!(answer.retry_after().is_some());
        assert_eq!(answer.effect(), "none");
    }
    assert_eq!(service.disconnects(), 32);
}

#[tokio::test(start_paused = true)]
async fn those_in_backoff_are_turned_away_and_looked_after() {
    let service = TestApp::patch()
        .crowd(5)
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(503, "x").with("retry-after", &5)))
        .ready()
        .await;
    stop_after(&service, s(1));
    let answers = service.disconnect_all(0..5).await;
    all_are(&answers, "503 shutting_down");
    for answer in &answers {
        assert!((s(1)..=ms(1050)).contains(&answer.took), "{:?}", answer.took);
        assert_eq!(answer.effect(), "unknown", "a 503 may have had its effect, and the look showed it live");
    }
    assert_eq!((service.disconnects(), service.count(Kind::Read)), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn those_in_backoff_after_a_429_or_a_refused_connection_have_no_effect() {
    for reply in [Reply::status(429, "x").with("retry-after", &5), Reply::Refused] {
        let service = TestApp::patch()
            // With full jitter, a pause of so long at most is as good as never short.
            .config(|c| {
                c.disconnect.deadline = s(100_000);
                (c.retry.backoff_min, c.retry.backoff_max) = (s(90_000), s(90_000));
            })
            .script(move |asked| (asked.kind == Kind::Patch).then(|| reply.clone()))
            .ready()
            .await;
        stop_after(&service, ms(30));
        let answer = service.disconnect(0).send().await;
        assert_eq!((answer.line().as_str(), answer.effect()), ("503 shutting_down", "none"));
        assert!(answer.took <= ms(50));
        assert_eq!(service.counts(), [1, 0, 1, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_token_are_turned_away() {
    let service =
        TestApp::patch().crowd(5).script(|asked| (asked.kind == Kind::Login).then(|| Reply::Hang)).start().await;
    stop_after(&service, s(1));
    let answers = service.disconnect_all(0..5).await;
    all_are(&answers, "503 shutting_down");
    assert!(answers.iter().all(|a| a.took <= ms(1010) && a.effect() == "none"));
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_carried_through_with_its_look() {
    let service = TestApp::patch()
        .script(|asked| match asked.kind {
            Kind::Patch => Some(Reply::status(404, "not.found").late(s(1))),
            _ => None,
        })
        .ready()
        .await;
    stop_after(&service, ms(500));
    // The queue leg is over.
    assert_eq!(service.disconnect(1).send().await.line(), "200 already_disconnected, seen");
    // Afterwards nothing new goes upstream.
    assert_eq!(service.disconnect(0).send().await.line(), "503 shutting_down");
    assert_eq!(service.counts(), [1, 0, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_abandoned_before_anything_was_sent_has_no_effect() {
    // A dry run reads, and sends nothing.
    let service = TestApp::patch().script(|asked| (asked.kind == Kind::Read).then_some(Reply::Hang)).ready().await;
    give_up_after(&service, s(2));
    let answer = service.disconnect(0).query("dryRun=true").send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("503 shutting_down", "none"));
    assert_eq!(service.disconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_to_be_abandoned_says_so() {
    let service = TestApp::patch().script(|asked| (asked.kind == Kind::Patch).then_some(Reply::Hang)).ready().await;
    give_up_after(&service, s(2));
    let answer = service.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("503 shutting_down", "unknown"));
    assert!(answer.took <= ms(2010));
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_is_abandoned_after_it_sent_a_disconnect_for_one_member_says_so() {
    let service = TestApp::patch()
        .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .script(|asked| match asked.kind {
            Kind::Post => Some(Reply::status(422, "bad.request")),
            Kind::Patch => Some(Reply::Hang),
            _ => None,
        })
        .ready()
        .await;
    assert_eq!(service.teardown().send().await.line(), "422 upstream_rejected");
    service.sandbox.add_participant(service.conference.id, ParticipantSpec::of("agent")).unwrap();
    give_up_after(&service, s(2));
    // An agent has joined since, so that those of the first teardown are disconnected one by one.
    let answer = service.teardown().send().await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("503 shutting_down", "unknown"));
    assert_eq!((service.count(Kind::Post), service.count(Kind::Patch)), (1, 1));
}
