//! Gives hyper's own refusals a body.
//!
//! hyper answers a head that it cannot read (400, 414, 431) by itself, with an empty body and no hook to change that.
//! Its answer is recognised where it is written to the connection, and replaced by the same head with JSON behind it.

use axum::http::StatusCode;

/// Renders the JSON body for a refused head of this status. It must not panic.
pub type RefusalBody = fn(StatusCode) -> Vec<u8>;

const EMPTY: &[u8] = b"content-length: 0\r\n";

/// The answer to write instead of `written`, if that is a refusal of hyper's own, whole and alone.
pub(super) fn substitute(written: &[u8], body: RefusalBody) -> Option<Vec<u8>> {
    let status = [StatusCode::BAD_REQUEST, StatusCode::URI_TOO_LONG, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE]
        .into_iter()
        .find(|status| written.get(9..12) == Some(status.as_str().as_bytes()))?;
    if !written.starts_with(b"HTTP/1.") || !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let at = written.windows(EMPTY.len()).position(|part| part == EMPTY)?;
    let body = body(status);
    let mut answer = Vec::with_capacity(written.len() + body.len() + 64);
    answer.extend_from_slice(written.get(..at)?);
    answer
        .extend_from_slice(format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()).as_bytes());
    answer.extend_from_slice(written.get(at + EMPTY.len()..)?);
    answer.extend_from_slice(&body);
    Some(answer)
}

/// The body used unless another is set: every member of our errors, code `invalid_request`.
#[must_use]
pub fn refusal_body(status: StatusCode) -> Vec<u8> {
    let (title, detail) = match status {
        StatusCode::URI_TOO_LONG => ("URI too long", "Shorten the path and the query."),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("Request header fields too large", "Send fewer and shorter headers (at most 100, and 32 KiB together).")
        }
        _ => (
            "Bad request",
            "The request line or a header is not valid HTTP/1.1; check the URL, the header names and values, and that the scheme (http or https) is the one of this port.",
        ),
    };
    let body = serde_json::json!({
        "ok": false,
        "type": "urn:hangup:problem:invalid_request",
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "code": "invalid_request",
        "requestId": uuid::Uuid::new_v4(),
        "retryable": false,
        "effect": "none",
        "upstream": null,
    });
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_refusal_gets_a_body_and_keeps_its_other_headers() {
        let written = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: Thu\r\n\r\n";
        let answer = String::from_utf8(substitute(written, |_| b"{}".to_vec()).unwrap()).unwrap();
        assert_eq!(
            answer,
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\ndate: Thu\r\n\r\n{}"
        );
    }

    #[test]
    fn answers_of_the_router_are_left_alone() {
        for written in [
            &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            b"400",
            b"",
        ] {
            assert_eq!(substitute(written, refusal_body), None);
        }
    }
}
