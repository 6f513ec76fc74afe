//! Drop-in: the upstream's own paths, statuses and error bodies.

use hangup::config::Surface;
use reqwest::Method;
use serde_json::json;

use crate::api::harness::{NOBODY, Service};

/// Members of an error of the upstream.
const MEMBERS: [&str; 7] = ["message", "code", "status", "messageParams", "contextId", "details", "errors"];

#[tokio::test]
async fn post_is_204_and_patch_202_whatever_the_org_has() {
    for surface in [Surface::Published, Surface::Unpublished, Surface::Both] {
        let service = Service::with(|c| c.sandbox.surface = surface).await;
        let api = format!("/api/v2/conversations/{}", service.conference.id);
        let calls = format!("/api/v2/conversations/calls/{}", service.conference.id);
        let (customer, agent, external) = (service.who("customer"), service.who("agent"), service.who("external"));
        let post = service.post(&format!("{api}/participants/{customer}/disconnect")).send().await;
        assert_eq!((post.status, post.text.as_str()), (204, ""), "{surface:?}");
        for path in [format!("{calls}/participants/{agent}"), format!("{api}/participants/{external}")] {
            let body = json!({"state": "Disconnected", "wrapup": null, "muted": null});
            let patch = service.request(Method::PATCH, &path).json(&body).send().await;
            assert_eq!((patch.status, patch.text.as_str()), (202, ""), "{surface:?} {path}");
        }
        service.settle().await;
        assert_eq!(service.there(), ["agent"], "{surface:?}");
        let again = service.post(&format!("{api}/participants/{customer}/disconnect")).send().await;
        assert_eq!(again.status, 204, "also for someone already gone");
    }
}

#[tokio::test]
async fn a_patch_for_anything_else_does_not_pass() {
    let service = Service::start().await;
    let path = format!("/api/v2/conversations/{}/participants/{}", service.conference.id, service.who("agent"));
    for body in [
        json!({}),
        json!({"state": "connected"}),
        json!({"state": null}),
        json!({"muted": true}),
        json!({"state": "disconnected", "muted": true}),
        json!({"state": "disconnected", "wrapup": {}}),
        json!({"State": "disconnected"}),
    ] {
        let answer = service.request(Method::PATCH, &path).json(&body).send().await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.get("code"), "bad.request");
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0, "nothing was forwarded");
}

#[tokio::test]
async fn reads_are_passed_on_as_they_are() {
    let service = Service::start().await;
    let cid = service.conference.id;
    for path in [format!("/api/v2/conversations/{cid}"), format!("/api/v2/conversations/calls/{cid}")] {
        let answer = service.get(&path).await;
        assert_eq!((answer.status, answer.get("id")), (200, json!(cid)));
        assert!(answer.get("participants").as_array().unwrap().len() >= 4);
        assert!(answer.json().get("ok").is_none());
    }
}

#[tokio::test]
async fn errors_are_the_upstreams() {
    let service = Service::start().await;
    let cid = service.conference.id;
    let unknown = service.post(&format!("/api/v2/conversations/{cid}/participants/{NOBODY}/disconnect")).send().await;
    let nowhere =
        service.post(&format!("/api/v2/conversations/{NOBODY}/participants/{NOBODY}/disconnect")).send().await;
    let unread = service.get(&format!("/api/v2/conversations/{NOBODY}")).await;
    let no_route = service.get("/api/v2/users/me").await;
    for answer in [&unknown, &nowhere, &unread, &no_route] {
        assert_eq!(answer.status, 404);
    }
    let malformed = service.get("/api/v2/conversations/xyz").await;
    assert_eq!(malformed.status, 400);
    let method = service.request(Method::DELETE, &format!("/api/v2/conversations/{cid}")).send().await;
    assert_eq!(method.status, 405);
    for answer in [unknown, nowhere, unread, no_route, malformed, method] {
        let json = answer.json();
        for member in MEMBERS {
            assert!(json.get(member).is_some(), "no {member} in {answer:?}");
        }
        assert_eq!(json["status"], answer.status);
        assert!(json.get("ok").is_none());
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_is_503_in_its_own_format() {
    let service = Service::with(|c| c.disconnect.deadline = std::time::Duration::from_millis(800)).await;
    service.sandbox.set_faults(vec![hangup::sandbox::Fault::status(hangup::sandbox::On::Api, 503)]).unwrap();
    let path =
        format!("/api/v2/conversations/{}/participants/{}/disconnect", service.conference.id, service.who("agent"));
    let answer = service.post(&path).send().await;
    assert_eq!((answer.status, answer.get("code")), (503, json!("service.unavailable")));
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_path_prefix_of_a_gateway_is_understood() {
    let service = Service::start().await;
    let answer = service.get(&format!("/genesys/api/v2/conversations/{}", service.conference.id)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(service.get(&format!("/genesys/conversations/{}", service.conference.id)).await.status, 404);
}

#[tokio::test]
async fn a_callers_token_is_never_forwarded() {
    let service = Service::start().await;
    let path = format!("/api/v2/conversations/{}", service.conference.id);
    let answer = service.request(Method::GET, &path).header("authorization", "Bearer callers-own").send().await;
    assert_eq!(answer.status, 200, "the sandbox knows only the token that it granted to the service");
}
