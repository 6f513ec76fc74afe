//! Answers that Genesys Cloud did not write, as from a gateway, an ingress or another service.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, SERVER};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An answer by something that is not Genesys Cloud. It has neither `ININ-Correlation-Id` nor rate-limit headers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// What answers.
    pub by: Gateway,
    /// The status; 404 unless given, for `api_gateway` 403.
    #[serde(default)]
    pub status: Option<u16>,
}

/// What may stand between a client and Genesys Cloud, or in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    /// nginx without a location that matches: a page of HTML.
    Nginx,
    /// Kong: JSON with a `message`.
    Kong,
    /// Traefik: one line of text.
    Traefik,
    /// Envoy: no body on a 404.
    Envoy,
    /// Amazon API Gateway: JSON with a `message`.
    ApiGateway,
    /// A service written with FastAPI: JSON with a `detail`.
    Fastapi,
}

/// Marks an answer that Genesys Cloud did not write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotGenesys;

impl Foreign {
    pub(crate) fn response(self) -> Response {
        let usual = if self.by == Gateway::ApiGateway { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        self.by.answer(self.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(usual))
    }
}

impl Gateway {
    /// Its usual answer with this status.
    pub(crate) fn answer(self, status: StatusCode) -> Response {
        let mut headers = HeaderMap::new();
        let words = status.canonical_reason().unwrap_or("Unknown");
        let (kind, body) = match self {
            Self::Nginx => ("text/html", page(status, words)),
            Self::Kong => ("application/json; charset=utf-8", json!({ "message": kong(status, words) }).to_string()),
            Self::Traefik => ("text/plain; charset=utf-8", traefik(status, words)),
            Self::Envoy => ("text/plain", envoy(status, words).to_owned()),
            Self::ApiGateway => {
                let words = if status == StatusCode::FORBIDDEN { "Missing Authentication Token" } else { words };
                ("application/json", json!({ "message": words }).to_string())
            }
            Self::Fastapi => ("application/json", json!({ "detail": words }).to_string()),
        };
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let (name, value) = self.signature();
        headers.insert(name, HeaderValue::from_static(value));
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.extensions_mut().insert(NotGenesys);
        response
    }

    /// The header by which it is recognised.
    fn signature(self) -> (HeaderName, &'static str) {
        match self {
            Self::Nginx => (SERVER, "nginx/1.27.2"),
            Self::Kong => (SERVER, "kong/3.8.0"),
            Self::Traefik => (HeaderName::from_static("x-content-type-options"), "nosniff"),
            Self::Envoy => (SERVER, "envoy"),
            Self::ApiGateway => (HeaderName::from_static("x-amzn-requestid"), "4a5b0c1d-6f70-4a0e-9d0c-1b2a3c4d5e6f"),
            Self::Fastapi => (SERVER, "uvicorn"),
        }
    }
}

fn page(status: StatusCode, words: &str) -> String {
    let title = format!("{} {words}", status.as_u16());
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx/1.27.2</center>\r\n</body>\r\n</html>\r\n"
    )
}

fn kong(status: StatusCode, words: &str) -> &str {
    match status {
        StatusCode::NOT_FOUND => "no Route matched with those values",
        StatusCode::FORBIDDEN => "You cannot consume this service",
        _ => words,
    }
}

fn traefik(status: StatusCode, words: &str) -> String {
    match status {
        StatusCode::NOT_FOUND => "404 page not found\n".to_owned(),
        _ => words.to_owned(),
    }
}

fn envoy(status: StatusCode, words: &str) -> &str {
    match status {
        StatusCode::NOT_FOUND => "",
        StatusCode::FORBIDDEN => "RBAC: access denied",
        StatusCode::SERVICE_UNAVAILABLE => "no healthy upstream",
        _ => words,
    }
}
