//! Requests to the service, and its answers.

use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use hangup::http::Routes;
use http::{HeaderMap, HeaderName, Method, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt as _;

/// How a listener is reached.
#[derive(Clone)]
pub(super) enum Reach {
    Routes(Routes),
    Url(reqwest::Client, String),
}

/// One request to the service.
pub(crate) struct Ask {
    reach: Reach,
    request: Request<Bytes>,
}

impl Ask {
    pub(super) fn new(reach: Reach, method: Method, path: &str) -> Self {
        let uri = match &reach {
            Reach::Routes(_) => path.to_owned(),
            Reach::Url(_, base) => format!("{base}{path}"),
        };
        let mut request = Request::builder().method(method).uri(uri);
        if let Reach::Routes(_) = reach {
            request = request.header("host", "127.0.0.1:8080");
        }
        Self { reach, request: request.body(Bytes::new()).unwrap() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        let uri = format!("{}?{query}", self.request.uri());
        *self.request.uri_mut() = uri.parse().unwrap();
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        *self.request.body_mut() = body.into().into();
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub(crate) async fn send(self) -> Answer {
        let asked = Instant::now();
        let (status, headers, body) = match self.reach {
            Reach::Routes(routes) => {
                let Ok(answer) = routes.oneshot(self.request.map(HttpBody::from)).await;
                let (head, body) = answer.into_parts();
                (head.status, head.headers, body.collect().await.unwrap().to_bytes())
            }
            Reach::Url(client, _) => {
                let request = self.request.map(reqwest::Body::from);
                let answer = client.execute(request.try_into().unwrap()).await.unwrap();
                (answer.status(), answer.headers().clone(), answer.bytes().await.unwrap())
            }
        };
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&body).into_owned();
        Answer { status: status.as_u16(), headers, text, json, took: asked.elapsed() }
    }
}

/// Sends all at once, and answers in the same order.
pub(crate) async fn together(asks: impl Iterator<Item = Ask>) -> Vec<Answer> {
    let tasks: Vec<_> = asks.map(|ask| tokio::spawn(ask.send())).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// What the service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body, or `null` where it is not JSON.
    pub(crate) json: Value,
    /// Time from the request to the answer.
    pub(crate) took: Duration,
}

impl Answer {
    /// The body, which must be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// One member of the body.
    pub(crate) fn get(&self, member: &str) -> Value {
        self.json().get(member).cloned().unwrap_or_else(|| panic!("no {member} in {self:?}"))
    }

    fn word(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_default()
    }

    /// Status and outcome or code: `200 accepted`.
    pub(crate) fn verdict(&self) -> String {
        let json = self.json();
        let word = json.get("outcome").or_else(|| json.get("code")).and_then(Value::as_str).unwrap_or("-").to_owned();
        format!("{} {word}", self.status)
    }

    /// The same, and whether it was seen: `200 disconnected, seen`.
    pub(crate) fn line(&self) -> String {
        let word = if self.json["ok"] == true { "outcome" } else { "code" };
        let seen = if self.json["verified"] == true { ", seen" } else { "" };
        format!("{} {}{seen}", self.status, self.word(word))
    }

    pub(crate) fn effect(&self) -> &str {
        self.word("effect")
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.json["attempts"].as_u64().unwrap_or_else(|| panic!("no attempts in {}", self.json))
    }

    /// `Retry-After` in seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.headers.get("retry-after")?.to_str().ok()?.parse().ok()
    }
}

/// How often each line came, for a whole crowd: `[("200 accepted", 500)]`.
pub(crate) fn tally(answers: &[Answer]) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.line()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

/// Asserts that every answer is this one.
#[track_caller]
pub(crate) fn all_are(answers: &[Answer], line: &str) {
    assert_eq!(tally(answers), [(line.to_owned(), answers.len())]);
}
