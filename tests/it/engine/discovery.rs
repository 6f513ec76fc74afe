//! Discovery: one wasted call in a process's life, and none after.

use hangup::config::Surface;

use crate::engine::harness::{Kind, Reply, Stand, all_are, ms, s};

#[tokio::test(start_paused = true)]
async fn thirty_two_first_missions_at_once_waste_one_post() {
    let stand = Stand::auto().crowd(32).ready().await;
    all_are(&stand.disconnect_all(0..32).await, "200 accepted");
    assert_eq!(stand.counts(), [1, 1, 32, 0]);
}

#[tokio::test(start_paused = true)]
async fn after_discovery_a_disconnect_is_exactly_one_call() {
    for (surface, posts, patches) in
        [(Surface::Published, 1, 41), (Surface::Unpublished, 41, 0), (Surface::Both, 41, 0)]
    {
        let stand = Stand::auto().surface(surface).crowd(41).ready().await;
        stand.disconnect(40).send().await;
        for n in 0..20 {
            let answer = stand.disconnect(n).send().await;
            assert_eq!((answer.status.as_u16(), answer.attempts()), (200, 1));
        }
        stand.disconnect_all(20..40).await;
        assert_eq!(stand.counts(), [1, posts, patches, 0], "{surface:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_org_that_took_a_post_once_is_not_denied_the_patch() {
    // A gateway was in maintenance and said 200 to everything.
    let stand = Stand::auto()
        .crowd(10)
        .script(|asked| (asked.kind == Kind::Post && asked.nth == 1).then(|| Reply::status(200, "")))
        .ready()
        .await;
    assert_eq!(stand.disconnect(0).send().await.line(), "200 disconnected");
    assert_eq!(stand.disconnect(1).send().await.line(), "200 accepted");
    for n in 2..10 {
        assert_eq!(stand.disconnect(n).send().await.attempts(), 1);
    }
    assert_eq!(stand.counts(), [1, 2, 9, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_settles_nothing_hands_the_task_on() {
    let stand = Stand::auto()
        .crowd(20)
        .script(|asked| (asked.kind == Kind::Patch && asked.nth <= 3).then(|| Reply::status(400, "bad.request")))
        .ready()
        .await;
    let answers = stand.disconnect_all(0..20).await;
    assert_eq!(answers.iter().filter(|a| a.line() == "422 upstream_rejected").count(), 3);
    assert_eq!(answers.iter().filter(|a| a.line() == "200 accepted").count(), 17);
    assert_eq!(stand.counts(), [1, 4, 20, 0]);
}

#[tokio::test(start_paused = true)]
async fn missions_do_not_queue_behind_probes_of_an_upstream_that_is_down() {
    let stand = Stand::auto()
        .crowd(100)
        .config(|c| c.retry.max_attempts = 1)
        .script(|asked| (asked.kind != Kind::Login).then(|| Reply::status(503, "service.unavailable").late(ms(500))))
        .ready()
        .await;
    let answers = stand.disconnect_all(0..100).await;
    all_are(&answers, "503 upstream_unavailable");
    assert!(answers.iter().all(|a| a.took < s(7)), "{:?}", answers.iter().map(|a| a.took).max());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_crashes_is_taken_over() {
    let stand = Stand::auto()
        .crowd(5)
        .script(|asked| (asked.kind == Kind::Post && asked.nth == 1).then_some(Reply::Panic))
        .ready()
        .await;
    let answers = stand.disconnect_all(0..5).await;
    assert_eq!(answers.iter().filter(|a| a.line() == "500 internal").count(), 1);
    assert_eq!(answers.iter().filter(|a| a.line() == "200 accepted").count(), 4);
}
