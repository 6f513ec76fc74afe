//! Lists as files: the form that `Accept` asks for, and which part of them.

use std::path::Path;

use axum::body::Body;
use hangup::store::AuditRow;
use http::Request;
use http_body_util::BodyExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::jobs::{Queue, id, item};
use crate::support::TestApp;

#[tokio::test]
async fn a_download_has_the_form_that_is_wanted_most_and_only_the_items_that_are_asked_for() {
    let queue = Queue::new().await;
    let items: Vec<Value> = queue.conferences(5).iter().map(|c| item(c, "customer")).collect();
    let id = id(&queue.submit(&json!({"items": items, "hold": true})).await);
    let download = async |query: &str, accept: &str| {
        let ask = queue.service.request(Method::GET, &format!("/jobs/{id}/items{query}"));
        ask.header("accept", accept).send().await
    };
    for (accept, kind) in [
        ("application/json;q=0.5, text/csv", "text/csv; charset=utf-8"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("application/ndjson", "application/x-ndjson"),
        ("application/jsonl", "application/x-ndjson"),
    ] {
        assert_eq!(download("", accept).await.header("content-type"), kind, "{accept}");
    }
    let numbers = async |query: &str| {
        let text = download(query, "application/jsonl").await.text;
        let items = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        items.map(|item| item["index"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("").await, [0, 1, 2, 3, 4]);
    assert_eq!(numbers("?limit=2").await, [0, 1]);
    assert_eq!(numbers("?limit=2&cursor=1").await, [2, 3]);
    assert_eq!(numbers("?cursor=3").await, [4]);
    assert_eq!(download("?limit=0", "text/csv").await.verdict(), "400 invalid_query");
    assert_eq!(download("?limit=3", "text/csv").await.text.lines().count(), 4, "with its head");
}

/// A service without sockets, so that nothing reads ahead of the test, with a held job of 2,500 items and as many audit records.
async fn with_long_lists(file: &Path) -> (TestApp, String) {
    let service = TestApp::auto()
        .config(|config| {
            config.store.url = format!("sqlite:{}", file.display()).as_str().into();
            config.store.timeout = std::time::Duration::from_secs(5);
            config.auth.anonymous_permissions.0 = ["disconnect", "bulk", "audit"].map(str::to_owned).to_vec();
        })
        .start()
        .await;
    let items: Vec<Value> =
        (0..2_500).map(|_| json!({"conversationId": Uuid::new_v4(), "participantId": Uuid::new_v4()})).collect();
    let job = id(&service.post("/jobs").json(&json!({"items": items, "hold": true})).send().await);
    let record = |n: i64| AuditRow {
        id: format!("r{n:05}"),
        time: 1_700_000_000_000 + n,
        event: "disconnect".to_owned(),
        caller: None,
        job: None,
        conversation: None,
        participant: None,
        outcome: "disconnected".to_owned(),
        code: None,
        record: json!({"requestId": format!("r{n:05}")}).to_string(),
    };
    service.app.store.append_audit((0..2_500).map(record).collect()).await.unwrap();
    (service, job)
}

#[tokio::test]
async fn a_download_whose_store_fails_in_the_middle_breaks_off_and_no_part_passes_for_the_whole() {
    for (list, table, accept) in [
        ("audit", "audit", "application/x-ndjson"),
        ("audit", "audit", "text/csv"),
        ("items", "items", "application/x-ndjson"),
        ("items", "items", "text/csv"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hangup.db");
        let (service, job) = with_long_lists(&file).await;
        let path = if list == "audit" { "/audit".to_owned() } else { format!("/jobs/{job}/items") };
        let whole = service.request(Method::GET, &path).header("accept", accept).send().await;
        let lines = whole.text.lines().count();
        assert!(whole.status == 200 && lines >= 2_500, "{list} {accept}: {lines} lines");

        let request = Request::get(&path).header("host", "127.0.0.1:8080").header("accept", accept);
        let Ok(answer) = service.routes().oneshot(request.body(Body::empty()).unwrap()).await;
        let mut body = answer.into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.ends_with(b"\n"), "{list} {accept}: a whole line");
        let breaking = format!("ALTER TABLE {table} RENAME TO lost; CREATE TABLE {table} (x)");
        rusqlite::Connection::open(&file).unwrap().execute_batch(&breaking).unwrap();
        let mut end = Ok(());
        while let Some(frame) = body.frame().await {
            end = frame.map(drop);
        }
        assert!(end.is_err(), "{list} {accept}: it ended as if it were whole");
    }
}

#[tokio::test]
async fn a_download_that_cannot_even_begin_is_answered_with_an_error_and_not_with_200() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hangup.db");
    let (service, job) = with_long_lists(&file).await;
    let broken =
        "ALTER TABLE audit RENAME TO a; CREATE TABLE audit (x); ALTER TABLE items RENAME COLUMN conversation TO c";
    rusqlite::Connection::open(&file).unwrap().execute_batch(broken).unwrap();
    for path in ["/audit".to_owned(), format!("/jobs/{job}/items")] {
        let routes = service.routes();
        let request = Request::get(&path).header("host", "127.0.0.1:8080").header("accept", "text/csv");
        let Ok(answer) = routes.oneshot(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 503, "{path}");
    }
}
