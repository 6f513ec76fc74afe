//! How the console calls the API: in this process, through the same router as every caller, with the headers of the
//! browser's request. So authentication, rates, permissions, guards and the audit are the API's; the console repeats
//! none of them.

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

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 8 << 20;
/// How old a read may be when those who watch a conversation share it.
pub(super) const MAX_AGE: Duration = Duration::from_secs(2);
/// Headers that belong to the browser's request alone and are not passed on.
const NOT_PASSED_ON: [HeaderName; 8] = [
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
pub(super) struct ApiRequest {
    method: Method,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
    /// How old a shared read may be; `None` for a read of its own.
    max_age: Option<Duration>,
}

/// What the API answered.
pub(super) struct ApiAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// What is known beside the answer.
    pub(super) aside: Aside,
}

impl ApiRequest {
    fn new(method: Method, path: String) -> Self {
        Self { method, path, headers: Vec::new(), body: Body::empty(), max_age: None }
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

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Body::from(body.to_string());
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    /// Allows a read that is shared with others who watch the conversation.
    pub(super) fn shared(mut self) -> Self {
        self.max_age = Some(MAX_AGE);
        self
    }
}

impl Api {
    pub(super) fn new(routes: Routes) -> Self {
        Self(routes)
    }

    /// Sends a request on behalf of the caller of `from`.
    async fn send(&self, from: &Parts, asked: ApiRequest) -> ApiAnswer {
        let in_process = InProcess::new(asked.max_age);
        let mut request = Request::new(asked.body);
        *request.method_mut() = asked.method;
        *request.uri_mut() = uri(&from.uri, &asked.path);
        *request.headers_mut() = from.headers.clone();
        for name in NOT_PASSED_ON {
            request.headers_mut().remove(name);
        }
        request.headers_mut().extend(asked.headers);
        request.extensions_mut().insert(in_process.clone());
        if let Some(peer) = from.extensions.get::<Peer>() {
            request.extensions_mut().insert(*peer);
        }
        let response = match self.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (head, body) = response.into_parts();
        let body = to_bytes(body, MAX_ANSWER).await.unwrap_or_default();
        ApiAnswer { status: head.status, headers: head.headers, body, aside: in_process.learnt() }
    }
}

/// Calls the API for the caller of one browser request, whose head each call carries.
pub(super) struct ApiClient {
    api: Api,
    head: Parts,
}

impl FromRequestParts<Api> for ApiClient {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        Ok(Self { api: api.clone(), head: parts.clone() })
    }
}

impl ApiClient {
    /// Sends a request and returns the answer.
    pub(super) async fn send(&self, request: ApiRequest) -> ApiAnswer {
        self.api.send(&self.head, request).await
    }

    /// Sends a request and returns the answer's body, and what is known beside it.
    ///
    /// # Errors
    /// The problem, for the browser.
    pub(super) async fn read<T: DeserializeOwned>(&self, request: ApiRequest) -> Result<(T, Aside), Failed> {
        self.send(request).await.read()
    }

    /// The caller, and what it may do. This lists jobs, because every key may do that; the list itself is not used.
    ///
    /// # Errors
    /// The caller is not recognised, or sends too many requests.
    pub(super) async fn caller(&self) -> Result<Aside, Failed> {
        let answer = self.send(ApiRequest::get("/jobs?limit=1")).await;
        match answer.aside.caller {
            Some(_) if answer.status != StatusCode::TOO_MANY_REQUESTS => Ok(answer.aside),
            _ => Err(answer.failed()),
        }
    }
}

/// The target of the inner request. An absolute target keeps its authority, because the API checks that host.
fn uri(outer: &Uri, path: &str) -> Uri {
    let mut parts = outer.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).unwrap_or_else(|_| Uri::from_static("/"))
}

impl ApiAnswer {
    /// The answer's body, and what is known beside it.
    ///
    /// # Errors
    /// The problem, for the browser.
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

    /// The answer's `ETag`, or nothing.
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
    /// A mistake in what the browser sent.
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
        // An answer that reports success but cannot be read must not look like a success.
        let status = if self.status.is_success() { StatusCode::BAD_GATEWAY } else { self.status };
        (status, parts::page(&parts::problem(&self.problem))).into_response()
    }
}

/// One segment of a path, encoded.
pub(super) fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
