//! The service in-process over an upstream of which every call is written down: the sandbox, and in front of it a
//! script that may answer a call itself. On a paused clock throughout.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body as HttpBody;
use bytes::{Bytes, BytesMut};
use hangup::app::in_process;
use hangup::config::{Config, OperationChoice, Surface};
use hangup::genesys::answer::{Body, BodyEnd};
use hangup::genesys::error::{CallError, Cause};
use hangup::genesys::exchange::BodyLimit;
use hangup::http::{App, Door};
use hangup::sandbox::{Broken, Conference, ConversationSpec, ParticipantSpec, Sandbox};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use uuid::Uuid;

/// What an upstream call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Login,
    Post,
    Patch,
    Read,
}

/// One upstream call, as the script sees it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: Kind,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// The bearer token it carried.
    pub(crate) token: String,
    /// Which call of its kind it is, from 1.
    pub(crate) nth: usize,
    /// Time since the start.
    pub(crate) at: Duration,
}

/// One upstream call, as it is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) asked: Asked,
    /// 0: no answer.
    pub(crate) status: u16,
}

/// What the script answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Http {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Bytes,
    },
    /// The connection is lost before an answer.
    Lost,
    /// The connection is refused: nothing was sent.
    Refused,
    /// Nothing ever comes.
    Hang,
    /// The exchange panics.
    Panic,
    /// Served by the sandbox with full effect, then the answer is lost.
    ServedButLost,
    /// Served by the sandbox with full effect, then nothing comes.
    ServedButHangs,
    /// This, after so long.
    Late(Duration, Box<Reply>),
    /// A body that ends like this.
    Cut(BodyEnd),
}

impl Reply {
    /// A status with an error body of the upstream's form.
    pub(crate) fn status(status: u16, code: &str) -> Self {
        let body = json!({"message": format!("about {code}"), "code": code, "status": status, "details": []});
        Self::Http { status, headers: Vec::new(), body: body.to_string().into() }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::Http { status: 200, headers: Vec::new(), body: body.to_string().into() }
    }

    /// A login's answer.
    pub(crate) fn grant(token: &str, life: u64) -> Self {
        Self::json(&json!({"access_token": token, "token_type": "bearer", "expires_in": life}))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }

    /// With the rate-limit headers of a window.
    pub(crate) fn window(self, allowed: u32, count: u32, reset: u64) -> Self {
        self.with("inin-ratelimit-allowed", allowed)
            .with("inin-ratelimit-count", count)
            .with("inin-ratelimit-reset", reset)
    }

    pub(crate) fn late(self, time: Duration) -> Self {
        Self::Late(time, Box::new(self))
    }
}

type Script = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

struct Upstream {
    sandbox: Sandbox,
    script: Box<Script>,
    latency: Duration,
    started: Instant,
    seen: Mutex<Vec<Seen>>,
    nth: Mutex<HashMap<Kind, usize>>,
}

impl Upstream {
    async fn exchange(self: Arc<Self>, request: Request<Bytes>) -> Result<Response<Body>, CallError> {
        let asked = self.note(&request);
        let index = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(Seen { asked: asked.clone(), status: 0 });
            seen.len() - 1
        };
        sleep(self.latency).await;
        let outcome = match (self.script)(&asked) {
            Some(reply) => self.play(reply, request).await,
            None => self.serve(request).await,
        };
        if let Ok(response) = &outcome {
            self.seen.lock().unwrap()[index].status = response.status().as_u16();
        }
        outcome
    }

    fn note(&self, request: &Request<Bytes>) -> Asked {
        let path = request.uri().path().to_owned();
        let kind = match *request.method() {
            Method::PATCH => Kind::Patch,
            Method::GET => Kind::Read,
            _ if path.ends_with("/oauth/token") => Kind::Login,
            _ => Kind::Post,
        };
        let authorization = request.headers().get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default().to_owned();
        let mut nth = self.nth.lock().unwrap();
        let nth = nth.entry(kind).and_modify(|n| *n += 1).or_insert(1);
        Asked { kind, path, body: request.body().clone(), token, nth: *nth, at: self.started.elapsed() }
    }

    async fn play(&self, mut reply: Reply, request: Request<Bytes>) -> Result<Response<Body>, CallError> {
        while let Reply::Late(time, then) = reply {
            sleep(time).await;
            reply = *then;
        }
        match reply {
            Reply::Http { status, headers, body } => {
                let mut response = Response::builder().status(status).header("inin-correlation-id", "c-1");
                for (name, value) in headers {
                    response = response.header(name, value);
                }
                Ok(response.body(Body::complete(body)).unwrap())
            }
            Reply::Lost => Err(CallError::ConnectionLost(Cause::text("reset"))),
            Reply::Refused => Err(CallError::Connect(Cause::text("refused"))),
            Reply::Hang => std::future::pending().await,
            Reply::Panic => panic!("the exchange panics because the script says so"),
            Reply::ServedButLost => {
                self.serve(request).await?;
                Err(CallError::ConnectionLost(Cause::text("reset")))
            }
            Reply::ServedButHangs => {
                self.serve(request).await?;
                std::future::pending().await
            }
            Reply::Cut(end) => Ok(Response::new(Body { bytes: Bytes::from_static(b"{\"id\":"), end })),
            Reply::Late(..) => unreachable!("unwrapped above"),
        }
    }

    async fn serve(&self, request: Request<Bytes>) -> Result<Response<Body>, CallError> {
        let limit = request.extensions().get::<BodyLimit>().copied().unwrap_or_default();
        let response = self.sandbox.router().oneshot(request.map(HttpBody::from)).await;
        let response = response.unwrap_or_else(|never: Infallible| match never {});
        if Broken::of(&response).is_some() {
            return Err(CallError::ConnectionLost(Cause::text("cut by a fault")));
        }
        let (head, mut body) = response.into_parts();
        if head.status.is_success() && limit.success_needs_no_body {
            return Ok(Response::from_parts(head, Body::complete(Bytes::new())));
        }
        let (mut bytes, mut end) = (BytesMut::new(), BodyEnd::Complete);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                end = BodyEnd::Broken;
                break;
            };
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
            if bytes.len() > limit.bytes {
                end = BodyEnd::TooLarge;
                break;
            }
        }
        Ok(Response::from_parts(head, Body { bytes: bytes.freeze(), end }))
    }
}

/// Puts a [`Stand`] together.
pub(crate) struct Builder {
    config: Config,
    script: Box<Script>,
    latency: Duration,
    participants: Option<Vec<ParticipantSpec>>,
}

impl Builder {
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    pub(crate) fn operation(self, operation: OperationChoice) -> Self {
        self.config(|c| c.genesys.operation = operation)
    }

    pub(crate) fn surface(self, surface: Surface) -> Self {
        self.config(|c| c.sandbox.surface = surface)
    }

    /// The sandbox allows so many calls a minute and token.
    pub(crate) fn window(self, allowed: u32) -> Self {
        self.config(|c| c.sandbox.rate_limit = allowed)
    }

    /// May answer a call itself; whatever it leaves, the sandbox serves.
    pub(crate) fn script(mut self, script: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.script = Box::new(script);
        self
    }

    /// So many live customers in the one conversation.
    pub(crate) fn crowd(self, size: usize) -> Self {
        self.participants(vec![ParticipantSpec::default(); size])
    }

    pub(crate) fn participants(mut self, specs: Vec<ParticipantSpec>) -> Self {
        self.participants = Some(specs);
        self
    }

    /// Starts the service; the first login is under way.
    pub(crate) fn start(self) -> Stand {
        let sandbox = Sandbox::new(&self.config.sandbox);
        let spec = self.participants.map_or_else(ConversationSpec::default, ConversationSpec::with);
        let conference = sandbox.create_conference(spec);
        let upstream = Arc::new(Upstream {
            sandbox: sandbox.clone(),
            script: self.script,
            latency: self.latency,
            started: Instant::now(),
            seen: Mutex::default(),
            nth: Mutex::default(),
        });
        let behind = Arc::clone(&upstream);
        let exchange = tower::service_fn(move |request| Arc::clone(&behind).exchange(request));
        let (app, router) =
            in_process(&self.config, BoxCloneSyncService::new(exchange), Door::Both { metrics: true }).unwrap();
        Stand { app, sandbox, conference, router, upstream }
    }

    /// Starts the service and waits for its first token.
    pub(crate) async fn ready(self) -> Stand {
        let stand = self.start();
        while stand.app.disconnector.client().tokens().current().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        stand
    }
}

/// A service with its upstream.
pub(crate) struct Stand {
    pub(crate) app: App,
    pub(crate) sandbox: Sandbox,
    pub(crate) conference: Conference,
    router: Router,
    upstream: Arc<Upstream>,
}

impl Stand {
    /// The published PATCH only, found out by configuration; no rate limit to speak of; 10 ms of latency.
    pub(crate) fn patch() -> Builder {
        Self::auto().operation(OperationChoice::Patch)
    }

    /// The seeds' POST only.
    pub(crate) fn post() -> Builder {
        Self::auto().operation(OperationChoice::Post).surface(Surface::Seed)
    }

    /// The service finds out itself.
    pub(crate) fn auto() -> Builder {
        let mut config = Config::defaults();
        config.genesys.api_url = Some("http://api.test".to_owned());
        config.genesys.login_url = Some("http://login.test".to_owned());
        config.genesys.client_id = Some("sandbox".to_owned());
        config.genesys.client_secret = Some("sandbox-secret".into());
        config.sandbox.rate_limit = 1_000_000;
        Builder { config, script: Box::new(|_| None), latency: Duration::from_millis(10), participants: None }
    }

    /// A mission for the n-th participant.
    pub(crate) fn disconnect(&self, n: usize) -> Ask {
        self.disconnect_id(self.conference.participants[n].id)
    }

    pub(crate) fn disconnect_id(&self, participant: Uuid) -> Ask {
        let path = format!("/conversations/{}/participants/{participant}/disconnect", self.conference.id);
        self.request(&path)
    }

    pub(crate) fn disconnect_in(&self, conversation: Uuid, participant: Uuid) -> Ask {
        self.request(&format!("/conversations/{conversation}/participants/{participant}/disconnect"))
    }

    fn request(&self, path: &str) -> Ask {
        let request = Request::post(path).header("host", "127.0.0.1:8080").body(Bytes::new()).unwrap();
        Ask { router: self.router.clone(), request }
    }

    /// Missions for the first so many participants, all at once.
    pub(crate) async fn disconnect_all(&self, many: std::ops::Range<usize>) -> Vec<Answer> {
        together(many.map(|n| self.disconnect(n))).await
    }

    /// Everything that went upstream.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.upstream.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.seen().iter().filter(|s| s.asked.kind == kind).count()
    }

    /// Disconnect requests upstream.
    pub(crate) fn disconnects(&self) -> usize {
        self.count(Kind::Post) + self.count(Kind::Patch)
    }

    /// Logins, POSTs, PATCHes and reads so far.
    pub(crate) fn counts(&self) -> [usize; 4] {
        [Kind::Login, Kind::Post, Kind::Patch, Kind::Read].map(|kind| self.count(kind))
    }

    /// Calls of the API that were answered with this.
    pub(crate) fn answered(&self, status: u16) -> usize {
        self.seen().iter().filter(|s| s.asked.kind != Kind::Login && s.status == status).count()
    }

    /// When calls of this kind arrived.
    pub(crate) fn times(&self, kind: Kind) -> Vec<Duration> {
        self.seen().iter().filter(|s| s.asked.kind == kind).map(|s| s.asked.at).collect()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.upstream.started.elapsed()
    }

    pub(crate) fn live(&self, n: usize) -> bool {
        self.sandbox.is_live(self.conference.id, self.conference.participants[n].id)
    }

    /// The value of a metric without labels, or of the line that begins like this.
    pub(crate) async fn metric(&self, line: &str) -> f64 {
        let request = Request::get("/metrics").header("host", "127.0.0.1").body(HttpBody::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&text).unwrap();
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or_else(|| panic!("no metric {line} in\n{text}"))
    }
}

/// One request to the service.
pub(crate) struct Ask {
    router: Router,
    request: Request<Bytes>,
}

impl Ask {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
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

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
