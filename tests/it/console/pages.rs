//! The page that is the same for everybody.

use std::collections::BTreeSet;
use std::time::Duration;

use hangup::sandbox::{Fault, On, StuckSpec};
use reqwest::Method;

use crate::support::{Answer, TestApp};

const LOADED: [&str; 7] = [
    "/console",
    "/console/page.css",
    "/console/htmx.min.js",
    "/console/session.js",
    "/console/page.js",
    "/console/jobs.js",
    "/console/issuer.js",
];

async fn get(service: &TestApp, path: &str) -> Answer {
    service.request(reqwest::Method::GET, path).header("sec-fetch-site", "cross-site").send().await
}

/// As a browser asks; redirects are not followed.
async fn as_browser(service: &TestApp, path: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    client.get(format!("{}{path}", service.url)).header("accept-encoding", "gzip, br").send().await.unwrap()
}

#[tokio::test]
async fn the_page_may_be_linked_to_and_its_policy_lets_nothing_in_but_our_own_files() {
    let service = TestApp::sockets().start().await;
    for path in LOADED.into_iter().chain(["/console/icon.svg"]) {
        let answer = get(&service, path).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("set-cookie"), "", "{path}");
    }
}

#[tokio::test]
async fn the_page_has_nothing_inline_no_other_host_and_no_data() {
    let service = TestApp::sockets().start().await;
    let page = service.get("/console").await.text;
    assert_eq!(page.matches("<script").count(), page.matches("<script defer src=\"console/").count());
    for refused in ["://", " style=", " onclick=", "<style", "javascript:", "hx-on", "Carla", "anonymous"] {
        assert!(!page.contains(refused), "{refused}");
    }
    for script in LOADED.into_iter().filter(|path| path.ends_with(".js") && !path.contains("htmx")) {
        let text = service.get(script).await.text;
        for refused in ["://", "eval(", "localStorage", "sessionStorage", "document.cookie"] {
            assert!(!text.contains(refused), "{script}: {refused}");
        }
    }
}

#[tokio::test]
async fn all_that_the_page_loads_comes_compressed_and_is_under_150_kb() {
    let service = TestApp::sockets().start().await;
    let mut whole = 0;
    for path in LOADED {
        let answer = as_browser(&service, path).await;
        assert_eq!(answer.headers()["content-encoding"], "gzip", "{path}");
        whole += answer.bytes().await.unwrap().len();
    }
    assert!((10_000..150_000).contains(&whole), "{whole} bytes");
}

#[tokio::test]
async fn the_root_leads_to_the_console_also_behind_a_prefix() {
    let service = TestApp::sockets().start().await;
    for (path, target) in [("/", "console"), ("/console/", "../console")] {
        let answer = as_browser(&service, path).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (307, target));
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_answered_as_everywhere() {
    let service = TestApp::sockets().start().await;
    let job = "/console/jobs/7d9f3a52-3c1b-4e55-9a0e-6a4b1f0c2d3e";
    let act = format!("{job}/pause");
    for (method, path, takes) in [
        (Method::POST, "/", "it takes GET"),
        (Method::POST, "/console", "it takes GET"),
        (Method::PUT, "/console/page.css", "it takes GET"),
        (Method::DELETE, job, "it takes GET"),
        (Method::PUT, "/console/mode", "it takes GET and POST"),
        (Method::PATCH, &act, "it takes GET and POST"),
    ] {
        let answer = service.request(method, path).send().await;
        assert_eq!(answer.verdict(), "405 method_not_allowed", "{path}");
        let detail = answer.get("detail");
        assert!(detail.as_str().unwrap().ends_with(takes), "{path}: {detail}");
        let allowed = answer.header("allow").replace("GET,HEAD", "GET").replace(',', " and ");
        assert_eq!(format!("it takes {allowed}"), takes, "{path}");
        assert_eq!(answer.get("requestId"), answer.header("x-request-id"), "{path}");
    }
    assert_eq!(service.get("/console/nothing").await.verdict(), "404 no_such_route");
    // What is done to a job without being asked about first has no page that asks.
    for act in ["pause", "resume", "nonsense"] {
        assert_eq!(service.get(&format!("{job}/{act}")).await.status, 404, "{act}");
    }
    for mode in ["", "?mode=nonsense"] {
        assert_eq!(service.get(&format!("/console/mode{mode}")).await.status, 404, "{mode}");
    }
}

#[tokio::test]
async fn pages_carry_the_ids_of_their_request_and_what_they_ask_has_the_same() {
    let service = TestApp::sockets().start().await;
    for path in ["/", "/console", "/console/page.css", "/console/jobs", "/console/nothing"] {
        let made = service.get(path).await;
        assert_eq!(made.header("x-request-id").len(), 36, "{path}");
        assert_eq!(made.header("inin-correlation-id"), made.header("x-request-id"), "{path}");
        let ask = service.request(Method::GET, path).header("x-request-id", "mine");
        let taken = ask.header("inin-correlation-id", "theirs").send().await;
        assert_eq!((taken.header("x-request-id"), taken.header("inin-correlation-id")), ("mine", "theirs"), "{path}");
    }
    service.sandbox.set_faults(vec![Fault::status(On::Read, 403)]).unwrap();
    let conversation = format!("/console/conversations/{}/live", service.conference.id);
    let refused = service.request(Method::GET, &conversation).header("x-request-id", "shared").send().await;
    assert_eq!(refused.status, 403);
    let errors = service.get("/status").await.get("lastErrors");
    assert_eq!(errors[0]["requestId"], "shared", "{errors}");
}

#[tokio::test]
async fn the_issuer_is_offered_and_let_into_the_policy_where_it_knows_the_console() {
    let with = |client: Option<&'static str>| {
        let service = TestApp::sockets().config(move |config| {
            config.auth.jwt.issuer = Some("https://login.example.com/tenant/".to_owned());
            config.auth.jwt.audience = Some("hangup".to_owned());
            config.auth.jwt.jwks_url = Some("http://127.0.0.1:9/jwks".into());
            config.auth.jwt.console_client_id = client.map(str::to_owned);
        });
        service.start()
    };
    for (client, offered) in [(Some("console"), true), (None, false)] {
        let answer = with(client).await.get("/console").await;
        let policy = answer.header("content-security-policy");
        assert_eq!(policy.contains("connect-src 'self' https://login.example.com;"), offered, "{policy}");
        assert_eq!(answer.text.contains("Sign in at login.example.com"), offered);
    }
}

#[tokio::test]
async fn a_search_with_more_than_one_answer_has_room_for_leads_on_until_all_were_shown() {
    let service =
        TestApp::sockets().config(|config| config.auth.anonymous_permissions.0.push("search".to_owned())).start().await;
    service.sandbox.forget(service.conference.id);
    let day = Duration::from_secs(24 * 3600);
    let spec = StuckSpec { count: 300, age: Some(day * 9), youngest: Some(day), ..StuckSpec::default() };
    let made: BTreeSet<String> =
        service.sandbox.create_stuck(spec).unwrap().into_iter().map(|id| id.to_string()).collect();
    let (mut shown, mut pages, mut path) = (BTreeSet::new(), 0, "/console/conversations?q=".to_owned());
    loop {
        let page = service.get(&path).await.text;
        pages += 1;
        shown.extend(page.split("href=\"#conversations/").skip(1).map(|link| link[..36].to_owned()));
        let Some((_, further)) = page.split_once("hx-get=\"console/conversations?") else { break };
        let query = further.split('"').next().unwrap().replace("&amp;", "&");
        path = format!("/console/conversations?{query}");
    }
    assert_eq!((shown, pages), (made, 2), "some 200 at once");
}
