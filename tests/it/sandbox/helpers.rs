//! An org as the sandbox plays it, in this process, and the requests that tests send to it.

use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use bytes::Bytes;
use hangup::config::{self, Surface};
use hangup::sandbox::{Broken, Conference, ConversationSpec, Sandbox};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) broken: Option<Broken>,
    /// The body, as far as it came.
    pub(crate) body: Bytes,
    pub(crate) body_failed: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        self.header(name).expect(name).parse().expect(name)
    }
}

pub(crate) fn config(surface: Surface) -> config::Sandbox {
    config::Sandbox { surface, ..config::Config::defaults().sandbox }
}

/// A sandbox with one default conference, and a token for it.
pub(crate) struct Org {
    pub(crate) sandbox: Sandbox,
    pub(crate) conference: Conference,
    pub(crate) token: String,
}

impl Org {
    pub(crate) fn new(surface: Surface) -> Self {
        let sandbox = Sandbox::new(&config(surface));
        let conference = sandbox.create_conference(ConversationSpec::default());
        let token = sandbox.grant_token();
        Self { sandbox, conference, token }
    }

    pub(crate) fn agent(&self) -> Uuid {
        self.conference.first("agent").expect("an agent")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.sandbox.router().oneshot(request).await.expect("infallible");
        let broken = Broken::of(&response);
        let (parts, mut body) = response.into_parts();
        let (mut bytes, mut body_failed) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |d| d)),
                Err(_) => body_failed = true,
            }
            if body_failed || bytes.len() > 8 * 1024 * 1024 {
                break;
            }
        }
        Answer { status: parts.status, headers: parts.headers, broken, body: bytes.into(), body_failed }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }

    pub(crate) async fn read(&self) -> Answer {
        self.get(&format!("/api/v2/conversations/{}", self.conference.id)).await
    }

    /// The media-agnostic PATCH.
    pub(crate) async fn patch(&self, participant: Uuid) -> Answer {
        self.patch_on("", participant).await
    }

    /// The PATCH of a medium, given as `calls/`.
    pub(crate) async fn patch_on(&self, medium: &str, participant: Uuid) -> Answer {
        let path = format!("/api/v2/conversations/{medium}{}/participants/{participant}", self.conference.id);
        self.call(Method::PATCH, &path, r#"{"state":"disconnected"}"#).await
    }

    pub(crate) async fn post(&self, participant: Uuid, body: &str) -> Answer {
        let path = format!("/api/v2/conversations/{}/participants/{participant}/disconnect", self.conference.id);
        self.call(Method::POST, &path, body).await
    }

    pub(crate) async fn login(&self, id: &str, secret: &str, body: &str) -> Answer {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
        let request = Request::builder()
            .method(Method::POST)
            .uri("/oauth/token")
            .header("authorization", format!("Basic {basic}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(body.to_owned()))
            .expect("a request");
        self.send(request).await
    }

    pub(crate) async fn good_login(&self) -> Answer {
        self.login("sandbox", "sandbox-secret", "grant_type=client_credentials").await
    }

    pub(crate) fn live(&self, participant: Uuid) -> bool {
        self.sandbox.is_live(self.conference.id, participant)
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}
