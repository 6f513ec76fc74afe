//! `POST /oauth/token`: for clients that log in first. The key itself is the access token; nothing goes upstream.

use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::AppState;
use super::answer::json as answer;
use super::callers::keep_pages_away;
use super::context::RequestContext;
use super::input::{self, NoQuery};
use super::refused::Refused;
use crate::callers::Refusal;

/// `expires_in` for clients; keys are checked on every request anyway.
const LIFE_S: u64 = 86_400;

/// Answers the caller's own key as access token when name and key match.
pub(super) async fn token(
    State(app): State<AppState>,
    context: RequestContext,
    _: NoQuery,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    if !context.behind_proxy {
        keep_pages_away(&parts, &context)?;
    }
    let body =
        input::body(&parts.headers, body, app.max_body, app.body_timeout, "send grant_type=client_credentials").await?;
    let grant =
        form_urlencoded::parse(&body).find(|(name, _)| name == "grant_type").map(|(_, value)| value.into_owned());
    if grant.as_deref().is_some_and(|grant| grant != "client_credentials") {
        return Ok(refuse(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "only grant_type=client_credentials is served here",
        ));
    }
    let login = match app.callers.log_in(&parts.headers, context.addr) {
        Ok(login) => login,
        Err(refusal @ Refusal::Throttled(_)) => return Err(refusal.into()),
        Err(refusal) => {
            context.log().code = Some("unauthenticated");
            let text = match &refusal {
                // Its own words tell of other headers than this endpoint takes.
                Refusal::Missing | Refusal::Malformed(_) => {
                    "send Authorization: Basic with the key's name as user name and the key itself as password"
                        .to_owned()
                }
                other => other.to_string(),
            };
            let mut response = refuse(StatusCode::UNAUTHORIZED, "invalid_client", &text);
            let challenge = HeaderValue::from_static("Basic realm=\"hangup\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            return Ok(response);
        }
    };
    context.log().caller = Some(login.caller.identity().clone());
    let left = login.caller.expires().and_then(|at| at.duration_since(std::time::SystemTime::now()).ok());
    let life = left.map_or(LIFE_S, |left| left.as_secs().clamp(1, LIFE_S));
    Ok(answer(
        StatusCode::OK,
        &json!({"access_token": login.access_token.expose_secret(), "token_type": "bearer", "expires_in": life}),
    ))
}

/// An error as OAuth (RFC 6749) and the upstream's login write it.
fn refuse(status: StatusCode, error: &str, text: &str) -> Response {
    let body: Value = json!({"error": error, "description": text, "error_description": text});
    answer(status, &body)
}
