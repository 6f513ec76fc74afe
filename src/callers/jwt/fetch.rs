//! Fetches an issuer's key set over HTTP, where the issuer's discovery document says it is.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url, redirect, retry};
use serde_json::Value;

use crate::config::ConfigError;
use crate::config::value::SensitiveUrl;

/// Longest time for one document.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Largest document that is read.
const MAX_BODY: usize = 512 << 10;

/// Fetches the issuer's published key set.
pub(super) type Fetch = Arc<dyn Fn() -> futures_util::future::BoxFuture<'static, Result<Value, String>> + Send + Sync>;

/// Fetches the keys of `issuer` from `jwks_url`, or from where its discovery document points.
pub(super) fn over_http(issuer: &str, jwks_url: Option<&str>) -> Result<Fetch, ConfigError> {
    let wrong = |key: &str, why: String| ConfigError(format!("auth.jwt.{key}: {why}"));
    let jwks = jwks_url.map(|url| trustworthy(url).map_err(|why| wrong("jwks_url", why))).transpose()?;
    let discovery = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let discovery = match &jwks {
        Some(url) => url.clone(),
        None => trustworthy(&discovery).map_err(|why| wrong("issuer", why))?,
    };
    crate::crypto_provider::install();
    let client = Client::builder()
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(1)
        .user_agent(concat!("hangup/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| wrong("issuer", format!("no HTTP client can be made ({error})")))?;
    let issuer = issuer.to_owned();
    Ok(Arc::new(move || {
        let (client, issuer, jwks, discovery) = (client.clone(), issuer.clone(), jwks.clone(), discovery.clone());
        Box::pin(async move {
            let jwks = match jwks {
                Some(url) => url,
                None => discovered(&get(&client, discovery).await?, &issuer)?,
            };
            get(&client, jwks).await
        })
    }))
}

/// The key set's URL in a discovery document, which must be this issuer's own.
fn discovered(document: &Value, issuer: &str) -> Result<Url, String> {
    let named = document.get("issuer").and_then(Value::as_str);
    if named != Some(issuer) {
        return Err(format!(
            "the discovery document is for issuer {named:?}; set auth.jwt.issuer to exactly that if it is the right one"
        ));
    }
    trustworthy(document.get("jwks_uri").and_then(Value::as_str).unwrap_or_default())
}

/// Keys must come over TLS or from this machine: otherwise they could be replaced in transit.
fn trustworthy(url: &str) -> Result<Url, String> {
    let shown = SensitiveUrl::from(url);
    let parsed =
        Url::parse(url).map_err(|error| format!("\"{shown}\" is not a URL ({error}); write it with https://"))?;
    let local = match parsed.host_str() {
        Some(host) => {
            host == "localhost"
                || host.trim_matches(['[', ']']).parse().is_ok_and(|addr: std::net::IpAddr| addr.is_loopback())
        }
        None => false,
    };
    match parsed.scheme() {
        "https" => Ok(parsed),
        "http" if local => Ok(parsed),
        _ => Err(format!("\"{shown}\" is not https; the keys could be replaced in transit")),
    }
}

async fn get(client: &Client, url: Url) -> Result<Value, String> {
    // The URL may hold a password.
    let shown = SensitiveUrl::from(url.as_str());
    let explain = |error: reqwest::Error| format!("{shown}: {}", causes(&error.without_url()));
    let mut response = client.get(url).send().await.map_err(explain)?;
    if !response.status().is_success() {
        return Err(format!("{shown}: answered {}", response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(explain)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(format!("{shown}: the answer is larger than {} KiB", MAX_BODY >> 10));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|error| format!("{shown}: the answer is not JSON ({error})"))
}

/// An error with its causes, which reqwest leaves out.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
