//! Which operation is sent: the published PATCH first and alone wherever it exists, the POST as the last resort.

use hangup::config::Surface;

use crate::support::{Asked, Kind, Reply, TestApp, all_are, ms, s};

/// The seeds' upstream: the POST, a token endpoint, and nothing else.
fn minimal(asked: &Asked) -> Option<Reply> {
    matches!(asked.kind, Kind::Patch | Kind::Read).then(|| Reply::foreign(404, r#"{"detail":"Not Found"}"#))
}

#[tokio::test(start_paused = true)]
async fn thirty_two_first_disconnects_at_once_are_thirty_two_calls() {
    let service = TestApp::auto().crowd(32).ready().await;
    all_are(&service.disconnect_all(0..32).await, "200 accepted");
    assert_eq!(service.counts(), [1, 0, 32, 0]);
}

#[tokio::test(start_paused = true)]
async fn the_first_disconnect_of_a_process_is_one_call_and_so_is_every_other() {
    // Without the PATCH, the first one finds out: the PATCH, the read, the PATCH of the call, the POST.
    for (surface, posts, patches, reads) in
        [(Surface::Published, 0, 41, 0), (Surface::Unpublished, 41, 2, 1), (Surface::Both, 0, 41, 0)]
    {
        let service = TestApp::auto().surface(surface).crowd(41).ready().await;
        let first = service.disconnect(40).send().await;
        assert_eq!(first.attempts(), if surface == Surface::Unpublished { 3 } else { 1 });
        for n in 0..20 {
            let answer = service.disconnect(n).send().await;
            assert_eq!((answer.status, answer.attempts()), (200, 1));
        }
        service.disconnect_all(20..40).await;
        assert_eq!(service.counts(), [1, posts, patches, reads], "{surface:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_patch_was_accepted_once_no_post_is_ever_sent() {
    let service = TestApp::auto()
        .crowd(4)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 2..) => Some(Reply::status(404, "not.found")),
            _ => None,
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    assert_eq!(service.disconnect(1).send().await.line(), "409 upstream_conflict");
    assert_eq!(service.count(Kind::Post), 0);
}

#[tokio::test(start_paused = true)]
async fn where_the_patch_was_refused_in_words_about_the_conversation_no_post_is_ever_sent() {
    let service = TestApp::auto()
        .crowd(4)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(404, "conversation.error.not.conversation.participant")),
            (Kind::Patch, _) => Some(Reply::status(404, "not.found")),
            _ => None,
        })
        .ready()
        .await;
    for n in 0..2 {
        assert_eq!(service.disconnect(n).send().await.line(), "409 upstream_conflict");
    }
    assert_eq!(service.count(Kind::Post), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_with_nothing_but_the_post_works_and_is_remembered() {
    let service = TestApp::auto().surface(Surface::Both).crowd(10).script(minimal).ready().await;
    let first = service.disconnect(0).send().await;
    assert_eq!((first.line().as_str(), first.attempts()), ("200 disconnected", 2));
    for n in 1..10 {
        assert_eq!(service.disconnect(n).send().await.attempts(), 1);
    }
    assert_eq!(service.counts(), [1, 10, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_plain_404_of_the_post_is_already_gone_once_a_post_was_accepted_there_and_not_before() {
    let nothing = |asked: &Asked| match asked.kind {
        Kind::Login => None,
        Kind::Post if asked.nth == 2 => None,
        _ => Some(Reply::foreign(404, r#"{"detail":"Not Found"}"#)),
    };
    let service = TestApp::auto().surface(Surface::Both).crowd(3).script(nothing).ready().await;
    assert_eq!(service.disconnect(0).send().await.line(), "502 upstream_invalid_response");
    assert_eq!(service.disconnect(1).send().await.line(), "200 disconnected");
    let gone = service.disconnect(2).send().await;
    assert_eq!(gone.line(), "200 already_disconnected");
    assert_eq!(gone.json["verified"], false, "the upstream's word alone");
}

#[tokio::test(start_paused = true)]
async fn an_org_that_only_took_posts_gets_the_patch_where_the_post_is_refused() {
    let service = TestApp::auto()
        .surface(Surface::Both)
        .crowd(3)
        .script(|asked| match (asked.kind, asked.nth) {
            // The PATCH comes with the org's next release.
            (Kind::Patch, 1..=2) => Some(Reply::status(404, "not.found")),
            (Kind::Post, 2..) => Some(Reply::status(410, "gone")),
            _ => None,
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 disconnected");
    assert_eq!(service.disconnect(1).send().await.line(), "422 upstream_rejected", "refused for good");
    let service = TestApp::auto()
        .surface(Surface::Both)
        .crowd(3)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1..=2) => Some(Reply::status(404, "not.found")),
            (Kind::Post, 2..) => Some(Reply::status(404, "not.found")),
            _ => None,
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 disconnected");
    assert_eq!(service.disconnect(1).send().await.line(), "200 accepted");
    assert_eq!(service.disconnect(2).send().await.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn disconnects_do_not_queue_behind_each_other_before_an_upstream_that_is_down() {
    let service = TestApp::auto()
        .crowd(100)
        .config(|c| c.retry.max_attempts = 1)
        .script(|asked| (asked.kind != Kind::Login).then(|| Reply::status(503, "service.unavailable").late(ms(500))))
        .ready()
        .await;
    let answers = service.disconnect_all(0..100).await;
    all_are(&answers, "503 upstream_unavailable");
    assert!(answers.iter().all(|a| a.took < s(7)), "{:?}", answers.iter().map(|a| a.took).max());
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_that_crashes_stops_no_other() {
    let service = TestApp::auto()
        .crowd(5)
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then_some(Reply::Panic))
        .ready()
        .await;
    let answers = service.disconnect_all(0..5).await;
    assert_eq!(answers.iter().filter(|a| a.line() == "500 internal").count(), 1);
    assert_eq!(answers.iter().filter(|a| a.line() == "200 accepted").count(), 4);
}
