//! The operators' side has a lock: `PUT /mode` and `GET /status`.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::json;

use crate::api::callers::with_keys_and;
use crate::support::TestApp;

const OPERATOR: (&str, &str) = ("chief", "permissions = [\"operate\"]\nrate = \"100/s\"");

fn loopback(c: &mut hangup::config::Config) {
    c.admin.bind = Some("127.0.0.1:0".parse().unwrap());
}

#[tokio::test]
async fn the_mode_is_switched_only_by_a_key_with_operate_on_either_address() {
    let (service, keys, _file) = with_keys_and(&[OPERATOR, ("ivr", "")], loopback).await;
    let observe = json!({"mode": "observe"});
    for admin in [false, true] {
        let put = |key: Option<&str>| {
            let request =
                if admin { service.admin(Method::PUT, "/mode") } else { service.request(Method::PUT, "/mode") };
            key.map_or(request, |key| service_request(key, admin, &service)).json(&observe)
        };
        assert_eq!(put(None).send().await.verdict(), "401 unauthenticated");
        assert_eq!(put(Some("hk_wrong")).send().await.verdict(), "401 unauthenticated");
        assert_eq!(put(Some(&keys[1])).send().await.verdict(), "403 forbidden_caller");
        assert!(!service.get_with("/status", &keys[0]).await.text.contains("\"mode\":\"observe\""));
        assert_eq!(put(Some(&keys[0])).send().await.get("mode"), "observe");
        let back = service_request(&keys[0], admin, &service).json(&json!({"mode": "enforce"}));
        assert_eq!(back.send().await.get("mode"), "enforce");
    }
}

fn service_request(key: &str, admin: bool, service: &TestApp) -> crate::support::Ask {
    let request = if admin { service.admin(Method::PUT, "/mode") } else { service.request(Method::PUT, "/mode") };
    request.header("x-api-key", key)
}

#[tokio::test]
async fn without_keys_the_operators_side_is_for_this_machine_and_not_for_pages_or_proxies() {
    let service = TestApp::sockets().config(loopback).start().await;
    let put = |admin: bool| {
        let request = if admin { service.admin(Method::PUT, "/mode") } else { service.request(Method::PUT, "/mode") };
        request.json(&json!({"mode": "observe"}))
    };
    for admin in [false, true] {
        for (header, value) in [
            ("host", "evil.example"),
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("x-forwarded-for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9"),
        ] {
            assert_eq!(put(admin).header(header, value).send().await.verdict(), "403 forbidden_origin", "{header}");
        }
        for (header, value) in [("host", "evil.example"), ("sec-fetch-site", "cross-site")] {
            let get = |path: &str| {
                let ask = if admin { service.admin(Method::GET, path) } else { service.request(Method::GET, path) };
                ask.header(header, value)
            };
            // Without an admin address the metrics are on the main one.
            let expected = if admin { "403 forbidden_origin" } else { "404 no_such_route" };
            assert_eq!(get("/metrics").send().await.verdict(), expected, "they name keys");
            let probe = if admin { 200 } else { 404 };
            assert_eq!(get("/livez").send().await.status, probe, "probes stay open");
        }
    }
    assert_eq!(service.get("/mode").await.get("mode"), "enforce");
    assert_eq!(put(true).send().await.get("mode"), "observe");
    assert_eq!(service.get("/status").await.get("mode"), "observe");
}

#[tokio::test]
async fn without_keys_those_behind_a_trusted_proxy_on_this_machine_operate_nothing() {
    let trusting = |c: &mut hangup::config::Config| {
        loopback(c);
        c.server.trusted_proxies.0 = vec!["127.0.0.1".to_owned()];
    };
    let service = TestApp::sockets().config(trusting).start().await;
    for admin in [false, true] {
        let ask = |method: Method, path: &str| {
            let request = if admin { service.admin(method, path) } else { service.request(method, path) };
            request.header("x-forwarded-for", "203.0.113.9")
        };
        let put = ask(Method::PUT, "/mode").json(&json!({"mode": "observe"})).send().await;
        assert_eq!(put.verdict(), "403 forbidden_caller");
        assert_eq!(ask(Method::GET, "/status").send().await.verdict(), "403 forbidden_caller");
    }
    assert_eq!(service.get("/mode").await.get("mode"), "enforce", "those on this machine may");
}

#[tokio::test]
async fn an_admin_listener_beyond_loopback_without_keys_serves_probes_and_metrics_only() {
    let everywhere: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let service = TestApp::sockets().config(|c| c.admin.bind = Some(everywhere)).start().await;
    for path in ["/livez", "/metrics"] {
        assert_eq!(service.admin(Method::GET, path).send().await.status, 200, "{path}");
    }
    for path in ["/mode", "/status"] {
        assert_eq!(service.admin(Method::GET, path).send().await.verdict(), "404 no_such_route", "{path}");
    }
    let put = service.admin(Method::PUT, "/mode").json(&json!({"mode": "observe"}));
    assert_eq!(put.send().await.verdict(), "404 no_such_route");
    let (service, keys, _file) = with_keys_and(&[OPERATOR], |c| c.admin.bind = Some(everywhere)).await;
    assert_eq!(service.admin(Method::GET, "/status").send().await.verdict(), "401 unauthenticated");
    assert_eq!(service.admin(Method::GET, "/status").header("x-api-key", &keys[0]).send().await.status, 200);
}

#[tokio::test]
async fn the_status_shows_token_window_operation_mode_errors_and_the_last_use_of_keys() {
    let (service, keys, _file) = with_keys_and(&[OPERATOR, ("ivr", "expires = \"2999-01-01\"")], |_| {}).await;
    let unused = service.get_with("/status", &keys[0]).await;
    assert_eq!(unused.get("operation"), json!(null));
    assert_eq!(unused.get("keys")[1]["lastUsed"], json!(null));
    let agent = service.path_of(service.who("agent"));
    assert_eq!(service.post(&agent).header("x-api-key", &keys[1]).send().await.status, 200);
    let fault = json!({"on": "disconnect", "action": {"answer": {"status": 400}}});
    service.sandbox.set_faults(vec![serde_json::from_value(fault).unwrap()]).unwrap();
    let customer = service.path_of(service.who("customer"));
    assert_eq!(service.post(&customer).header("x-api-key", &keys[1]).send().await.status, 422);
    let fault = json!({"on": "disconnect", "action": {"redirect": {"location": "http://127.0.0.1/"}}});
    service.sandbox.set_faults(vec![serde_json::from_value(fault).unwrap()]).unwrap();
    assert_eq!(service.post(&customer).header("x-api-key", &keys[1]).send().await.status, 502);

    let status = service.get_with("/status", &keys[0]).await;
    assert_eq!(status.status, 200);
    let (token, window) = (status.get("token"), status.get("window"));
    assert_eq!(token["usable"], true);
    assert!(token["expiresInSeconds"].as_u64().unwrap() > 80_000, "{token}");
    assert_eq!((&window["allowed"], &window["closed"]), (&json!(300), &json!(false)));
    assert!(window["remaining"].as_u64().unwrap() < 300, "{window}");
    assert_eq!((status.get("ready"), status.get("operation")), (json!(true), json!("participant_state")));
    assert_eq!(status.get("inFlight"), json!({"now": 0, "limit": 2048}));
    let errors = status.get("lastErrors");
    assert_eq!(errors.as_array().unwrap().len(), 1, "a caller's mistake is not one: {errors}");
    assert_eq!(errors[0]["code"], "upstream_invalid_response");
    let key = &status.get("keys")[1];
    assert_eq!((&key["name"], &key["permissions"]), (&json!("ivr"), &json!(["disconnect", "read"])));
    assert_eq!(key["expires"], "2999-01-02T00:00:00Z");
    assert!(
        key["lastUsed"].as_str().unwrap().ends_with('Z') && key["digests"][0]["sha256"].as_str().unwrap().len() == 8
    );
    assert!(keys.iter().all(|key| !status.text.contains(key.as_str())));
}

#[tokio::test]
async fn an_unknown_query_parameter_changes_no_mode_and_is_refused_for_mode_status_and_login() {
    let service = TestApp::sockets().config(loopback).start().await;
    for query in ["dryRun=true", "a=1&a=1"] {
        let put = service.admin(Method::PUT, &format!("/mode?{query}")).json(&json!({"mode": "observe"}));
        assert_eq!(put.send().await.verdict(), "400 invalid_query", "{query}");
        assert_eq!(service.get("/mode").await.get("mode"), "enforce", "{query}");
        for path in ["/mode", "/status"] {
            assert_eq!(service.get(&format!("{path}?{query}")).await.verdict(), "400 invalid_query", "{path}");
        }
        let login = service.post(&format!("/oauth/token?{query}")).send().await;
        assert_eq!(login.verdict(), "400 invalid_query", "{query}");
    }
}
