//! Finds the credential in a request's headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use secrecy::SecretString;

use super::refusal::Refusal;

/// Longest credential that is read.
const MAX_LENGTH: usize = 16 << 10;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The credential that a request carries.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// A key, as `X-API-Key`.
    Key(CredentialText<'a>),
    /// A key or a token, as `Authorization: Bearer`.
    Bearer(CredentialText<'a>),
}

/// A credential's text, which is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct CredentialText<'a>(pub(super) &'a str);

impl std::fmt::Debug for CredentialText<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("[redacted]")
    }
}

/// The credential of a request, or `None` when it has none. `X-API-Key` wins.
pub(super) fn find(headers: &HeaderMap) -> Result<Option<Credential<'_>>, Refusal> {
    if let Some(key) = single(headers, &X_API_KEY, "X-API-Key was sent more than once, or is not plain text.")? {
        return text(key, "X-API-Key is empty or too long.").map(|key| Some(Credential::Key(key)));
    }
    let Some(value) = authorization(headers)? else { return Ok(None) };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::Malformed("Authorization has another scheme than Bearer."));
    }
    text(rest, "Authorization has an empty or overlong token.").map(|token| Some(Credential::Bearer(token)))
}

/// The name and key of `Authorization: Basic`.
pub(super) fn basic(headers: &HeaderMap) -> Result<Option<(String, SecretString)>, Refusal> {
    let wrong = Refusal::Malformed("This endpoint takes Authorization: Basic with base64 of name:key.");
    let Some(value) = authorization(headers)? else { return Ok(None) };
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("basic") || rest.len() > MAX_LENGTH {
        return Err(wrong);
    }
    let pair = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((name, key)) = pair.as_deref().and_then(|pair| pair.split_once(':')) else { return Err(wrong) };
    Ok(Some((name.to_owned(), key.into())))
}

fn authorization(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    single(headers, &AUTHORIZATION, "Authorization was sent more than once, or is not plain text.")
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName, wrong: &'static str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(text) if values.next().is_none() => Ok(Some(text.trim_ascii())),
        _ => Err(Refusal::Malformed(wrong)),
    }
}

fn text<'a>(value: &'a str, wrong: &'static str) -> Result<CredentialText<'a>, Refusal> {
    let value = value.trim_ascii();
    if value.is_empty() || value.len() > MAX_LENGTH {
        Err(Refusal::Malformed(wrong))
    } else {
        Ok(CredentialText(value))
    }
}
