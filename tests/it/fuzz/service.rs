//! The service in this process, the sandbox behind it, and what holds for every answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use axum::body::Body as HttpBody;
use bytes::Bytes;
use hangup::app::{App, Upstream};
use hangup::config::Config;
use hangup::genesys::answer::Body;
use hangup::genesys::error::CallError;
use hangup::http::Listener;
use hangup::http::Routes;
use hangup::problem::Code;
use hangup::sandbox::{ConversationSpec, Counts, Kind, ParticipantSpec, Sandbox};
use http::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt as _, service_fn};
use uuid::Uuid;

use super::request::{Ids, Request};

/// A conversation that no fuzzing ever ends: nobody asks for its bystanders.
pub(crate) struct Service {
    sandbox: Sandbox,
    router: Routes,
    conversation: Uuid,
    participant: Uuid,
    _app: App,
    /// How often each status was answered; none: what is no HTTP.
    met: Mutex<BTreeMap<Option<u16>, usize>>,
}

impl Service {
    pub(crate) async fn start() -> Self {
        let mut settings = Config::defaults().sandbox;
        settings.rate_limit = u32::MAX;
        let sandbox = Sandbox::new(&settings);
        let mut members = vec![ParticipantSpec::of("customer")];
        members.extend((0..3).map(|_| ParticipantSpec::of("agent")));
        let made = sandbox.create_conference(ConversationSpec::with(members));
        let upstream = sandbox.router();
        let exchange = BoxCloneSyncService::new(service_fn(move |request: http::Request<Bytes>| {
            let upstream = upstream.clone();
            async move {
                let Ok(answer) = upstream.oneshot(request.map(HttpBody::from)).await;
                let (head, body) = answer.into_parts();
                let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                Ok::<_, CallError>(Response::from_parts(head, Body::complete(bytes)))
            }
        }));
        let environment: HashMap<String, String> = [
            ("GENESYS__REGION", "us-east-1"),
            ("SERVER__BIND", "127.0.0.1:0"),
            ("STORE__URL", "memory"),
            ("GENESYS__CLIENT_ID", "sandbox"),
            ("GENESYS__CLIENT_SECRET", "sandbox-secret"),
            // A caller whose id is nonsense waits for nobody; `Prefer: wait` is for this long at most.
            ("DISCONNECT__DEADLINE", "2s"),
        ]
        .into_iter()
        .map(|(key, value)| (format!("HANGUP__{key}"), value.to_owned()))
        .collect();
        let config = Config::from_parts(None, environment).expect("a configuration");
        let app = App::build(config, Upstream::Over(exchange)).await.expect("a service");
        let router = app.routes(Listener::Both { metrics: true });
        let participant = made.first("agent").expect("an agent");
        let service = Self { sandbox, router, conversation: made.id, participant, _app: app, met: Mutex::default() };
        while service.send(&ready()).await.expect("an answer").0 != 200 {
            tokio::task::yield_now().await;
        }
        service
    }

    pub(crate) fn ids(&self) -> Ids {
        (self.conversation.to_string(), self.participant.to_string())
    }

    /// Fails when the requests were not of many kinds: a fuzzer that is turned away at the door finds nothing.
    pub(crate) fn met_many_kinds(&self) {
        let met = self.met.lock().expect("no panic before");
        println!("{met:?}");
        let often = |status: u16| met.get(&Some(status)).is_some_and(|&times| times >= 10);
        assert!([200, 400, 401, 403, 404, 405].into_iter().all(often), "{met:?}");
        let nonsense = met.get(&None).copied().unwrap_or_default();
        assert!(nonsense * 3 < met.values().sum(), "mostly no HTTP at all: {met:?}");
        assert!(self.sandbox.counts().reads() >= 20, "{:?}", self.sandbox.counts());
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
        let Ok(answer) = self.router.clone().oneshot(built).await;
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = answer.into_body().collect().await.expect("our own body").to_bytes();
        Some((status, kind, body))
    }

    /// Sends a request and holds the answer to the contract.
    pub(crate) async fn judge(&self, request: &Request) -> Result<(), String> {
        let before = self.sandbox.counts();
        let answer = self.send(request).await;
        *self.met.lock().expect("no panic before").entry(answer.as_ref().map(|(status, ..)| *status)).or_default() += 1;
        let Some((status, kind, body)) = answer else { return Ok(()) };
        let after = self.sandbox.counts();
        let told = || format!("{request:?}\n{status} {kind} {}", String::from_utf8_lossy(&body));
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(format!("{what}: {}", told())) };

        must((200..600).contains(&status), "a status")?;
        must(status != 500, "no panic, no internal error")?;
        let other = |counts: &Counts| counts.by_kind.get(&Kind::Other).copied().unwrap_or_default();
        let analytics = |path: &str| path.starts_with("/api/v2/analytics/conversations/");
        let known = other(&before) == other(&after)
            || self.sandbox.journal().iter().filter(|e| e.kind == Kind::Other).all(|entry| analytics(&entry.path));
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
        let json: Value = serde_json::from_slice(&body).map_err(|e| format!("{e}: {}", told()))?;
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
            let members = [
                "type",
                "title",
                "status",
                "detail",
                "code",
                "requestId",
                "retryable",
                "retryAfterSeconds",
                "effect",
                "gone",
                "upstream",
            ];
            must(has(&members), "every member of a problem")?;
            must(json["status"] == status, "the status in the body")?;
            let code = json["code"].as_str().and_then(|name| Code::ALL.iter().find(|code| code.name() == name));
            must(code.is_some_and(|code| code.status() == status), "a code of that status")?;
        }
        Ok(())
    }
}

fn ready() -> Request {
    Request { method: "GET".to_owned(), path: "/readyz".to_owned(), headers: Vec::new(), body: Vec::new() }
}
