//! Answers that Genesys Cloud did not write.

use hangup::config::Surface;
use hangup::sandbox::{Action, Fault, Foreign, Gateway, On};
use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::sandbox::helpers::{Answer, Org};

fn bare(answer: &Answer) -> bool {
    answer.headers.keys().all(|name| !name.as_str().starts_with("inin-"))
}

#[tokio::test(start_paused = true)]
async fn what_stands_in_between_answers_in_its_own_form_without_genesys_clouds_headers_and_nothing_happens() {
    for (by, status, kind, body) in [
        (Gateway::Nginx, 404, Some("text/html"), "<center>nginx/1.27.2</center>"),
        (Gateway::Kong, 404, Some("application/json; charset=utf-8"), r#"{"message":"no Route matched"#),
        (Gateway::Traefik, 404, Some("text/plain; charset=utf-8"), "404 page not found"),
        (Gateway::Envoy, 404, None, ""),
        (Gateway::ApiGateway, 403, Some("application/json"), r#"{"message":"Missing Authentication Token"}"#),
        (Gateway::Fastapi, 404, Some("application/json"), r#"{"detail":"Not Found"}"#),
    ] {
        let org = Org::new(Surface::Both);
        let fault = Fault::new(On::Any, Action::Foreign(Foreign { by, status: None }));
        org.sandbox.set_faults(vec![fault]).expect("a rule");
        let login = org.good_login().await;
        let answers = [login, org.read().await, org.patch(org.agent()).await, org.post(org.agent(), "").await];
        for answer in answers {
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (status, kind), "{by:?}");
            assert!(bare(&answer), "{by:?}");
            assert!(String::from_utf8_lossy(&answer.body).contains(body), "{by:?}");
        }
        assert_eq!(org.sandbox.counts().effects, 0, "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_answer_can_have_any_status_and_concern_one_operation_only() {
    let org = Org::new(Surface::Both);
    let fault = r#"{"on":"patch","action":{"foreign":{"by":"fastapi","status":405}}}"#;
    assert_eq!(org.call(Method::POST, "/sandbox/faults", fault).await.status, 201);
    let refused = org.patch(org.agent()).await;
    assert_eq!((refused.status.as_u16(), refused.json()), (405, json!({"detail": "Method Not Allowed"})));
    assert!(org.read().await.header("inin-correlation-id").is_some());
    assert_eq!(org.post(org.agent(), "").await.status, 204);
    let wrong = r#"{"action":{"foreign":{"by":"nginx","status":99}}}"#;
    assert_eq!(org.call(Method::POST, "/sandbox/faults", wrong).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_minimal_upstream_has_the_login_and_the_post_and_nothing_else() {
    let org = Org::new(Surface::Published);
    org.sandbox.change_settings(&json!({"minimal": true})).expect("settings");
    assert_eq!(org.good_login().await.json()["token_type"], "bearer");
    let not_found = json!({"detail": "Not Found"});
    let teardown = format!("/api/v2/conversations/{}/disconnect", org.conference.id);
    for answer in [
        org.read().await,
        org.get("/api/v2/conversations").await,
        org.patch(org.agent()).await,
        org.patch_on("calls/", org.agent()).await,
        org.call(Method::POST, &teardown, "").await,
        org.get("/api/v2/nothing/here").await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.json()), (404, not_found.clone()));
        assert!(bare(&answer));
    }
    let done = org.post(org.agent(), r#"{"reason":"user_request"}"#).await;
    assert!(done.status == 204 && bare(&done) && !org.live(org.agent()));
    let gone = org.post(org.agent(), r#"{"reason":"user_request"}"#).await;
    assert_eq!((gone.status.as_u16(), gone.json()), (404, not_found.clone()));
    let stranger = org.post(Uuid::new_v4(), "").await;
    assert_eq!((stranger.status.as_u16(), stranger.json()), (404, not_found));
    let org = Org { token: "x".to_owned(), ..org };
    let refused = org.post(org.agent(), "").await;
    assert_eq!((refused.status.as_u16(), refused.json()), (401, json!({"detail": "Unauthorized"})));
}
