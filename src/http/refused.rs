//! A refusal on its way out: a problem, and the headers that go with it.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;

use crate::callers::Refusal;
use crate::problem::{Code, Problem};

/// What handlers and extractors fail with.
#[derive(Debug)]
pub(super) struct Refused {
    problem: Problem,
    challenge: Option<HeaderValue>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, challenge: None }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Throttled(_) => Code::CallerRateLimited,
            Refusal::IssuerUnavailable(_) => Code::UpstreamUnavailable,
            Refusal::ForeignOrigin(_) | Refusal::ForwardedWithoutKey(_) => Code::ForbiddenOrigin,
            _ => Code::Unauthenticated,
        };
        let mut problem = Problem::new(code, refusal.to_string());
        problem.retry_after = refusal.retry_after();
        Self { problem, challenge: refusal.www_authenticate() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        response.headers_mut().extend(self.challenge.map(|value| (WWW_AUTHENTICATE, value)));
        response
    }
}
