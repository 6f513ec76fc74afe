use std::path::Path;
use std::time::Duration;

use base64::Engine;
use http::HeaderMap;
use secrecy::ExposeSecret as _;

use super::*;
use crate::config::Config;

const PEER: &str = "192.0.2.1";

fn auth(keys_file: Option<&Path>) -> config::Auth {
    let mut auth = Config::defaults().auth;
    auth.keys_file = keys_file.map(Path::to_owned);
    auth
}

fn record(name: &str, key: &str, more: &str) -> String {
    format!("[[key]]\nname = \"{name}\"\nsha256 = \"{}\"\n{more}\n", crate::digest::Digest::of(key.as_bytes()))
}

fn keys_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

async fn ask(callers: &Callers, pairs: &[(&'static str, &str)]) -> Result<String, Refusal> {
    let caller = callers.authenticate(&headers(pairs), PEER.parse().unwrap()).await?;
    Ok(caller.name().to_owned())
}

#[tokio::test]
async fn without_keys_everybody_is_anonymous_whatever_they_send() {
    let callers = Callers::open(&auth(None)).unwrap();
    assert!(callers.is_keyless());
    for pairs in [&[][..], &[("x-api-key", "anything")], &[("authorization", "Bearer anything")]] {
        assert_eq!(ask(&callers, pairs).await.as_deref(), Ok("anonymous"));
    }
    let caller = callers.authenticate(&HeaderMap::new(), PEER.parse().unwrap()).await.unwrap();
    assert!(caller.may(Permission::Disconnect) && !caller.may(Permission::Teardown));
}

#[tokio::test]
async fn a_key_is_found_in_either_header_and_x_api_key_wins() {
    let file = keys_file(&(record("one", "k1", "") + &record("two", "k2", "")));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    assert_eq!(ask(&callers, &[("x-api-key", "k1")]).await.as_deref(), Ok("one"));
    assert_eq!(ask(&callers, &[("authorization", "bearer  k2 ")]).await.as_deref(), Ok("two"));
    assert_eq!(ask(&callers, &[("x-api-key", "k1"), ("authorization", "Bearer k2")]).await.as_deref(), Ok("one"));
    assert_eq!(ask(&callers, &[("x-api-key", "no"), ("authorization", "Bearer k2")]).await, Err(Refusal::UnknownKey));
}

#[tokio::test]
async fn a_caller_without_a_right_key_learns_what_to_do() {
    let file = keys_file(&(record("old", "k0", "expires = \"2020-01-01\"") + &record("one", "k1", "")));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[], "missing"),
        (&[("x-api-key", "k0")], "key_expired"),
        (&[("x-api-key", "canary")], "unknown_key"),
        (&[("x-api-key", "")], "malformed"),
        (&[("x-api-key", "k1"), ("x-api-key", "k2")], "malformed"),
        (&[("authorization", "Basic canary")], "malformed"),
        (&[("authorization", "Bearer")], "malformed"),
    ];
    for (pairs, kind) in cases {
        let refusal = ask(&callers, pairs).await.unwrap_err();
        assert_eq!(refusal.kind(), kind);
        assert_eq!(refusal.status().as_u16(), 401);
        assert!(refusal.www_authenticate().unwrap().to_str().unwrap().starts_with("Bearer realm=\"hangup\""));
        assert!(!format!("{refusal} {refusal:?}").contains("canary"));
    }
    assert_eq!(callers.stats().refused, 7);
}

#[tokio::test]
async fn anonymous_callers_beside_keys_are_those_without_credentials() {
    let file = keys_file(&record("one", "k1", ""));
    let mut auth = auth(Some(file.path()));
    auth.anonymous = true;
    let callers = Callers::open(&auth).unwrap();
    assert!(!callers.is_keyless());
    assert_eq!(ask(&callers, &[]).await.as_deref(), Ok("anonymous"));
    assert_eq!(ask(&callers, &[("x-api-key", "k1")]).await.as_deref(), Ok("one"));
    assert_eq!(ask(&callers, &[("x-api-key", "no")]).await, Err(Refusal::UnknownKey));
}

#[tokio::test]
async fn a_keys_file_without_keys_admits_nobody() {
    let file = keys_file("");
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    assert_eq!(ask(&callers, &[]).await, Err(Refusal::Missing));
    assert_eq!(ask(&callers, &[("x-api-key", "k1")]).await, Err(Refusal::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn guessing_is_slowed_down_and_right_keys_still_pass() {
    let file = keys_file(&record("one", "k1", ""));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    for _ in 0..5 {
        assert_eq!(ask(&callers, &[("x-api-key", "no")]).await, Err(Refusal::UnknownKey));
    }
    let refusal = ask(&callers, &[("x-api-key", "no")]).await.unwrap_err();
    assert_eq!(refusal, Refusal::Throttled(Duration::from_millis(200)));
    assert_eq!(refusal.status().as_u16(), 429);
    assert_eq!(ask(&callers, &[("x-api-key", "k1")]).await.as_deref(), Ok("one"));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&callers, &[("x-api-key", "no")]).await, Err(Refusal::UnknownKey));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_expired_is_slowed_down_like_a_wrong_one() {
    let file = keys_file(&record("one", "k1", "expires = \"2020-01-01\""));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    for header in ["x-api-key", "authorization"] {
        let text = if header == "x-api-key" { "k1" } else { "Bearer k1" };
        for _ in 0..5 {
            assert_eq!(ask(&callers, &[(header, text)]).await, Err(Refusal::KeyExpired));
        }
        assert_eq!(ask(&callers, &[(header, text)]).await.unwrap_err().kind(), "throttled");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn the_oauth_endpoint_wants_name_and_key_of_the_same_caller() {
    let file = keys_file(&(record("one", "k1", "") + &record("two", "k2", "")));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    let log_in = |pair: &str| {
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        callers.log_in(&headers(&[("authorization", &value)]), PEER.parse().unwrap())
    };
    let login = log_in("one:k1").unwrap();
    assert_eq!(login.caller.name(), "one");
    assert_eq!(login.access_token.expose_secret(), "k1");
    assert!(!format!("{login:?}").contains("k1"));
    for (pair, kind) in
        [("two:k1", "unknown_key"), ("one:no", "unknown_key"), (":k1", "unknown_key"), ("k1", "malformed")]
    {
        assert_eq!(log_in(pair).unwrap_err().kind(), kind, "{pair}");
    }
    assert_eq!(callers.log_in(&HeaderMap::new(), PEER.parse().unwrap()).unwrap_err(), Refusal::Missing);
}

/// Waits, on the paused clock, until the file has been read again.
async fn await_reload(callers: &Callers, before: CallerStats) {
    for _ in 0..1000 {
        let now = callers.stats();
        if (now.key_reloads, now.key_reload_failures) != (before.key_reloads, before.key_reload_failures) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the file is not read again");
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_loaded_nonsense_is_not_and_an_empty_one_revokes_all() {
    let file = keys_file(&record("one", "k1", ""));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    let stop = CancellationToken::new();
    let watching = tokio::spawn({
        let (callers, stop) = (callers.clone(), stop.clone());
        async move { callers.watch(stop).await }
    });

    let before = callers.stats();
    std::fs::write(&file, record("two", "k2", "")).unwrap();
    await_reload(&callers, before).await;
    assert_eq!(ask(&callers, &[("x-api-key", "k2")]).await.as_deref(), Ok("two"));
    assert_eq!(ask(&callers, &[("x-api-key", "k1")]).await, Err(Refusal::UnknownKey));

    let before = callers.stats();
    std::fs::write(&file, "[[key]]\nname = ").unwrap();
    await_reload(&callers, before).await;
    assert_eq!(callers.stats().key_reload_failures, 1);
    assert_eq!(ask(&callers, &[("x-api-key", "k2")]).await.as_deref(), Ok("two"));

    let before = callers.stats();
    std::fs::write(&file, "").unwrap();
    await_reload(&callers, before).await;
    assert_eq!(ask(&callers, &[("x-api-key", "k2")]).await, Err(Refusal::UnknownKey));
    assert_eq!(callers.stats().keys, 0);

    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn a_reload_on_demand_loads_the_file_at_once_and_reports_mistakes() {
    let file = keys_file(&record("one", "k1", ""));
    let callers = Callers::open(&auth(Some(file.path()))).unwrap();
    std::fs::write(&file, record("one", "k1", "") + &record("two", "k2", "")).unwrap();
    assert_eq!(callers.reload().await.unwrap(), 2);
    let path = file.path().display().to_string();
    file.close().unwrap();
    let error = callers.reload().await.unwrap_err().to_string();
    assert!(error.contains(&path) && error.contains("cannot be read"), "{error}");
    assert_eq!(ask(&callers, &[("x-api-key", "k2")]).await.as_deref(), Ok("two"));
}

#[tokio::test]
async fn a_start_without_a_usable_keys_file_is_an_error_that_names_it() {
    let error = Callers::open(&auth(Some(Path::new("/nonexistent/keys.toml")))).unwrap_err().to_string();
    assert!(error.starts_with("auth.keys_file /nonexistent/keys.toml: cannot be read"), "{error}");
    let mut auth = auth(None);
    auth.anonymous_permissions.0 = vec!["everything".to_owned()];
    let error = Callers::open(&auth).unwrap_err().to_string();
    assert!(error.contains("auth.anonymous_permissions: \"everything\""), "{error}");
}
