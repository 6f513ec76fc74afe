//! Conversations with a long history: read as they come, by the real binary, in memory that stays flat.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use serde_json::json;

use crate::support::process::{Binary, Process};

const CONVERSATION: &str = "11111111-1111-4111-8111-111111111111";
const CUSTOMER: &str = "22222222-2222-4222-8222-222222222222";
const AGENT: &str = "33333333-3333-4333-8333-333333333333";
const MIB: usize = 1024 * 1024;

/// A message of a thread, some 180 bytes, as the API shows each of them.
const MESSAGE: &str = r#"{"messageId":"0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d","messageTime":"2026-01-31T12:00:00.000Z","messageStatus":"received","messageSegmentCount":1,"media":[],"stickers":[],"state":"connected"}"#;

/// A conversation of about `size` bytes: nearly all of it is history of the customer.
fn thread(size: usize) -> Response {
    let head = json!({"id": CUSTOMER, "purpose": "customer", "name": "Cy"}).to_string();
    let head = format!(r#"{{"id":"{CONVERSATION}","participants":[{},"messages":["#, head.trim_end_matches('}'));
    let agent = json!({"id": AGENT, "purpose": "agent", "name": "Ann", "calls": [{"state": "disconnected"}]});
    let tail = format!(r#"{MESSAGE}]}},{agent}]}}"#);
    let piece = Bytes::from(format!("{MESSAGE},").repeat(100));
    let pieces = std::iter::once(Bytes::from(head))
        .chain(std::iter::repeat_n(piece.clone(), size / piece.len()))
        .chain(std::iter::once(Bytes::from(tail)));
    let pieces = futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
    Response::new(Body::from_stream(pieces))
}

/// An upstream with one conversation of about `size` bytes, whose customer stays and whose agent has left.
async fn upstream(size: usize) -> SocketAddr {
    let grant =
        json!({"access_token": "a-token-as-long-as-real-ones", "token_type": "bearer", "expires_in": 3600}).to_string();
    let router = Router::new()
        .route("/oauth/token", post(move || async { grant }))
        .route("/api/v2/conversations/{cid}", get(move || async move { thread(size) }))
        .route(
            "/api/v2/conversations/{cid}/participants/{pid}",
            patch(|| async {
                let said = json!({"code": "not.found", "message": "no", "status": 404}).to_string();
                (http::StatusCode::NOT_FOUND, [("inin-correlation-id", "c-1")], said).into_response()
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// The service before an upstream whose conversation has this many bytes.
async fn before_a_conversation_of(bytes: usize) -> Process {
    let url = format!("http://{}", upstream(bytes).await);
    let environment = [
        ("HANGUP__GENESYS__API_URL", &*url),
        ("HANGUP__GENESYS__LOGIN_URL", &url),
        // A debug build on a busy machine takes its time.
        ("HANGUP__DISCONNECT__ATTEMPT_TIMEOUT", "25s"),
        ("HANGUP__DISCONNECT__DEADLINE", "60s"),
    ];
    Binary::new().await.serve(&[], &environment).await
}

/// Most memory that a process has ever had, in bytes.
fn peak(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_mebibytes_of_history_are_read_in_flat_memory() {
    let service = before_a_conversation_of(30 * MIB).await;
    let people = format!("/conversations/{CONVERSATION}/participants");
    // Whatever a first request needs is there already.
    let (status, _) = service.post(&format!("{people}/{AGENT}x/disconnect"), &[], "").await;
    assert_eq!(status, 400);
    let before = peak(service.pid());

    let (status, list) = service.get(&people).await;
    assert_eq!(status, 200, "{list}");
    assert!(list.contains("Cy") && list.contains("Ann") && list.contains(r#""total":2"#), "{list}");
    let (status, gone) = service.post(&format!("{people}/{AGENT}/disconnect"), &[], "").await;
    assert!(status == 200 && gone.contains("already_disconnected"), "{status} {gone}");

    let grown = peak(service.pid()) - before;
    assert!(grown < 10 * MIB, "memory grew by {} KiB", grown / 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_32_mebibytes_are_not_read() {
    let service = before_a_conversation_of(33 * MIB).await;
    let (status, said) = service.get(&format!("/conversations/{CONVERSATION}/participants")).await;
    assert!(status == 502 && said.contains("upstream_invalid_response"), "{status} {said}");
}
