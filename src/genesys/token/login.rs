//! One login: the client-credentials grant, and what can be wrong with its answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tower::ServiceExt as _;

use super::failure::LoginFailure;
use crate::config;
use crate::config::value::trimmed;
use crate::files::read_secret;
use crate::genesys::answer::{Answer, BodyEnd};
use crate::genesys::error::{CallError, Cause};
use crate::genesys::exchange::{BodyLimit, Exchange, ExchangeOptions};
use crate::lenient::cleaned;

/// Longest life that is believed. Genesys grants 300 to 172,800 s; a year and more is an absurd answer.
const LONGEST_LIFE: f64 = 366.0 * 24.0 * 3600.0;

/// What a login grants.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) header: HeaderValue,
    pub(crate) life: Duration,
}

/// Where the client secret comes from.
#[derive(Debug, Clone)]
enum SecretSource {
    Value(SecretString),
    File(PathBuf),
}

/// Everything one login needs.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    url: String,
    client_id: String,
    secret: SecretSource,
    body: Bytes,
    exchange: Exchange,
}

impl Login {
    pub(crate) fn new(settings: &config::Genesys, login_url: &str, exchange: Exchange) -> Self {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if let Some(scope) = settings.scope.as_deref().filter(|scope| !scope.is_empty()) {
            form.append_pair("scope", scope);
        }
        let secret = match (&settings.client_secret_file, &settings.client_secret) {
            (Some(path), _) => SecretSource::File(path.clone()),
            (None, Some(value)) => SecretSource::Value(trimmed(value.expose_secret()).into()),
            (None, None) => SecretSource::Value(SecretString::default()),
        };
        Self {
            url: format!("{}/oauth/token", login_url.trim_end_matches('/')),
            client_id: trimmed(settings.client_id.as_deref().unwrap_or_default()).to_owned(),
            secret,
            body: form.finish().into(),
            exchange,
        }
    }

    /// The file with the secret, if it is in one.
    pub(crate) fn secret_file(&self) -> Option<&Path> {
        match &self.secret {
            SecretSource::Value(_) => None,
            SecretSource::File(path) => Some(path),
        }
    }

    /// The secret as it is now: a file is read anew each time, so that it can be rotated.
    pub(crate) async fn secret(&self) -> Result<SecretString, LoginFailure> {
        match &self.secret {
            SecretSource::Value(secret) => Ok(secret.clone()),
            SecretSource::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_secret(&path)).await;
                read.unwrap_or_else(|e| Err(e.to_string())).map_err(LoginFailure::Secret)
            }
        }
    }

    /// Logs in once.
    pub(crate) async fn log_in(&self, secret: &SecretString) -> Result<Grant, LoginFailure> {
        let response = self.exchange.clone().oneshot(self.request(secret)?).await.map_err(|e| unavailable(&e))?;
        let answer = Answer::from_http(response);
        match answer.status {
            StatusCode::OK if answer.body.end == BodyEnd::Complete => parse_grant(&answer.body.bytes),
            StatusCode::OK => Err(LoginFailure::Invalid("its answer was cut off or endless".to_owned())),
            status => Err(refusal(status, &answer, secret)),
        }
    }

    fn request(&self, secret: &SecretString) -> Result<Request<Bytes>, LoginFailure> {
        let invalid = |what: &str| LoginFailure::Invalid(what.to_owned());
        let credentials = STANDARD.encode(format!("{}:{}", self.client_id, secret.expose_secret()));
        let mut authorization = HeaderValue::from_str(&format!("Basic {credentials}"))
            .map_err(|_| invalid("the credentials fit no header"))?;
        authorization.set_sensitive(true);
        Request::builder()
            .method(Method::POST)
            .uri(&self.url)
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .header(header::ACCEPT_ENCODING, "identity")
            .extension(ExchangeOptions { body: BodyLimit::GRANT, ..ExchangeOptions::default() })
            .body(self.body.clone())
            .map_err(|_| invalid("its URL is not valid"))
    }
}

fn unavailable(error: &CallError) -> LoginFailure {
    LoginFailure::Unavailable(Cause::of(error).to_string())
}

/// Says what a login that did not answer 200 means. Only the login itself can accuse the secret: by an OAuth error word, or
/// by a bare 401. A page of HTML, or any other refusal, was written by something in between.
fn refusal(status: StatusCode, answer: &Answer, secret: &SecretString) -> LoginFailure {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct OauthErrorBody {
        error: String,
        description: String,
        error_description: String,
    }
    let text = cleaned(&answer.body.bytes);
    let body: OauthErrorBody = serde_json::from_slice(&text).unwrap_or_default();
    let said = format!("{} {}", body.description, body.error_description).to_ascii_lowercase();
    if status == StatusCode::TOO_MANY_REQUESTS || said.contains("rate limit") {
        return LoginFailure::Throttled(answer.retry_after);
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return LoginFailure::Unavailable(format!("status {}", status.as_u16()));
    }
    // An OAuth error code is one word (RFC 6749, 5.2). Anything else could echo what was sent.
    let word = !body.error.is_empty()
        && body.error.len() <= 40
        && body.error.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_' | b'.'))
        && body.error != secret.expose_secret();
    let is_page = text.trim_ascii_start().starts_with(b"<");
    // Gateways write what they like into a 401, such as {"message":"Unauthorized"}: it speaks of their own keys.
    let accuses = text.trim_ascii().is_empty() || !body.error.is_empty() || answer.is_own_refusal();
    match status {
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED if word => {
            LoginFailure::Rejected(format!("status {}: {}", status.as_u16(), body.error))
        }
        StatusCode::UNAUTHORIZED if accuses && !is_page => LoginFailure::Rejected("status 401".to_owned()),
        status if status.is_redirection() => {
            LoginFailure::Invalid(format!("status {}: a redirect, which is not followed", status.as_u16()))
        }
        status if is_page => {
            LoginFailure::Invalid(format!("status {} with a page of HTML, so not from Genesys Cloud", status.as_u16()))
        }
        status => LoginFailure::Invalid(format!("status {}", status.as_u16())),
    }
}

/// Reads a grant strictly: an absurd one is refused, so that it never replaces a good token.
fn parse_grant(body: &[u8]) -> Result<Grant, LoginFailure> {
    #[derive(Deserialize)]
    struct GrantBody {
        access_token: SecretString,
        expires_in: serde_json::Number,
    }
    let invalid = |what: &str| LoginFailure::Invalid(what.to_owned());
    // serde's own message could quote the document.
    let answer: GrantBody = serde_json::from_slice(&cleaned(body))
        .map_err(|_| invalid("it is not JSON with access_token and a number expires_in"))?;
    let seconds = answer.expires_in.as_f64().unwrap_or(-1.0);
    if !(1.0..=LONGEST_LIFE).contains(&seconds) {
        return Err(invalid("expires_in is not a plausible number of seconds"));
    }
    let token = answer.access_token.expose_secret();
    // RFC 6750: b64token characters; anything else could break out of the header.
    if token.is_empty() || token.len() > 8192 || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(invalid("access_token is not a bearer token"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| invalid("access_token cannot be sent in a header"))?;
    header.set_sensitive(true);
    Ok(Grant { header, life: Duration::from_secs_f64(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn absurd_grants_are_refused_without_quoting_them() {
        for (body, why) in [
            (r#"{"access_token":"canary","expires_in":0}"#, "expires_in"),
            (r#"{"access_token":"canary","expires_in":-5}"#, "expires_in"),
            (r#"{"access_token":"canary","expires_in":1e300}"#, "expires_in"),
            (r#"{"access_token":"canary","expires_in":99999999999}"#, "expires_in"),
            (r#"{"access_token":"canary","expires_in":"3600"}"#, "not JSON"),
            (r#"{"access_token":"canary"}"#, "not JSON"),
            (r#"{"access_token":"can\r\nary","expires_in":60}"#, "not a bearer"),
            (r#"{"access_token":"","expires_in":60}"#, "not a bearer"),
            (r#"{"access_token":"canary","expi"#, "not JSON"),
            ("<html>canary</html>", "not JSON"),
        ] {
            let failure = parse_grant(body.as_bytes()).unwrap_err().to_string();
            assert!(failure.contains(why), "{body}: {failure}");
            assert!(!failure.contains("canary"), "{failure}");
        }
        let marked = b"\xef\xbb\xbf{\"access_token\":\"abc\",\"expires_in\":60,\"scope\":\"Andr\xe9 \\ud83d\"}";
        assert_eq!(parse_grant(marked).unwrap().life, Duration::from_secs(60), "a byte order mark is skipped");
        let grant = parse_grant(br#"{"access_token":"abc","token_type":"bearer","expires_in":86399}"#).unwrap();
        assert_eq!(grant.life, Duration::from_secs(86399));
        assert!(!format!("{grant:?}").contains("abc"), "a grant's Debug shows no token");
    }

    #[test]
    fn only_the_logins_own_word_accuses_the_secret() {
        let answer = |status: u16, body: &str| {
            let body = crate::genesys::answer::Body::complete(Bytes::copy_from_slice(body.as_bytes()));
            Answer::from_http(http::Response::builder().status(status).body(body).unwrap())
        };
        let judge = |status: u16, body: &str| {
            let answer = answer(status, body);
            refusal(answer.status, &answer, &"hush".into())
        };
        let limit = r#"{"error":"invalid_request","description":"rate limit exceeded; wait"}"#;
        assert_eq!(judge(400, limit), LoginFailure::Throttled(None));
        assert_eq!(judge(429, ""), LoginFailure::Throttled(None));
        assert_eq!(judge(503, "").kind(), "unavailable");
        for (status, body) in [
            (302, ""),
            (400, ""),
            (400, "<html>400 Bad Request</html>"),
            (401, "\u{feff}<!DOCTYPE html><title>401</title>"),
            (401, r#"{"message":"Unauthorized"}"#),
            (401, "Unauthorized"),
            (403, "<html>403 Forbidden</html>"),
            (403, r#"{"error":"access_denied"}"#),
            (404, "<html>404 Not Found</html>"),
            (405, ""),
            (407, "<html>Proxy Authentication Required</html>"),
        ] {
            assert_eq!(judge(status, body).kind(), "invalid_answer", "{status} {body}");
        }
        for own in ["", " \r\n", r#"{"code":"bad.credentials","message":"m","status":401}"#] {
            assert_eq!(judge(401, own).kind(), "rejected", "{own}");
        }
        assert!(judge(401, "").to_string().contains("IP allow-list"));
        assert!(judge(400, r#"{"error":"invalid_client"}"#).to_string().contains("status 400: invalid_client"));
        for echo in ["invalid_client hush", "hush", "Basic aWQ6aHVzaA=="] {
            let rejected = judge(401, &serde_json::json!({"error": echo, "description": echo}).to_string());
            assert_eq!(rejected.kind(), "rejected");
            assert!(rejected.to_string().contains("(status 401)"), "{rejected}");
        }
    }

    proptest! {
        #[test]
        fn any_grant_body_is_read_without_panic(body in "\\PC{0,200}", life in any::<f64>(), token in "\\PC{0,30}") {
            let _ = parse_grant(body.as_bytes());
            let body = serde_json::json!({"access_token": token, "expires_in": life}).to_string();
            if let Ok(grant) = parse_grant(body.as_bytes()) {
                prop_assert!(grant.life >= Duration::from_secs(1));
                prop_assert!(grant.header.is_sensitive());
            }
        }
    }
}
