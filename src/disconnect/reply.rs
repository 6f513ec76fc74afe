//! What the upstream's answer to a disconnect means, before anybody has looked.

use http::StatusCode;

use super::judge::Doubt;
use crate::genesys::answer::Answer;

/// 400 codes that mean "already gone". Source: public field reports, 2026-11.
const GONE_CODES: [&str; 3] = [
    "conversation.error.call.disconnected",
    "conversation.error.participant.no.active.conversations",
    "conversation.error.cannot.disconnect.call",
];
/// 400 codes about a wrap-up that is pending: the communication may be over, or not.
const WRAPUP_CODES: [&str; 2] = ["conversation.error.wrapup.code.required", "conversation.error.wrapup.cannot.skip"];

/// The meaning of an answer to a disconnect request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// Any 2xx, whatever its body.
    Done,
    /// To be looked into.
    Doubtful(Doubt),
    /// The role lacks a permission.
    Forbidden,
    /// Refused for good: the request itself is at fault.
    Rejected,
    /// 429 or 5xx, after all retries.
    Transient,
    /// A redirect, or a status that is none.
    Invalid,
}

impl Reply {
    pub(super) fn of(answer: &Answer) -> Self {
        let error = || answer.error();
        match answer.status {
            s if s.is_success() => Self::Done,
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Self::Doubtful(Doubt::SaidGone),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => Self::Doubtful(Doubt::Refused),
            StatusCode::BAD_REQUEST => {
                let error = error();
                let code = error.code.as_deref().unwrap_or_default();
                if GONE_CODES.contains(&code) {
                    Self::Doubtful(Doubt::SaidGone)
                } else if WRAPUP_CODES.contains(&code) || error.needs_user_context() {
                    Self::Doubtful(Doubt::Refused)
                } else {
                    Self::Rejected
                }
            }
            StatusCode::FORBIDDEN if !error().needs_user_context() && error().misses_permission() => Self::Forbidden,
            StatusCode::FORBIDDEN => Self::Doubtful(Doubt::Refused),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Self::Transient,
            s if s.is_server_error() => Self::Transient,
            s if s.is_client_error() => Self::Rejected,
            _ => Self::Invalid,
        }
    }

    /// Whether the seeds' POST, answered like this, may not exist in this org, so that the published PATCH goes next.
    /// The POST being unpublished, its refusal proves nothing, not even a missing permission.
    pub(super) fn leads_to_patch(answer: &Answer) -> bool {
        matches!(answer.status.as_u16(), 403 | 404 | 405 | 501)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesys::answer::Body;

    fn reply(status: u16, code: &str) -> Reply {
        let body = serde_json::json!({"code": code, "message": "m", "status": status}).to_string();
        Reply::of(&Answer::from_http(
            http::Response::builder().status(status).body(Body::complete(body.into())).unwrap(),
        ))
    }

    #[test]
    fn the_table_of_replies() {
        for status in [200, 202, 204, 299] {
            assert_eq!(reply(status, "whatever"), Reply::Done);
        }
        for (status, code) in [
            (404, "not.found"),
            (409, "conflict"),
            (400, "conversation.error.call.disconnected"),
            (400, "conversation.error.participant.no.active.conversations"),
            (400, "conversation.error.cannot.disconnect.call"),
        ] {
            assert_eq!(reply(status, code), Reply::Doubtful(Doubt::SaidGone), "{status} {code}");
        }
        for (status, code) in [
            (405, ""),
            (501, ""),
            (400, "not.a.user"),
            (400, "conversation.error.wrapup.code.required"),
            (400, "conversation.error.wrapup.cannot.skip"),
            (403, "something.else"),
        ] {
            assert_eq!(reply(status, code), Reply::Doubtful(Doubt::Refused), "{status} {code}");
        }
        for code in ["missing.permissions", "missing.any.permissions", "not.authorized"] {
            assert_eq!(reply(403, code), Reply::Forbidden, "{code}");
        }
        for status in [400, 402, 413, 415, 422] {
            assert_eq!(reply(status, "bad.request"), Reply::Rejected, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_eq!(reply(status, ""), Reply::Transient, "{status}");
        }
        for status in [301, 302, 307] {
            assert_eq!(reply(status, ""), Reply::Invalid, "{status}");
        }
    }
}
