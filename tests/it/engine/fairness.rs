//! No caller gets in another's way: one that reads or disconnects in a loop, against the disconnects of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hangup::callers::new_key;
use tokio::time::sleep;

use crate::support::{Ask, Kind, TestApp, ms, s};

/// A service with three callers, and their keys: a reader, who may only read, a hog and a victim.
async fn crowd(window: u32, size: usize) -> (Arc<TestApp>, [String; 3], tempfile::NamedTempFile) {
    let keys = ["reader", "hog", "victim"].map(|name| new_key(name).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    let read_only = keys[0].toml.replace("\"disconnect\", ", "");
    std::fs::write(file.path(), format!("{read_only}\n{}\n{}", keys[1].toml, keys[2].toml)).unwrap();
    let path = file.path().to_owned();
    let service = TestApp::patch().crowd(size).window(window).config(|c| c.auth.keys_file = Some(path)).ready().await;
    (Arc::new(service), keys.map(|key| key.text), file)
}

/// Asks over and over from `width` tasks, until asked to stop; counts how often it was let through.
fn in_a_loop(
    width: usize,
    stop: &Arc<AtomicBool>,
    ask: impl Fn(usize) -> Ask + Clone + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let served = Arc::new(AtomicUsize::new(0));
    for task in 0..width {
        let (stop, served, ask) = (Arc::clone(stop), Arc::clone(&served), ask.clone());
        tokio::spawn(async move {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                if ask(n * width + task).send().await.status == 200 {
                    served.fetch_add(1, Ordering::Relaxed);
                }
                sleep(ms(500)).await;
            }
        });
    }
    served
}

/// The victim disconnects `count` participants, one each `every`; how many of them were accepted.
async fn accepted(service: &TestApp, key: &str, count: usize, every: Duration) -> usize {
    let mut accepted = 0;
    for n in 0..count {
        let answer = service.disconnect(n).header("x-api-key", key).send().await;
        accepted += usize::from(answer.line() == "200 accepted");
        sleep(every).await;
    }
    accepted
}

#[tokio::test(start_paused = true)]
async fn a_reader_in_a_loop_stops_none_of_anothers_disconnects() {
    let (service, [reader, _, victim], _file) = crowd(300, 50).await;
    let stop = Arc::new(AtomicBool::new(false));
    let by = Arc::clone(&service);
    let reads = in_a_loop(12, &stop, move |_| by.list().header("x-api-key", &reader));
    sleep(s(20)).await;
    assert_eq!(accepted(&service, &victim, 40, s(3)).await, 40);
    stop.store(true, Ordering::Relaxed);
    assert!(reads.load(Ordering::Relaxed) > 300, "the reader has what is left: {reads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_window_of_five_starves_no_disconnect_and_no_reader() {
    let (service, [reader, _, victim], _file) = crowd(5, 50).await;
    let stop = Arc::new(AtomicBool::new(false));
    let by = Arc::clone(&service);
    let reads = in_a_loop(4, &stop, move |_| by.list().header("x-api-key", &reader));
    sleep(s(20)).await;
    assert_eq!(accepted(&service, &victim, 10, s(70)).await, 10);
    stop.store(true, Ordering::Relaxed);
    assert!(reads.load(Ordering::Relaxed) > 20, "{reads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_disconnects_in_a_loop_leaves_others_their_turn() {
    let (service, [_, hog, victim], _file) = crowd(60, 600).await;
    let stop = Arc::new(AtomicBool::new(false));
    let by = Arc::clone(&service);
    let most = in_a_loop(12, &stop, move |n| by.disconnect(100 + n % 500).header("x-api-key", &hog));
    sleep(s(30)).await;
    let by = Arc::clone(&service);
    let few = in_a_loop(2, &stop, move |n| by.disconnect(n % 100).header("x-api-key", &victim));
    sleep(s(300)).await;
    stop.store(true, Ordering::Relaxed);
    let (most, few) = (most.load(Ordering::Relaxed), few.load(Ordering::Relaxed));
    // Five windows of 60; two tasks beside twelve.
    assert!(few >= 15, "{few} beside {most}");
    assert!(service.count(Kind::Patch) > 240, "the window is not left idle: {}", service.count(Kind::Patch));
}

#[tokio::test(start_paused = true)]
async fn the_whole_window_is_used_where_only_lookups_come() {
    let (service, [reader, ..], _file) = crowd(60, 50).await;
    let stop = Arc::new(AtomicBool::new(false));
    let by = Arc::clone(&service);
    in_a_loop(12, &stop, move |_| by.list().header("x-api-key", &reader));
    sleep(s(240)).await;
    stop.store(true, Ordering::Relaxed);
    let reads = service.count(Kind::Read);
    assert!(reads >= 200, "{reads} of some 240 that four windows allow");
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_was_tightened_holds_for_a_remembered_selector() {
    let key = new_key("ivr").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &key.toml).unwrap();
    let path = file.path().to_owned();
    let service = TestApp::patch().config(|c| c.auth.keys_file = Some(path)).ready().await;
    let select = || {
        let ask = service.selector(&serde_json::json!({"purpose": "customer"}));
        ask.header("x-api-key", &key.text).header("idempotency-key", "once")
    };
    assert_eq!(select().send().await.status, 200);
    let sent = service.disconnects();
    std::fs::write(file.path(), format!("{}purposes = [\"agent\"]\n", key.toml)).unwrap();
    service.app.callers.reload().await.unwrap();
    assert_eq!(select().send().await.line(), "403 forbidden_participant");
    assert_eq!(service.disconnects(), sent);
}
