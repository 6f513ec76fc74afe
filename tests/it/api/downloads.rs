//! Lists as files: the form that `Accept` asks for, and which part of them.

use reqwest::Method;
use serde_json::{Value, json};

use super::jobs::{Queue, id, item};

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
