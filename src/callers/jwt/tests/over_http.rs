//! The issuer on a socket: its documents, and tokens beside keys.

use super::*;

/// A server on a socket that answers every path from this table; redirects and large answers included.
async fn serve(documents: impl Fn(&str, &str) -> axum::response::Response + Clone + Send + Sync + 'static) -> String {
    let listener = crate::server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let own = base.clone();
    let app = axum::Router::new().fallback(move |uri: http::Uri| {
        let answer = documents(uri.path(), &own);
        async move { answer }
    });
    let settings = crate::server::ServeSettings::new(&Config::defaults().server);
    let token = tokio_util::sync::CancellationToken::new;
    tokio::spawn(crate::server::serve(listener, app, settings, token(), token()));
    base
}

#[tokio::test]
async fn the_key_set_is_found_by_discovery_and_bad_answers_are_explained() {
    use axum::response::{IntoResponse, Redirect};
    let base = serve(|path, own| match path {
        "/good/.well-known/openid-configuration" => {
            json!({"issuer": format!("{own}/good/"), "jwks_uri": format!("{own}/keys")}).to_string().into_response()
        }
        "/other/.well-known/openid-configuration" => json!({"issuer": "https://x"}).to_string().into_response(),
        "/keys" => json!({"keys": []}).to_string().into_response(),
        "/large" => " ".repeat(2 << 20).into_response(),
        "/moved" => Redirect::temporary("/keys").into_response(),
        _ => "nonsense".into_response(),
    })
    .await;
    let at = |path: &str| format!("{base}{path}");
    let found = fetch::over_http(&at("/good/"), None).unwrap()().await;
    assert_eq!(found, Ok(json!({"keys": []})));
    for (issuer, jwks, expected) in [
        ("/other/", None, "auth.jwt.issuer"),
        ("/x", Some("/large"), "larger than 512 KiB"),
        ("/x", Some("/moved"), "answered 307"),
        ("/x", Some("/nonsense"), "not JSON"),
    ] {
        let jwks = jwks.map(at);
        // A password in the URL is never shown.
        let jwks = jwks.map(|url| url.replace("http://", "http://u:canary@"));
        let error = fetch::over_http(&at(issuer), jwks.as_deref()).unwrap()().await.unwrap_err();
        assert!(error.contains(expected) && !error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn keys_and_tokens_go_side_by_side_and_wrong_tokens_are_throttled() {
    use axum::response::IntoResponse;
    use http::{HeaderMap, HeaderValue};
    let (signer, stranger) = (Signer::new("a"), Signer::new("a"));
    let published = set(&[&signer]).unwrap().to_string();
    let base = serve(move |_, _| published.clone().into_response()).await;
    let mut auth = Config::defaults().auth;
    auth.wrong_key_rate = "3/h".parse().unwrap();
    auth.jwt = settings();
    auth.jwt.algorithms.0 = vec!["ES256".to_owned()];
    auth.jwt.jwks_url = Some(base.as_str().into());
    let keys = tempfile::NamedTempFile::new().unwrap();
    let key = crate::callers::new_key("studio").unwrap();
    std::fs::write(&keys, &key.toml).unwrap();
    auth.keys_file = Some(keys.path().to_owned());
    let callers = crate::callers::Callers::open(&auth).unwrap();
    let watching = callers.clone();
    tokio::spawn(async move { watching.watch(tokio_util::sync::CancellationToken::new()).await });

    let ask = async |token: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::try_from(format!("Bearer {token}")).unwrap());
        let found = callers.authenticate(&headers, "192.0.2.1".parse().unwrap()).await;
        found.map(|caller| caller.name().to_owned()).map_err(|refusal| refusal.kind())
    };
    let (first, second) = (signer.sign(&claims()), signer.sign(&with("sub", json!("bob"))));
    assert_eq!(ask(&key.text).await.as_deref(), Ok("studio"));
    assert_eq!(ask(&first).await.as_deref(), Ok("alice"));
    for _ in 0..3 {
        assert_eq!(ask(&stranger.sign(&claims())).await, Err("token_signature"));
    }
    assert_eq!(ask(&stranger.sign(&claims())).await, Err("throttled"));
    assert_eq!(ask("wrong").await, Err("throttled"));
    // Valid ones from there still pass, whether or not they were seen before.
    assert_eq!(ask(&second).await.as_deref(), Ok("bob"));
    assert_eq!(ask(&first).await.as_deref(), Ok("alice"));
    assert_eq!(ask(&key.text).await.as_deref(), Ok("studio"));
}
