//! The upstream: a script, behind it the sandbox, and a list of every call.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body as HttpBody;
use bytes::{Bytes, BytesMut};
use hangup::genesys::answer::{Body, BodyEnd};
use hangup::genesys::error::{CallError, Cause};
use hangup::genesys::exchange::ExchangeOptions;
use hangup::sandbox::{Broken, Sandbox};
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

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
    pub(crate) accept_encoding: String,
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
    /// Served by the sandbox: for what comes [`Reply::Late`].
    Served,
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

    /// What something else than Genesys Cloud says: no correlation id, and a body of its own.
    pub(crate) fn foreign(status: u16, body: &str) -> Self {
        Self::Http { status, headers: vec![("inin-correlation-id", String::new())], body: body.to_owned().into() }
    }

    /// A login's answer.
    pub(crate) fn grant(token: &str, life: u64) -> Self {
        Self::json(&json!({"access_token": token, "token_type": "bearer", "expires_in": life}))
    }

    pub(crate) fn with(mut self, name: &'static str, value: &impl ToString) -> Self {
        if let Self::Http { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }

    /// With the rate-limit headers of a window.
    pub(crate) fn window(self, allowed: u32, count: u32, reset: u64) -> Self {
        self.with("inin-ratelimit-allowed", &allowed)
            .with("inin-ratelimit-count", &count)
            .with("inin-ratelimit-reset", &reset)
    }

    pub(crate) fn late(self, time: Duration) -> Self {
        Self::Late(time, Box::new(self))
    }
}

pub(super) type Script = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

pub(super) struct Upstream {
    pub(super) sandbox: Sandbox,
    pub(super) script: Box<Script>,
    pub(super) latency: Duration,
    pub(super) started: Instant,
    pub(super) seen: Mutex<Vec<Seen>>,
    pub(super) nth: Mutex<HashMap<Kind, usize>>,
}

impl Upstream {
    pub(super) async fn exchange(self: Arc<Self>, request: Request<Bytes>) -> Result<Response<Body>, CallError> {
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
        let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let accept_encoding = header("accept-encoding").to_owned();
        let token = header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
        let mut nth = self.nth.lock().unwrap();
        let nth = nth.entry(kind).and_modify(|n| *n += 1).or_insert(1);
        Asked {
            kind,
            path,
            body: request.body().clone(),
            token,
            accept_encoding,
            nth: *nth,
            at: self.started.elapsed(),
        }
    }

    async fn play(&self, mut reply: Reply, request: Request<Bytes>) -> Result<Response<Body>, CallError> {
        while let Reply::Late(time, then) = reply {
            sleep(time).await;
            reply = *then;
        }
        match reply {
            Reply::Http { status, headers, body } => {
                let mut response = Response::builder().status(status);
                let foreign = headers.iter().any(|(name, value)| *name == "inin-correlation-id" && value.is_empty());
                if !foreign {
                    response = response.header("inin-correlation-id", "c-1");
                }
                for (name, value) in headers.into_iter().filter(|(_, value)| !value.is_empty()) {
                    response = response.header(name, value);
                }
                Ok(response.body(Body::complete(body)).unwrap())
            }
            Reply::Served => self.serve(request).await,
            Reply::Lost => Err(CallError::ConnectionLost(Cause::text("reset"))),
            Reply::Refused => {
                if let Some(context) = request.extensions().get::<ExchangeOptions>().and_then(|o| o.context.as_ref()) {
                    context.count_unsent();
                }
                Err(CallError::Connect(Cause::text("refused")))
            }
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
        let limit = request.extensions().get::<ExchangeOptions>().cloned().unwrap_or_default().body;
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
