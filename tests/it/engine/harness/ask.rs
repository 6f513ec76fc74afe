//! Requests to the service, and its answers.

use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use hangup::http::Routes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt as _;

/// One request to the service.
pub(crate) struct Ask {
    pub(super) router: Routes,
    pub(super) request: Request<Bytes>,
}

impl Ask {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(crate) fn query(mut self, query: &str) -> Self {
        let uri = format!("{}?{query}", self.request.uri());
        *self.request.uri_mut() = uri.parse().unwrap();
        self
    }

    pub(crate) fn body(mut self, body: &Value) -> Self {
        *self.request.body_mut() = body.to_string().into();
        self
    }

    pub(crate) async fn send(self) -> Answer {
        let asked = Instant::now();
        let response = self.router.oneshot(self.request.map(HttpBody::from)).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status: head.status, headers: head.headers, json, took: asked.elapsed() }
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
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
    /// Time from the request to the answer.
    pub(crate) took: Duration,
}

impl Answer {
    fn text(&self, member: &str) -> &str {
        self.json[member].as_str().unwrap_or_default()
    }

    /// Status and outcome, or status and code: `200 accepted`.
    pub(crate) fn line(&self) -> String {
        let word = if self.json["ok"] == true { "outcome" } else { "code" };
        let seen = if self.json["verified"] == true { ", seen" } else { "" };
        format!("{} {}{seen}", self.status.as_u16(), self.text(word))
    }

    pub(crate) fn effect(&self) -> &str {
        self.text("effect")
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
