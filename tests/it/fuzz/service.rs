//! The service in this process, the sandbox behind it, and what holds for every answer.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use hangup::problem::Code;
use hangup::sandbox::{Counts, Kind, ParticipantSpec};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::request::{Ids, Request};
use crate::support::{PROBLEM_MEMBERS, TestApp};

/// A conversation that no fuzzing ever ends: no request names its bystanders.
pub(crate) struct Service {
    app: TestApp,
    participant: Uuid,
    /// How often each status was answered; none: what is no HTTP.
    met: Mutex<BTreeMap<Option<u16>, usize>>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let mut members = vec![ParticipantSpec::of("customer")];
        members.extend((0..3).map(|_| ParticipantSpec::of("agent")));
        let builder = TestApp::auto().participants(members).latency(Duration::ZERO).window(u32::MAX);
        // With a nonsense id nothing is waited for; `Prefer: wait` is for this long at most.
        let app = builder.config(|config| config.disconnect.deadline = Duration::from_secs(2)).ready().await;
        let participant = app.who("agent");
        Self { app, participant, met: Mutex::default() }
    }

    pub(crate) fn ids(&self) -> Ids {
        (self.app.conference.id.to_string(), self.participant.to_string())
    }

    /// Fails when the requests were not of many kinds: a fuzzer whose requests are all refused early finds nothing.
    pub(crate) fn met_many_kinds(&self) {
        let met = self.met.lock().expect("no panic before");
        println!("{met:?}");
        let often = |status: u16| met.get(&Some(status)).is_some_and(|&times| times >= 10);
        assert!([200, 400, 401, 403, 404, 405].into_iter().all(often), "{met:?}");
        let nonsense = met.get(&None).copied().unwrap_or_default();
        assert!(nonsense * 3 < met.values().sum(), "mostly no HTTP at all: {met:?}");
        assert!(self.app.sandbox.counts().reads() >= 20, "{:?}", self.app.sandbox.counts());
    }

    /// Status, content type and body; `None` for what is no HTTP request at all.
    async fn send(&self, request: &Request) -> Option<(u16, String, Bytes)> {
        let mut built = http::Request::builder().method(request.method.as_bytes()).uri(&*request.path);
        for (name, value) in &request.headers {
            built = built.header(name, &**value);
        }
        if !request.headers.iter().any(|(name, _)| name == "host") {
            built = built.header("host", "127.0.0.1");
        }
        let built = built.body(HttpBody::from(request.body.clone())).ok()?;
        let Ok(answer) = self.app.routes().oneshot(built).await;
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = answer.into_body().collect().await.expect("our own body").to_bytes();
        Some((status, kind, body))
    }

    /// Sends a request and holds the answer to the contract.
    pub(crate) async fn judge(&self, request: &Request) -> Result<(), String> {
        let before = self.app.sandbox.counts();
        let answer = self.send(request).await;
        *self.met.lock().expect("no panic before").entry(answer.as_ref().map(|(status, ..)| *status)).or_default() += 1;
        let Some((status, kind, body)) = answer else { return Ok(()) };
        let after = self.app.sandbox.counts();
        let case = || format!("{request:?}\n{status} {kind} {}", String::from_utf8_lossy(&body));
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {}", case())) };

        must((200..600).contains(&status), "a status")?;
        must(status != 500, "no panic, no internal error")?;
        let other = |counts: &Counts| counts.by_kind.get(&Kind::Other).copied().unwrap_or_default();
        let analytics = |path: &str| path.starts_with("/api/v2/analytics/conversations/");
        let known = other(&before) == other(&after)
            || self.app.sandbox.journal().iter().filter(|e| e.kind == Kind::Other).all(|entry| analytics(&entry.path));
        must(known, "only known paths are asked of the upstream")?;
        let forwarded = after.requests - before.requests;
        // Refused as invalid before anything was sent.
        let invalid = matches!(status, 400 | 401 | 405 | 413) || (status == 403 && before.requests == after.requests);
        must(!invalid || forwarded == 0, "nothing invalid is forwarded")?;
        if status == 307 {
            return must(request.path.split(['?', '#']).next() == Some("/"), "only the root leads elsewhere");
        }
        if request.method == "HEAD" || status == 204 || status == 202 && body.is_empty() {
            return must(body.is_empty(), "no body");
        }
        if kind.starts_with("text/")
            || kind.contains("yaml")
            || kind.contains("openmetrics")
            || kind.contains("javascript")
        {
            return must(status == 200, "documents are successes");
        }
        must(body.len() < 32 * 1024, "under 32 KB")?;
        must(kind.starts_with("application/json") || kind.starts_with("application/problem+json"), "JSON")?;
        let json: Value = serde_json::from_slice(&body).map_err(|e| format!("{e}: {}", case()))?;
        let has = |names: &[&str]| names.iter().all(|name| json.get(name).is_some());
        if request.path.starts_with("/api/v2/") {
            // The upstream's own form.
            let error = ["message", "code", "status", "contextId", "details", "errors", "messageParams"];
            return must(status < 300 || has(&error), "every member of an error");
        }
        if request.path.starts_with("/oauth/token") && status < 500 && json.get("ok").is_none() {
            return must(has(&["access_token", "token_type", "expires_in"]) || has(&["error"]), "the form of OAuth");
        }
        must(!body.contains(&b'\n'), "one line")?;
        let well = status < 300 && json["outcome"] != "partial";
        must(json["ok"] == Value::Bool(well), "`ok` says what the status and the outcome say")?;
        if status >= 400 && !request.path.starts_with("/readyz") {
            must(has(&PROBLEM_MEMBERS), "every member of a problem")?;
            must(json["status"] == status, "the status in the body")?;
            let code = json["code"].as_str().and_then(|name| Code::ALL.iter().find(|code| code.name() == name));
            must(code.is_some_and(|code| code.status() == status), "a code of that status")?;
        }
        Ok(())
    }
}
