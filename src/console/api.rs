//! How the console asks the API: in this process, through the same router as every caller, with the headers of the request that
//! it serves. Authentication, rates, permissions, guards and the audit are the API's; the console repeats none of them.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use serde::de::DeserializeOwned;
use tower::ServiceExt as _;

use super::answers::Problem;
use super::parts;
use crate::http::{Aside, InProcess, Routes};
use crate::server::Peer;

/// Most of an answer that is read.
const MOST: usize = 8 << 20;
/// How old a read may be that watchers share.
pub(super) const SHARED: Duration = Duration::from_secs(2);
/// Headers of the browser's request that speak of that request alone.
const OF_ONE_REQUEST: [HeaderName; 8] = [
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    HeaderName::from_static("prefer"),
    HeaderName::from_static("idempotency-key"),
];

/// The API. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Api(Routes);

/// A request to the API.
pub(super) struct Ask {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
    within: Option<Duration>,
}

/// What the API answered.
pub(super) struct ApiAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// What was learnt beside it.
    pub(super) aside: Aside,
}

impl Ask {
    fn new(method: Method, path: String) -> Self {
        Self { method, path, headers: Vec::new(), body: Body::empty(), within: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path.into())
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into())
    }

    pub(super) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path.into())
    }

    /// A value that cannot be a header is left out; the API then refuses or ignores its absence.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }

    pub(super) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Body::from(body.to_string());
        self.header(header::CONTENT_TYPE, "application/json")
    }

    /// A read that others who watch the conversation share.
    pub(super) fn shared(mut self) -> Self {
        self.within = Some(SHARED);
        self
    }
}

impl Api {
    pub(super) fn new(routes: Routes) -> Self {
        Self(routes)
    }

    /// Asks on behalf of the caller of `from`.
    async fn ask(&self, from: &Parts, ask: Ask) -> ApiAnswer {
        let in_process = InProcess::new(ask.within);
        let mut request = Request::new(ask.body);
        *request.method_mut() = ask.method;
        *request.uri_mut() = uri(&from.uri, &ask.path);
        *request.headers_mut() = from.headers.clone();
        for name in OF_ONE_REQUEST {
            request.headers_mut().remove(name);
        }
        request.headers_mut().extend(ask.headers);
        request.extensions_mut().insert(in_process.clone());
        if let Some(peer) = from.extensions.get::<Peer>() {
            request.extensions_mut().insert(*peer);
        }
        let response = match self.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let body = to_bytes(body, MOST).await.unwrap_or_default();
        ApiAnswer { status: head.status, headers: head.headers, body, aside: in_process.learnt() }
    }
}

/// Who asks the console: each question to the API carries the head of the browser's request.
pub(super) struct Asker {
    api: Api,
    head: Parts,
}

impl FromRequestParts<Api> for Asker {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        Ok(Self { api: api.clone(), head: parts.clone() })
    }
}

impl Asker {
    /// What the API answers.
    pub(super) async fn ask(&self, ask: Ask) -> ApiAnswer {
        self.api.ask(&self.head, ask).await
    }

    /// The body of what the API answers, and what was learnt beside it.
    ///
    /// # Errors
    /// The problem, on its way to the browser.
    pub(super) async fn read<T: DeserializeOwned>(&self, ask: Ask) -> Result<(T, Aside), Failed> {
        self.ask(ask).await.read()
    }

    /// Who calls, and what it may do. Every key may list its own jobs; how that ends does not matter here.
    ///
    /// # Errors
    /// The caller is not recognised, or asks too often.
    pub(super) async fn caller(&self) -> Result<Aside, Failed> {
        let answer = self.ask(Ask::get("/jobs?limit=1")).await;
        match answer.aside.caller {
            Some(_) if answer.status != StatusCode::TOO_MANY_REQUESTS => Ok(answer.aside),
            _ => Err(answer.failed()),
        }
    }
}

/// The target of the inner request. An absolute target keeps its authority: it is the host that is checked.
fn uri(outer: &Uri, path: &str) -> Uri {
    let mut parts = outer.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("/"))
}

impl ApiAnswer {
    /// The answer's body, if it is not a problem.
    ///
    /// # Errors
    /// The problem, on its way to the browser.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<(T, Aside), Failed> {
        if !self.status.is_success() {
            return Err(self.failed());
        }
        match serde_json::from_slice(&self.body) {
            Ok(read) => Ok((read, self.aside)),
            Err(error) => {
                tracing::error!(event = "console", cause = %error, "an answer of the API has a form that the console does not know");
                let detail =
                    "the console cannot read the service's answer; this is a defect of hangup, please report it";
                Err(Failed { status: StatusCode::INTERNAL_SERVER_ERROR, problem: Problem::of_ours(detail).into() })
            }
        }
    }

    /// The tag of a list.
    pub(super) fn etag(&self) -> String {
        self.headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned()
    }

    fn failed(self) -> Failed {
        let problem = serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Problem::of_ours("the service gave no readable answer; try again"));
        Failed { status: self.status, problem: Box::new(problem) }
    }
}

/// A problem, shown as a fragment with the status that the API gave.
pub(super) struct Failed {
    status: StatusCode,
    problem: Box<Problem>,
}

impl Failed {
    /// A problem with what the browser sent, found here.
    pub(super) fn bad_request(detail: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, problem: Problem::of_ours(detail).into() }
    }

    /// There is no such page.
    pub(super) fn not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, problem: Problem::of_ours("there is no such page").into() }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        // A redirect or a success that is not what was asked for must not look like one.
        let status = if self.status.is_success() { StatusCode::BAD_GATEWAY } else { self.status };
        (status, parts::page(&parts::problem(&self.problem))).into_response()
    }
}

/// One segment of a path, encoded.
pub(super) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
