//! From what the upstream answered, or failed to, to the problem that callers see.

use std::time::Duration;

use http::StatusCode;

use super::{Code, Problem, UpstreamDetail};
use crate::genesys::answer::{Answer, UpstreamError};
use crate::genesys::error::CallError;
use crate::genesys::token::LoginFailure;

/// Proposed where the upstream names no time.
const SOON: Duration = Duration::from_secs(1);

impl UpstreamDetail {
    /// What an answer said.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let UpstreamError { code, message, .. } = answer.error();
        let (status, own) = (answer.status.as_u16(), answer.is_own_refusal());
        Self { status, code, message, correlation_id: answer.correlation_id.clone(), own }
    }
}

impl Problem {
    /// A transient answer that retrying did not get past: 429 or 5xx.
    #[must_use]
    pub fn transient(answer: &Answer) -> Self {
        let upstream = UpstreamDetail::of(answer);
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let pause = answer.throttle_pause().unwrap_or(SOON);
            return Self::new(Code::UpstreamRateLimited, "Genesys Cloud asks to slow down; repeat after Retry-After")
                .retry_after(pause)
                .upstream(upstream);
        }
        Self::new(Code::UpstreamUnavailable, "Genesys Cloud answers with errors; repeat after Retry-After")
            .retry_after(answer.retry_after.unwrap_or(SOON))
            .upstream(upstream)
    }

    /// An answer that makes no sense for what was asked: a redirect, or a body of something else.
    #[must_use]
    pub fn invalid_response(answer: &Answer, what: &str) -> Self {
        let detail = format!(
            "{what}; check genesys.region or genesys.api_url, and any proxy or gateway between hangup and Genesys Cloud"
        );
        Self::new(Code::UpstreamInvalidResponse, detail).upstream(UpstreamDetail::of(answer))
    }

    /// An answer that Genesys Cloud did not write: it proves nothing about a conversation, a permission or a credential.
    #[must_use]
    pub fn not_genesys(answer: &Answer, what: &str) -> Self {
        let detail = format!(
            "the {what} was answered with {} by something that is not Genesys Cloud; check genesys.region or genesys.api_url \
             (without /api/v2), and the proxy or gateway in between",
            answer.status.as_u16()
        );
        Self::new(Code::UpstreamInvalidResponse, detail).upstream(UpstreamDetail::of(answer))
    }

    /// What an answer comes to that does not give what was asked for, where nothing more can be learnt. `what` was asked for, and
    /// needs this permission.
    #[must_use]
    pub fn refused(answer: &Answer, what: &str, permission: &str) -> Self {
        let status = answer.status;
        if answer.is_final_refusal() && !answer.is_own_refusal() {
            Self::not_genesys(answer, what)
        } else if answer.is_final_refusal() && status == StatusCode::FORBIDDEN {
            Self::forbidden(answer, permission)
        } else if answer.is_final_refusal() {
            let detail = format!("Genesys Cloud rejects the {what}; see upstream for its reason");
            Self::new(Code::UpstreamRejected, detail).upstream(UpstreamDetail::of(answer))
        } else if status.is_client_error() || status.is_server_error() {
            Self::transient(answer)
        } else if status.is_success() && answer.is_html() {
            Self::invalid_response(answer, &format!("the {what} was answered with an HTML page"))
        } else if answer.hides_an_error() {
            Self::invalid_response(answer, &format!("the {what} was answered with a success whose body is an error"))
        } else if status.is_redirection() {
            Self::invalid_response(answer, &format!("the {what} was answered with a redirect, which is not followed"))
        } else {
            let said =
                format!("the {what} was answered with status {}, which hangup does not understand", status.as_u16());
            Self::invalid_response(answer, &said)
        }
    }

    /// A refusal for want of a permission or of a user. Where the upstream does not name the permission, it is the `usual` one.
    #[must_use]
    pub fn forbidden(answer: &Answer, usual: &str) -> Self {
        let upstream = UpstreamDetail::of(answer);
        let error = answer.error();
        if error.needs_user_context() {
            return Self::new(
                Code::UpstreamUserContext,
                "Genesys Cloud wants a user's token for this participant; a client-credentials client cannot disconnect it",
            )
            .upstream(upstream);
        }
        let needed = match error.named_permissions().as_slice() {
            [] => format!("the permission {usual}"),
            [one] => format!("the permission {one}"),
            several if error.code.as_deref().is_some_and(|code| code.contains("any")) => {
                format!("one of the permissions {}", several.join(", "))
            }
            several => format!("the permissions {}", several.join(", ")),
        };
        let detail = format!(
            "give the role of the OAuth client {needed}, in the division of the conversation's queue, \
             and wait a minute"
        );
        Self::new(Code::UpstreamForbidden, detail).upstream(upstream)
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        // The detail says what to do; what was wrong is for the log.
        let cause = error.to_string().into_boxed_str();
        Self { cause: Some(cause), ..Self::of_call(error) }
    }
}

impl Problem {
    fn of_call(error: CallError) -> Self {
        let rejected = |detail: String, pause: Duration| {
            Self::new(Code::UpstreamRejectedCredentials, detail).retry_after(pause.max(SOON))
        };
        match error {
            CallError::Timeout => {
                Self::new(Code::UpstreamTimeout, "Genesys Cloud did not answer in time; repeat the request")
            }
            CallError::Connect(_) => Self::new(
                Code::UpstreamUnavailable,
                "no connection to Genesys Cloud; check the network, genesys.region and genesys.proxy, and retry",
            )
            .retry_after(SOON),
            CallError::ConnectionLost(_) => Self::new(
                Code::UpstreamUnavailable,
                "Genesys Cloud closed the connection without an answer; repeat the request",
            )
            .retry_after(SOON),
            CallError::BrokenAnswer(_) => Self::new(
                Code::UpstreamInvalidResponse,
                "the answer was cut off or is not HTTP; check any proxy or gateway between hangup and Genesys Cloud",
            ),
            CallError::RateLimited { retry_after } => Self::new(
                Code::UpstreamRateLimited,
                "the rate limit leaves no room before the deadline; repeat after Retry-After",
            )
            .retry_after(retry_after),
            CallError::CallerShare { retry_after } => Self::new(
                Code::CallerRateLimited,
                "too many requests of this caller are already waiting for the rate limit; repeat after Retry-After",
            )
            .retry_after(retry_after),
            CallError::NoToken { failure: failure @ LoginFailure::Rejected(_), retry_after } => {
                rejected(failure.to_string(), retry_after)
            }
            CallError::NoToken { failure, retry_after } => {
                Self::new(Code::UpstreamUnavailable, format!("{failure}; repeat after Retry-After"))
                    .retry_after(retry_after)
            }
            CallError::LoginPending | CallError::TokenExpired => {
                Self::new(Code::UpstreamUnavailable, "the login of Genesys Cloud does not answer; repeat the request")
                    .retry_after(SOON)
            }
            CallError::TokenRejected { answer, .. } | CallError::Unauthorized { answer, .. }
                if !answer.is_own_refusal() =>
            {
                Self::not_genesys(&answer, "request")
            }
            CallError::TokenRejected { answer, retry_after } => rejected(
                "the API rejects the token that its login granted; check that genesys.region is your org's, \
                 and that the OAuth client is active"
                    .to_owned(),
                retry_after,
            )
            .upstream(UpstreamDetail::of(&answer)),
            CallError::Unauthorized { answer, .. } => {
                rejected("the API answers 401".to_owned(), SOON).upstream(UpstreamDetail::of(&answer))
            }
            CallError::Observing => Self::new(
                Code::ObserveMode,
                "hangup was switched to observe mode before this was sent; this is not a permission problem",
            ),
            CallError::ShuttingDown => {
                Self::new(Code::ShuttingDown, "repeat the request: another instance will take it").retry_after(SOON)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesys::answer::Body;

    fn refused(status: u16, body: &str) -> Problem {
        let response = http::Response::builder().status(status);
        let answer = Answer::from_http(response.body(Body::complete(body.to_owned().into())).unwrap());
        Problem::refused(&answer, "search", "a:b:view")
    }

    fn own(status: u16, code: &str) -> Problem {
        refused(status, &serde_json::json!({"code": code, "message": "m", "status": status}).to_string())
    }

    #[test]
    fn a_refusal_is_a_claim_only_where_genesys_cloud_wrote_it() {
        for status in [400, 401, 403, 404, 405, 407, 409, 422, 501] {
            for body in ["", "<html>", r#"{"message":"missing permission"}"#, r#"{"code":"x"}"#] {
                let problem = refused(status, body);
                assert_eq!(problem.code, Code::UpstreamInvalidResponse, "{status} {body}");
                assert!(problem.detail.contains("not Genesys Cloud") && !problem.detail.contains("a:b:view"));
            }
        }
        for status in [400, 401, 404, 405, 409, 422, 501] {
            assert_eq!(own(status, "bad.request").code, Code::UpstreamRejected, "{status}");
        }
        for code in ["missing.permissions", "not.authorized", "something.else"] {
            let problem = own(403, code);
            assert!(problem.code == Code::UpstreamForbidden && problem.detail.contains("a:b:view"), "{code}");
        }
    }

    #[test]
    fn what_passes_is_repeated_and_what_says_nothing_is_not_understood() {
        for status in [408, 500, 502, 503, 504] {
            assert_eq!(own(status, "x").code, Code::UpstreamUnavailable, "{status}");
        }
        assert_eq!(own(429, "x").code, Code::UpstreamRateLimited);
        assert_eq!(own(403, "authentication.request.timeout").code, Code::UpstreamUnavailable);
        for status in [200, 204, 302] {
            assert_eq!(own(status, "x").code, Code::UpstreamInvalidResponse, "{status}");
        }
    }
}
