//! A secret, a token and a key that must not come out anywhere, with an upstream that repeats whatever it hears.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hangup::app::{App, UpstreamTransport};
use hangup::callers::new_key;
use hangup::config::Config;
use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::sleep;

use super::service::against;
use super::shared::until;
use super::table::Row;

const SECRET: &str = "canary-secret-5up3rh1dd3n";
const TOKEN: &str = "canary-token-n0b0dy5ee5me";

/// What the upstream does next, for the login and for the API.
#[derive(Debug, Clone, Default)]
struct Script {
    login: u16,
    api: u16,
    /// How the echo is dressed.
    form: usize,
}

/// An upstream that echoes secrets in status, headers and body: worse than any real one.
async fn echo(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let script = script.lock().unwrap().clone();
    let heard = parts.headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let login = parts.uri.path() == "/oauth/token";
    let status = if login { script.login } else { script.api };
    // The secret in the clear as well as it was sent, as a debugging proxy might show it.
    let clear = if login { SECRET } else { TOKEN };
    let heard = format!("{heard} {clear} {}", String::from_utf8_lossy(&body));
    let text = match (login, status) {
        (true, 200) => json!({"access_token": TOKEN, "token_type": "bearer", "expires_in": 3600}).to_string(),
        (true, _) if script.form == 0 => json!({"error": heard, "description": heard}).to_string(),
        (_, 302) => String::new(),
        _ => match script.form {
            0 => json!({"message": heard, "code": heard, "status": status, "contextId": heard}).to_string(),
            1 => json!({"message": heard, "code": clear, "errors": [heard]}).to_string(),
            2 => format!("{{\"message\": \"{heard}"),
            _ => format!("<html>{heard}</html>"),
        },
    };
    Response::builder()
        .status(status)
        .header("inin-correlation-id", clear)
        .header("location", format!("http://127.0.0.1:1/{clear}?{TOKEN}"))
        .header("retry-after", if script.form == 1 { TOKEN } else { "0" })
        .header("x-echo", clear)
        .body(Body::from(text))
        .unwrap()
}

/// The `Debug` of the configuration and of a whole app that holds the token, in this process.
async fn debug(upstream: SocketAddr) -> [String; 2] {
    let url = format!("http://{upstream}");
    let settings = [
        ("SERVER__BIND", "127.0.0.1:0"),
        ("GENESYS__CLIENT_ID", "sandbox"),
        ("GENESYS__CLIENT_SECRET", SECRET),
        ("GENESYS__API_URL", &url),
        ("GENESYS__LOGIN_URL", &url),
        ("STORE__URL", "memory"),
    ];
    let environment = settings.iter().map(|(key, value)| (format!("HANGUP__{key}"), (*value).to_owned())).collect();
    let config = Config::from_parts(None, environment).expect("a configuration");
    let shown = format!("{config:#?}");
    let app = App::build(config, UpstreamTransport::Sockets).await.expect("an app");
    let ready = || app.http().disconnector.client().tokens().current().is_some();
    assert!(until(Duration::from_secs(5), async || ready()).await.is_some(), "no token");
    [shown, format!("{app:#?}")]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_token_or_key_comes_out_anywhere() {
    let script = Arc::new(Mutex::new(Script { login: 200, api: 200, form: 0 }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(echo).with_state(Arc::clone(&script));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let set = |next: Script| *script.lock().unwrap() = next;

    let key = new_key("canary").unwrap();
    let plan = against(upstream)
        .set("telemetry.log_level", "trace")
        .set("genesys.client_secret", SECRET)
        .set("token.backoff_max", "300ms")
        .set("token.unaccepted_interval", "100ms")
        .set("disconnect.deadline", "600ms")
        .set("disconnect.attempt_timeout", "200ms")
        .set("retry.backoff_min", "10ms")
        .set("retry.backoff_max", "20ms")
        .set("pace.max_pause", "1s");
    let service = plan.keys(&key.toml.replace("\"read\"]", "\"read\", \"teardown\"]")).start().await;
    service.ready().await;

    let canaries = [
        SECRET.to_owned(),
        STANDARD.encode(format!("sandbox:{SECRET}")),
        TOKEN.to_owned(),
        key.text.clone(),
        STANDARD.encode(format!("canary:{}", key.text)),
    ];
    let mut shown = Vec::new();
    let mut caller = service.caller();
    let id = || uuid::Uuid::new_v4().to_string();
    let mut statuses = vec![200, 302, 400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504];
    statuses.push(599);
    for form in 0..4 {
        for &api in &statuses {
            set(Script { login: 200, api, form });
            let (c, p) = (id(), id());
            let requests = [
                ("POST", format!("/conversations/{c}/participants/{p}/disconnect"), None),
                ("GET", format!("/conversations/{c}/participants"), None),
                ("POST", format!("/conversations/{c}/participants/disconnect"), Some(r#"{"all":true}"#)),
                ("POST", format!("/conversations/{c}/disconnect"), Some(r#"{"all":true}"#)),
                (
                    "PATCH",
                    format!("/api/v2/conversations/calls/{c}/participants/{p}"),
                    Some(r#"{"state":"disconnected"}"#),
                ),
                ("GET", format!("/api/v2/conversations/{c}"), None),
            ];
            for (method, path, body) in requests {
                caller.headers = format!("authorization: Bearer {}\r\n", key.text);
                shown.push(caller.send(method, &path, body).await.expect("an answer").text());
            }
            if api == 429 {
                // The gate is closed for a second: what follows is to reach the upstream again.
                sleep(Duration::from_millis(1_100)).await;
            }
        }
        // The login's own errors, with no token to go on with.
        for login in [302, 400, 401, 403, 429, 500, 503] {
            set(Script { login: 200, api: 401, form });
            let _renewed = caller.post(&format!("/conversations/{}/participants/{}/disconnect", id(), id())).await;
            set(Script { login, api: 401, form });
            let path = format!("/conversations/{}/participants/{}/disconnect", id(), id());
            for _ in 0..2 {
                shown.push(caller.post(&path).await.expect("an answer").text());
            }
            shown.push(service.readiness().await.expect("an answer").text());
            set(Script { login: 200, api: 200, form });
            sleep(Duration::from_millis(150)).await;
        }
    }
    // Wrong keys, and the key in the wrong places. What a caller itself puts into a path or an id comes back to it alone.
    for header in [
        format!("x-api-key: {}x\r\n", key.text),
        format!("authorization: Bearer {}\r\nx-api-key: wrong\r\n", key.text),
        format!("authorization: Basic {}\r\n", STANDARD.encode(format!("canary:{}", key.text))),
        format!("authorization: Basic {}\r\n", STANDARD.encode(format!("nobody:{}", key.text))),
    ] {
        caller.headers = header;
        for path in ["/oauth/token", "/conversations/x/participants/y/disconnect", "/nowhere"] {
            let answer = caller.send("POST", path, Some("grant_type=client_credentials")).await.expect("an answer");
            // Its key is what the OAuth endpoint grants, by contract.
            if !(path == "/oauth/token" && answer.status == 200) {
                shown.push(answer.text());
            }
        }
    }
    shown.push(service.operator().get("/metrics").await.expect("metrics").text());
    set(Script { login: 200, api: 200, form: 0 });
    shown.extend(debug(upstream).await);
    let quiet = until(Duration::from_secs(5), async || service.log().contains("\"event\":\"request\"")).await;
    assert!(quiet.is_some(), "nothing is logged");
    let (log, answers) = (service.log(), shown.len());
    assert!(log.contains("upstream_attempt") && log.lines().count() > 500, "the log is not at TRACE");
    for (place, text) in
        [("log", log), ("stderr", service.errors())].into_iter().chain(shown.into_iter().map(|t| ("answer", t)))
    {
        for canary in &canaries {
            let line = text.lines().find(|line| line.contains(canary.as_str()));
            assert!(line.is_none(), "{canary} is in the {place}: {line:?}");
        }
    }
    Row {
        theme: "Secrets",
        fault: "An upstream that repeats secret, token and `Authorization` in every status, header and body, at level trace",
        callers_see: "The error, without them",
        figure: "0 hits of secret, token, caller's key and their Base64 in logs, stderr, metrics, answers and `Debug`, over 18 statuses, 4 forms and 7 login errors",
        measured: format!("0 hits in {answers} answers"),
        test: "canary::no_secret_token_or_key_comes_out_anywhere",
        long_half: false,
    }
    .write();
}
