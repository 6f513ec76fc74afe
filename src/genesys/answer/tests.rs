//! What is read of an answer.

use super::*;
use proptest::prelude::*;

#[test]
fn an_error_body_gives_its_code_and_message() {
    let error = UpstreamError::parse(br#"{"message":"no","code":"bad.request","status":400,"details":[]}"#);
    assert_eq!(error, UpstreamError { code: Some("bad.request".into()), message: Some("no".into()) });
    let marked = b"\xef\xbb\xbf{\"message\":\"Andr\xe9\",\"code\":\"bad.request\"}";
    let read = UpstreamError { code: Some("bad.request".into()), message: Some("Andr\u{fffd}".into()) };
    assert_eq!(UpstreamError::parse(marked), read, "a byte order mark and Latin-1");
    assert_eq!(UpstreamError::parse(b"<html>"), UpstreamError::default());
    assert_eq!(UpstreamError::parse(br#"{"code":7,"message":null}"#), UpstreamError::default());
}

fn refusal(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    Answer::from_http(response.body(Body::complete(body.to_owned().into())).unwrap())
}

#[test]
fn a_refusal_is_genesys_clouds_own_by_its_correlation_id_or_by_the_form_of_its_body() {
    let own = |status, body: &str| refusal(status, &[], body).is_own_refusal();
    assert!(refusal(404, &[("inin-correlation-id", "c")], "").is_own_refusal());
    assert!(!refusal(404, &[("inin-correlation-id", " ")], "").is_own_refusal(), "an empty id is none");
    assert!(own(404, r#"{"code":"not.found","status":404,"message":"x"}"#));
    assert!(own(400, r#"{"errors":[{"code":"bad.request","status":400}]}"#));
    for (status, others) in [
        (404, ""),
        (404, "<html><h1>404 Not Found</h1><hr>nginx</html>"),
        (404, "404 page not found"),
        (404, r#"{"detail":"Not Found"}"#),
        (404, r#"{"message":"no Route matched with those values"}"#),
        (403, r#"{"message":"Forbidden"}"#),
        (404, r#"{"statusCode":404,"message":"Resource not found"}"#),
        (404, r#"{"code":404,"status":404}"#),
        (404, r#"{"code":"404","status":404}"#),
        (404, r#"{"code":"Not Found","status":404}"#),
        (404, r#"{"code":"not.found"}"#),
        (403, r#"{"code":"not.found","status":404}"#),
    ] {
        assert!(!own(status, others), "{others}");
    }
}

#[test]
fn a_body_is_read_only_if_all_of_it_came() {
    let of = |text: &'static str, end| {
        let body = Body { bytes: Bytes::from_static(text.as_bytes()), end };
        Answer::from_http(http::Response::new(body)).complete_json::<Vec<u8>>()
    };
    assert_eq!(of("\u{feff}[1,2]", BodyEnd::Complete), Some(vec![1, 2]), "a byte order mark");
    assert_eq!(of("[1,2]", BodyEnd::Broken), None);
    assert_eq!(of("[1,2]", BodyEnd::TooLarge), None);
    assert_eq!(of(r#"{"total":0}"#, BodyEnd::Complete), None, "something else");
}

#[test]
fn a_page_is_known_by_its_body_and_by_its_headers_where_the_body_was_not_read() {
    let html = [("content-type", "text/html; charset=utf-8")];
    assert!(refusal(200, &[], "\u{feff}\n<!doctype html>").is_html());
    assert!(!refusal(204, &html, "").is_html(), "some frameworks write the type without a page");
    assert!(!refusal(200, &html, "ok").is_html());
    assert!(refusal(404, &html, "Not Found").is_html() && refusal(409, &html, "").is_html());
    assert!(!refusal(404, &html, r#"{"detail":"Not Found"}"#).is_html());
    let unread = http::Response::builder().header("content-type", "text/html");
    let unread = unread.body(Body { bytes: Bytes::new(), end: BodyEnd::TooLarge }).unwrap();
    assert!(Answer::from_http(unread).is_html());
}

#[test]
fn an_error_whose_words_are_only_in_its_first_error_gives_those() {
    let parsed = |body: &[u8]| UpstreamError::parse(body);
    let nested =
        br#"{"status":400,"message":"","code":null,"errors":[{"code":"not.a.user","message":"no"},{"code":"x"}]}"#;
    assert_eq!(parsed(nested), UpstreamError { code: Some("not.a.user".into()), message: Some("no".into()) });
    let outer_first = br#"{"code":"outer","errors":[{"code":"inner","message":"within"}]}"#;
    assert_eq!(parsed(outer_first), UpstreamError { code: Some("outer".into()), message: Some("within".into()) });
    for nothing in [&br#"{"errors":[]}"#[..], br#"{"errors":{"code":"x"}}"#, br#"{"errors":["x"]}"#, b"[]", b"7"] {
        assert_eq!(parsed(nothing), UpstreamError::default());
    }
}

#[test]
fn rate_limit_headers_count_only_when_all_three_are_numbers() {
    let response = |reset: &str| {
        http::Response::builder()
            .header("inin-ratelimit-allowed", "300")
            .header("inin-ratelimit-count", "7")
            .header("inin-ratelimit-reset", reset)
            .body(Body::complete(Bytes::new()))
            .unwrap()
    };
    let seen = Answer::from_http(response("30"));
    assert_eq!(seen.rate_limit, Some(RateLimit { allowed: 300, count: 7, reset: Duration::from_secs(30) }));
    assert_eq!(seen.retry_after, None);
    assert_eq!(seen.throttle_pause(), Some(Duration::from_secs(30)));
    assert_eq!(Answer::from_http(response("-1")).rate_limit, None);
}

proptest! {
    #[test]
    fn any_error_body_is_read_without_panic_and_within_bounds(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        let error = UpstreamError::parse(&body);
        prop_assert!(error.message.unwrap_or_default().chars().count() <= MESSAGE_LIMIT);
    }

    #[test]
    fn a_long_message_is_clipped(message in "\\PC{0,900}") {
        let body = serde_json::json!({"code": message, "message": message}).to_string();
        let error = UpstreamError::parse(body.as_bytes());
        prop_assert!(error.code.unwrap_or_default().chars().count() <= CODE_LIMIT);
        prop_assert!(error.message.unwrap_or_default().chars().count() <= MESSAGE_LIMIT);
    }
}
