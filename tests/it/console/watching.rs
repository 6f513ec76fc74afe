//! Many who watch one conversation cost one read every two seconds. On a paused clock.

use std::time::Duration;

use http::{Method, StatusCode};

use crate::support::{Kind, Reply, TestApp, s};

#[tokio::test(start_paused = true)]
async fn fifty_watchers_share_one_read_every_two_seconds() {
    let service = TestApp::patch().ready().await;
    let path = format!("/console/conversations/{}/live", service.conference.id);
    let watcher = |n: u64| {
        let (ask, path) = (service.asker(), path.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(37 * n)).await;
            for _ in 0..10 {
                assert_eq!(ask(Method::GET, &path).send().await.status, StatusCode::OK);
                tokio::time::sleep(s(2)).await;
            }
        }
    };
    let began = service.elapsed();
    let watchers: Vec<_> = (0..50).map(|n| tokio::spawn(watcher(n))).collect();
    for watcher in watchers {
        watcher.await.unwrap();
    }
    let took = (service.elapsed() - began).as_secs();
    let reads = service.count(Kind::Read) as u64;
    assert!((took / 2 - 1..=took / 2 + 1).contains(&reads), "{reads} reads in {took} s");
}

#[tokio::test(start_paused = true)]
async fn a_refused_read_is_shared_too_and_a_dialog_always_reads_anew() {
    let service = TestApp::patch()
        .script(|asked| (asked.kind == Kind::Read).then(|| Reply::status(404, "not.found")))
        .ready()
        .await;
    let live = format!("/console/conversations/{}/live", service.conference.id);
    let dialog = format!("/console/conversations/{0}/participants/{0}", service.conference.id);
    let ask = service.asker();
    for _ in 0..5 {
        assert_eq!(ask(Method::GET, &live).send().await.status, StatusCode::NOT_FOUND);
    }
    assert_eq!(service.count(Kind::Read), 1);
    for _ in 0..2 {
        ask(Method::GET, &dialog).send().await;
    }
    assert_eq!(service.count(Kind::Read), 3);
    assert_eq!(service.list().send().await.line(), "404 conversation_not_found");
    assert_eq!(service.count(Kind::Read), 4, "an API caller never gets a read of others");
}
