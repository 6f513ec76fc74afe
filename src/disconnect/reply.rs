//! What the upstream's answer to a disconnect means, before the conversation is read.

use http::StatusCode;

use crate::genesys::answer::Answer;

/// 400 codes that mean "already gone". Source: public field reports, 2026-11.
const GONE_CODES: [&str; 3] = [
    "conversation.error.call.disconnected",
    "conversation.error.participant.no.active.conversations",
    "conversation.error.cannot.disconnect.call",
];
/// 400 codes about a wrap-up that is owed: the communication may be over, or not.
const WRAPUP_CODES: [&str; 2] = ["conversation.error.wrapup.code.required", "conversation.error.wrapup.cannot.skip"];

/// The meaning of an answer to a disconnect request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// A 2xx.
    Done,
    /// A 2xx with a page for people, or with an error as its body: something else may have answered. A status that names no
    /// refusal, such as "see the result elsewhere", is no better.
    Unclear,
    /// Refused in a way that must be looked into: the participant may be gone, or the operation may not exist.
    Doubtful,
    /// The role lacks a permission, which the answer names.
    Forbidden,
    /// Refused for good: the request itself is at fault.
    Rejected,
    /// Refused by something else than Genesys Cloud, in a way that says nothing about the conversation.
    Foreign,
    /// 429 or 5xx, after all retries.
    Transient,
    /// The request was sent elsewhere, and nothing was done with it.
    Redirected,
}

impl Reply {
    pub(super) fn of(answer: &Answer) -> Self {
        let own = || answer.is_own_refusal();
        match answer.status {
            s if s.is_success() => {
                if answer.is_html() || answer.hides_an_error() {
                    Self::Unclear
                } else {
                    Self::Done
                }
            }
            s if s.is_client_error() && answer.says_try_again() => Self::Transient,
            StatusCode::NOT_FOUND
            | StatusCode::CONFLICT
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => Self::Doubtful,
            StatusCode::BAD_REQUEST => {
                let error = answer.error();
                let code = error.code.as_deref().unwrap_or_default();
                if GONE_CODES.contains(&code) || WRAPUP_CODES.contains(&code) || error.needs_user_context() {
                    Self::Doubtful
                } else {
                    Self::rejected(own())
                }
            }
            StatusCode::FORBIDDEN => {
                let error = answer.error();
                let names_it = error.misses_permission() && !error.needs_user_context();
                if names_it && own() { Self::Forbidden } else { Self::Doubtful }
            }
            s if s.is_server_error() => Self::Transient,
            s if s.is_client_error() => Self::rejected(own()),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => Self::Redirected,
            _ => Self::Unclear,
        }
    }

    fn rejected(own: bool) -> Self {
        if own { Self::Rejected } else { Self::Foreign }
    }
}

/// Whether Genesys Cloud says that a wrap-up is owed first.
pub(super) fn owes_wrapup(answer: &Answer) -> bool {
    answer.error().code.is_some_and(|code| WRAPUP_CODES.contains(&code.as_str()))
}

/// Whether the upstream, having answered the PATCH like this, may have the unpublished POST only: the path does not exist, or
/// something in between keeps it shut.
pub(super) fn leads_to_post(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        404 | 405 | 501 => true,
        403 => !answer.is_own_refusal(),
        _ => false,
    }
}

/// Whether this refusal of the PATCH shows that the operation exists: it speaks of the conversation.
pub(super) fn shows_the_patch(answer: &Answer) -> bool {
    answer.is_own_refusal() && answer.error().code.is_some_and(|code| code.starts_with("conversation."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genesys::answer::Body;

    fn answer(status: u16, body: &str) -> Answer {
        let response = http::Response::builder().status(status);
        Answer::from_http(response.body(Body::complete(body.to_owned().into())).unwrap())
    }

    fn reply(status: u16, code: &str) -> Reply {
        let body = serde_json::json!({"code": code, "message": "m", "status": status}).to_string();
        Reply::of(&answer(status, &body))
    }

    #[test]
    fn the_table_of_replies() {
        for status in [200, 202, 204, 299] {
            assert_eq!(reply(status, "whatever"), Reply::Done);
            assert_eq!(Reply::of(&answer(status, "<html>")), Reply::Unclear);
            assert_eq!(Reply::of(&answer(status, r#"{"message": "no such route", "status": 404}"#)), Reply::Unclear);
            assert_eq!(Reply::of(&answer(status, r#"{"id": "x", "status": 200}"#)), Reply::Done);
            for error in [r#""no such route""#, r#"{"reason": "x"}"#, "true"] {
                assert_eq!(Reply::of(&answer(status, &format!(r#"{{"error": {error}}}"#))), Reply::Unclear, "{error}");
            }
            for none in ["null", r#""""#, "{}", "false", "0"] {
                assert_eq!(Reply::of(&answer(status, &format!(r#"{{"error": {none}}}"#))), Reply::Done, "{none}");
            }
        }
        for (status, code) in [
            (404, "not.found"),
            (409, "conflict"),
            (400, "conversation.error.call.disconnected"),
            (400, "conversation.error.participant.no.active.conversations"),
            (400, "conversation.error.cannot.disconnect.call"),
            (405, ""),
            (501, ""),
            (400, "not.a.user"),
            (400, "conversation.error.wrapup.code.required"),
            (400, "conversation.error.wrapup.cannot.skip"),
            (403, "something.else"),
        ] {
            assert_eq!(reply(status, code), Reply::Doubtful, "{status} {code}");
        }
        for code in ["missing.permissions", "missing.any.permissions", "not.authorized"] {
            assert_eq!(reply(403, code), Reply::Forbidden, "{code}");
        }
        for status in [400, 401, 402, 413, 415, 422] {
            assert_eq!(reply(status, "bad.request"), Reply::Rejected, "{status}");
            assert_eq!(Reply::of(&answer(status, "<html>")), Reply::Foreign, "{status}");
        }
        for status in [408, 429, 500, 502, 503, 504, 599] {
            assert_eq!(reply(status, ""), Reply::Transient, "{status}");
        }
        for code in ["service.unavailable", "request.timeout", "authentication.request.timeout"] {
            assert_eq!(reply(400, code), Reply::Transient, "{code}");
        }
        for status in [301, 302, 307, 308] {
            assert_eq!(reply(status, ""), Reply::Redirected, "{status}");
        }
        for status in [300, 303, 304, 600, 999] {
            assert_eq!(reply(status, ""), Reply::Unclear, "{status}: it may have been done");
        }
    }

    #[test]
    fn what_is_not_genesys_clouds_names_no_permission() {
        let gateway = answer(403, r#"{"message":"missing permission"}"#);
        assert_eq!(Reply::of(&gateway), Reply::Doubtful);
    }

    #[test]
    fn the_post_is_open_where_the_patch_does_not_exist_or_is_kept_shut_by_something_else() {
        for status in [404, 405, 501] {
            assert!(leads_to_post(&answer(status, "<html>")), "{status}");
            assert!(leads_to_post(&answer(status, &format!(r#"{{"code":"x","status":{status}}}"#))), "{status}");
        }
        assert!(leads_to_post(&answer(403, "<html>")));
        for status in [400, 401, 403, 409, 422] {
            assert!(!leads_to_post(&answer(status, &format!(r#"{{"code":"x","status":{status}}}"#))), "{status}");
        }
        let speaks = r#"{"code":"conversation.error.not.conversation.participant","status":404}"#;
        assert!(shows_the_patch(&answer(404, speaks)));
        assert!(!shows_the_patch(&answer(404, r#"{"code":"not.found","status":404}"#)));
    }
}
