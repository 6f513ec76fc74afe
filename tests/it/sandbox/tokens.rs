//! Logins, the life of tokens and the rate window, on a paused clock.

use std::time::Duration;

use axum::body::Body;
use hangup::config::Surface;
use hangup::sandbox::Kind;
use http::Request;
use serde_json::json;

use crate::sandbox::helpers::{Org, pass};

#[tokio::test(start_paused = true)]
async fn a_login_grants_a_bearer_token_that_opens_the_api() {
    let org = Org::new(Surface::Published);
    let answer = org.good_login().await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("bearer"), &json!(86_400)));
    let org = Org { token: body["access_token"].as_str().expect("a token").to_owned(), ..org };
    assert_eq!(org.read().await.status, 200);
    assert_eq!(org.sandbox.counts().logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn client_id_and_secret_may_come_in_the_form() {
    let org = Org::new(Surface::Published);
    let form = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox-secret&scope=a";
    let request = Request::post("/oauth/token").body(Body::from(form)).expect("a request");
    assert_eq!(org.send(request).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_login_says_what_is_wrong_in_the_login_hosts_form() {
    let org = Org::new(Surface::Published);
    let grant = "grant_type=client_credentials";
    for (id, secret, body, error) in [
        ("sandbox", "wrong", grant, "invalid_client"),
        ("nobody", "sandbox-secret", grant, "invalid_client"),
        ("sandbox", "sandbox-secret", "grant_type=password", "unsupported_grant_type"),
        ("sandbox", "sandbox-secret", "", "invalid_request"),
    ] {
        let answer = org.login(id, secret, body).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], error);
        assert!(answer.json()["description"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_missing_unknown_expired_revoked_or_idled_out_is_401() {
    let org = Org::new(Surface::Published);
    let bare = Request::get("/api/v2/conversations").body(Body::empty()).expect("a request");
    assert_eq!(org.send(bare).await.code(), "authentication.required");
    let wrong = Request::get("/api/v2/conversations").header("authorization", "Bearer x").body(Body::empty());
    assert_eq!(org.send(wrong.expect("a request")).await.code(), "bad.credentials");

    assert_eq!(org.read().await.status, 200);
    assert_eq!(org.sandbox.revoke_all_tokens(), 1);
    assert_eq!(org.read().await.code(), "bad.credentials");

    org.sandbox.change_tokens(&json!({"lifetime": "60s"})).expect("terms");
    let org = Org { token: org.sandbox.grant_token(), ..org };
    pass(Duration::from_secs(59)).await;
    assert_eq!(org.read().await.status, 200);
    pass(Duration::from_secs(1)).await;
    assert_eq!(org.read().await.code(), "credentials.expired");

    org.sandbox.change_tokens(&json!({"lifetime": "24h", "idle_timeout": "15m"})).expect("terms");
    let org = Org { token: org.sandbox.grant_token(), ..org };
    for _ in 0..3 {
        pass(Duration::from_secs(14 * 60)).await;
        assert_eq!(org.read().await.status, 200, "use keeps it alive");
    }
    pass(Duration::from_secs(15 * 60)).await;
    assert_eq!(org.read().await.code(), "bad.credentials");

    let refused = org.sandbox.counts().refused;
    let seen: Vec<_> =
        ["missing", "unknown", "revoked", "expired", "idled_out"].map(|r| refused.get(r).copied()).into();
    assert_eq!(seen, [Some(1); 5]);
    let states: Vec<_> = org.sandbox.tokens().iter().map(|t| t.state).collect();
    assert_eq!(states, ["revoked", "expired", "idled_out"]);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_window_per_token_is_counted_down_in_the_headers_and_then_answers_429() {
    let org = Org::new(Surface::Published);
    org.sandbox.change_settings(&json!({"rate_limit": 3, "rate_window": "60s"})).expect("settings");
    for count in 1..=3 {
        let answer = org.read().await;
        assert_eq!(answer.status, 200);
        assert_eq!((answer.number("inin-ratelimit-allowed"), answer.number("inin-ratelimit-count")), (3, count));
    }
    pass(Duration::from_millis(20_500)).await;
    let refused = org.read().await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too.many.requests"));
    assert_eq!((refused.number("retry-after"), refused.number("inin-ratelimit-reset")), (40, 40));
    assert_eq!(refused.json()["limit"]["key"], "client.credentials.token.rate.per.minute");
    assert!(org.patch(org.agent()).await.status == 429 && org.live(org.agent()));

    let other = Org { token: org.sandbox.grant_token(), ..org };
    assert_eq!(other.read().await.status, 200, "another token has a window of its own");
    let org = other;
    pass(Duration::from_millis(39_500)).await;
    assert_eq!(org.read().await.number("inin-ratelimit-count"), 2);
    assert_eq!(org.sandbox.counts().of_with_status(Kind::Read, 429), 1);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_share_a_window_are_counted_together() {
    let org = Org::new(Surface::Published);
    let shared = json!({"rate_limit": 3, "rate_window": "60s", "rate_shared": true});
    org.sandbox.change_settings(&shared).expect("settings");
    assert_eq!(org.read().await.number("inin-ratelimit-count"), 1);
    let other = Org { token: org.sandbox.grant_token(), ..org };
    for count in 2..=3 {
        assert_eq!(other.read().await.number("inin-ratelimit-count"), count);
    }
    assert_eq!(other.read().await.status, 429);
    let third = Org { token: other.sandbox.grant_token(), ..other };
    assert_eq!(third.read().await.status, 429, "a new token brings no new window");
    pass(Duration::from_secs(60)).await;
    assert_eq!(third.read().await.number("inin-ratelimit-count"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_can_be_shown_contains_a_token_or_the_secret() {
    let org = Org::new(Surface::Published);
    org.read().await;
    let listed = org.get("/sandbox/tokens").await;
    let journal = org.get("/sandbox/journal").await;
    let settings = org.get("/sandbox/settings").await;
    for text in [
        String::from_utf8_lossy(&listed.body).into_owned(),
        String::from_utf8_lossy(&journal.body).into_owned(),
        String::from_utf8_lossy(&settings.body).into_owned(),
        format!("{:?}", org.sandbox),
    ] {
        assert!(!text.contains(&org.token) && !text.contains("sandbox-secret"), "{text}");
    }
}
