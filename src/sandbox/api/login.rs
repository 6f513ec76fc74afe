//! `POST /oauth/token`: the client-credentials grant.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue};
use serde_json::json;

use crate::sandbox::answer::{Problem, with_json};
use crate::sandbox::incoming::Incoming;
use crate::sandbox::state::Sandbox;

/// Grants a token to the sandbox's client.
pub(crate) fn login(sandbox: &Sandbox, incoming: &Incoming<'_>) -> Result<Response, Problem> {
    let (mut grant, mut id, mut secret) = (None, None, None);
    for (name, value) in form_urlencoded::parse(incoming.body) {
        match &*name {
            "grant_type" => grant = Some(value.into_owned()),
            "client_id" => id = Some(value.into_owned()),
            "client_secret" => secret = Some(value.into_owned()),
            _ => {}
        }
    }
    let header = incoming.parts.headers.get(AUTHORIZATION);
    let (id, secret) = match header.map(basic) {
        Some(Some(pair)) => pair,
        Some(None) => return Err(refused("invalid_request", "malformed Authorization header")),
        None => (id.unwrap_or_default(), secret.unwrap_or_default()),
    };
    match grant.as_deref() {
        None => return Err(refused("invalid_request", "grant_type is missing")),
        Some("client_credentials") => {}
        Some(_) => return Err(refused("unsupported_grant_type", "the sandbox grants client_credentials only")),
    }
    if !sandbox.is_client(&id, &secret) {
        return Err(refused("invalid_client", "client not found: invalid client id or secret"));
    }
    let lifetime = sandbox.token_terms().lifetime;
    let text = sandbox.tokens_store().grant(lifetime);
    let body = json!({ "access_token": text, "token_type": "bearer", "expires_in": lifetime.as_secs() });
    let mut response = with_json(StatusCode::OK, &body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn refused(error: &'static str, description: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, error, description)
}

/// Client id and secret of a Basic header.
fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
