//! Whatever is wrong gets a JSON answer that says what to do, and nothing is forwarded upstream.

use reqwest::Method;

use crate::support::{Answer, NOBODY, PROBLEM_MEMBERS, TestApp};

fn is_problem(answer: &Answer) {
    let json = answer.json();
    for member in PROBLEM_MEMBERS {
        assert!(json.get(member).is_some(), "no {member} in {answer:?}");
    }
    assert_eq!(json["ok"], false);
    assert_eq!(json["status"], answer.status);
    assert!(json["detail"].as_str().unwrap().len() > 10 && !answer.text.contains('\n'));
}

#[tokio::test]
async fn wrong_ids_paths_methods_and_queries_are_refused_and_not_forwarded() {
    let service = TestApp::sockets().start().await;
    let cid = service.conference.id;
    let tail = format!("participants/{NOBODY}/disconnect");
    let braced = format!("/conversations/%7B{cid}%7D/{tail}");
    for (method, path, verdict) in [
        ("POST", format!("/conversations/xyz/{tail}"), "400 invalid_conversation_id"),
        ("POST", format!("/conversations//{tail}"), "400 invalid_conversation_id"),
        ("POST", braced, "400 invalid_conversation_id"),
        ("POST", format!("/conversations/%ff/{tail}"), "400 invalid_conversation_id"),
        ("POST", format!("/conversations/{}/{tail}", cid.simple()), "400 invalid_conversation_id"),
        ("POST", format!("/conversations/{cid}/participants/1/disconnect"), "400 invalid_participant_id"),
        ("POST", format!("/conversations/{cid}/participants//disconnect"), "400 invalid_participant_id"),
        ("POST", format!("//conversations/{cid}/{tail}"), "404 no_such_route"),
        ("POST", format!("/conversations/{cid}/{tail}/"), "404 no_such_route"),
        ("POST", "/".to_owned(), "405 method_not_allowed"),
        ("GET", "/nothing".to_owned(), "404 no_such_route"),
        ("POST", format!("/conversations/{cid}/{tail}?wait=soon"), "400 invalid_query"),
        ("POST", format!("/conversations/{cid}/{tail}?dryRun=true&dryRun=false"), "400 invalid_query"),
        ("POST", format!("/conversations/{cid}/{tail}?wait=1&wait=1"), "400 invalid_query"),
        ("POST", format!("/conversations/{cid}/{tail}?async=true"), "422 jobs_need_store"),
        ("GET", format!("/conversations/{cid}/participants?purpose=agent&purpose=customer"), "400 invalid_query"),
        ("POST", format!("/conversations/{cid}/{tail}?dryRun=maybe"), "400 invalid_query"),
        ("GET", format!("/conversations/{cid}?purpose=agent"), "400 invalid_query"),
        ("GET", format!("/conversations/{cid}/participants?purpose="), "400 invalid_query"),
        ("GET", format!("/conversations/{cid}/participants?purpse=agent"), "400 invalid_query"),
        ("GET", format!("/conversations/{cid}/{tail}"), "405 method_not_allowed"),
        ("DELETE", format!("/conversations/{cid}/{tail}"), "405 method_not_allowed"),
        ("PUT", format!("/conversations/{cid}"), "405 method_not_allowed"),
    ] {
        let answer = service.request(method.parse::<Method>().unwrap(), &path).send().await;
        assert_eq!(answer.verdict(), verdict, "{method} {path}");
        is_problem(&answer);
        if answer.status == 405 {
            let (allow, detail) = (answer.header("allow"), answer.get("detail"));
            let names = |method: &str| detail.as_str().unwrap().contains(method);
            assert!(allow.split(',').any(names), "{method} {path}: {allow}: {detail}");
        }
    }
    let counts = service.sandbox.counts();
    assert_eq!(counts.disconnects() + counts.reads(), 0, "nothing was forwarded");
}

#[tokio::test]
async fn wrong_bodies_are_refused_and_not_forwarded() {
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("agent"));
    for body in ["[]", "7", "{", "reason=x", r#"{"reason":7}"#, r#"{"cause":{}}"#] {
        let answer = service.post(&path).header("content-type", "application/json").body(body).send().await;
        assert_eq!(answer.verdict(), "400 invalid_body", "{body}");
        is_problem(&answer);
    }
    let large = format!(r#"{{"reason":"{}"}}"#, "x".repeat(20_000));
    let answer = service.post(&path).body(large).send().await;
    assert_eq!(answer.verdict(), "413 body_too_large");
    is_problem(&answer);
    assert_eq!(service.sandbox.counts().disconnects(), 0, "nothing was forwarded");
}

#[tokio::test]
async fn options_in_the_body_are_refused_with_the_place_where_they_belong() {
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("agent"));
    let form = "application/x-www-form-urlencoded";
    for (kind, body, place) in [
        ("application/json", r#"{"dryRun":true}"#, "?dryRun=true"),
        ("application/json", r#"{"reason":"r","wait":5}"#, "?wait=5"),
        ("application/json", r#"{"async":false}"#, "?async=true"),
        (form, "reason=r&dryRun=true", "?dryRun=true"),
    ] {
        let drop_in = format!("/api/v2{path}");
        for (path, word) in [(&path, "400 invalid_body"), (&drop_in, "400 bad.request")] {
            let answer = service.post(path).header("content-type", kind).body(body).send().await;
            assert_eq!(answer.verdict(), word, "{path} {body}");
            assert!(answer.text.contains(place), "{}", answer.text);
        }
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0, "nothing was forwarded");
}

#[tokio::test]
async fn no_answer_is_kept_or_taken_for_something_else() {
    let service = TestApp::sockets().start().await;
    let (cid, agent) = (service.conference.id, service.who("agent"));
    for (method, path) in [
        ("POST", service.path_of(agent)),
        ("GET", format!("/conversations/{cid}")),
        ("GET", format!("/api/v2/conversations/{cid}")),
        ("PATCH", format!("/api/v2/conversations/{cid}/participants/{agent}")),
        ("GET", "/nothing".to_owned()),
        ("DELETE", "/livez".to_owned()),
        ("GET", "/readyz".to_owned()),
        ("GET", "/metrics".to_owned()),
        ("GET", "/docs".to_owned()),
        ("POST", "/oauth/token".to_owned()),
    ] {
        let answer = service.request(method.parse::<Method>().unwrap(), &path).send().await;
        let headers = (answer.header("cache-control"), answer.header("x-content-type-options"));
        assert_eq!(headers, ("no-store", "nosniff"), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn pages_and_the_contract_need_no_key_and_say_what_they_are() {
    let service = TestApp::sockets().start().await;
    for path in hangup::http::routes::NOT_IN_CONTRACT {
        // Metrics are no page: they name keys, and are not for pages of other sites.
        let linked = if *path == "/metrics" { "none" } else { "cross-site" };
        let answer = service.request(Method::GET, path).header("sec-fetch-site", linked).send().await;
        assert_eq!(answer.status, 200, "{path}");
        let kind = answer.header("content-type").to_owned();
        let fits = match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
            "json" => kind == "application/json",
            "yaml" => kind == "application/yaml",
            "css" => kind.starts_with("text/css"),
            "js" => kind.starts_with("text/javascript"),
            _ => kind.starts_with("text/html") || kind.starts_with("application/openmetrics-text"),
        };
        assert!(fits, "{path}: {kind}");
        if path.starts_with("/docs") {
            assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        }
        assert_eq!(service.request(Method::POST, path).send().await.header("allow"), "GET,HEAD", "{path}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_cut_at_the_limit_too() {
    let service = TestApp::sockets().start().await;
    let mut caller = service.wire().await;
    let head =
        format!("POST {} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n", service.path_of(NOBODY));
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    let answer = caller.exchange(&format!("{head}{}", chunk.repeat(20))).await.unwrap();
    assert!(answer.status == 413 && answer.body.contains("body_too_large"), "{answer:?}");
    assert_eq!(caller.closed().await, b"");
}

#[tokio::test]
async fn problems_come_in_the_content_type_that_the_caller_admits() {
    let service = TestApp::sockets().start().await;
    for (accept, kind) in [
        ("*/*", "application/problem+json"),
        ("application/json, text/plain, */*", "application/problem+json"),
        ("application/problem+json", "application/problem+json"),
        ("application/json", "application/json"),
        ("text/html", "application/json"),
    ] {
        let answer = service.get_accepting("/nothing", accept).await;
        assert_eq!(answer.header("content-type"), kind, "{accept}");
    }
}

impl TestApp {
    async fn get_accepting(&self, path: &str, accept: &str) -> Answer {
        self.request(Method::GET, path).header("accept", accept).send().await
    }
}
