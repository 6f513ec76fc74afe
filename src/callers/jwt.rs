//! Callers with a token of an OpenID Connect issuer.
//!
//! A token is accepted if its algorithm is one of those configured, its signature fits a key of the issuer, and `iss`,
//! `aud`, `exp` and `nbf` are right. Its permissions are listed in one claim; words that are not permissions are
//! ignored.

mod fetch;
mod issuer;
mod seen;

use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, AlgorithmFamily, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::caller::{Caller, CallerKind, Profile};
use super::permission::{Permission, Permissions};
use super::refusal::Refusal;
use crate::config::value::SensitiveUrl;
use crate::config::{self, ConfigError};
use crate::digest::Digest;
use crate::text::is_unprintable;
use issuer::Issuer;
use seen::SeenTokens;

/// How far the issuer's clock may be from ours.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longest name, because names go into logs.
const MAX_NAME: usize = 128;
/// Digits of the digest that is appended to a name which is not the whole subject.
const DIGITS: usize = 16;

#[derive(Debug)]
pub(super) struct Verifier {
    issuer: Issuer,
    validation: Validation,
    permissions_claim: String,
    seen: SeenTokens,
}

impl Verifier {
    /// Checks `[auth.jwt]`; `None` when no issuer is configured. Sends no request yet.
    pub(super) fn open(jwt: &config::Jwt) -> Result<Option<Self>, ConfigError> {
        let Some(issuer) = &jwt.issuer else {
            return match (&jwt.audience, &jwt.jwks_url) {
                (None, None) => Ok(None),
                _ => Err(ConfigError(
                    "auth.jwt.issuer is missing; set it, or remove the other keys of auth.jwt".to_owned(),
                )),
            };
        };
        let validation = validation(jwt, issuer)?;
        let fetch = fetch::over_http(issuer, jwt.jwks_url.as_ref().map(SensitiveUrl::expose))?;
        Ok(Some(Self::new(Issuer::new(fetch), validation, &jwt.permissions_claim)))
    }

    fn new(issuer: Issuer, validation: Validation, permissions_claim: &str) -> Self {
        Self { issuer, validation, permissions_claim: permissions_claim.to_owned(), seen: SeenTokens::default() }
    }

    /// Fetches the issuer's keys again and again; never returns.
    pub(super) async fn watch(&self) {
        self.issuer.watch().await;
    }

    /// How often the issuer's keys could not be fetched.
    pub(super) fn failures(&self) -> u64 {
        self.issuer.failures()
    }

    /// The caller of a token that was verified before, with the keys that are still in force.
    pub(super) fn recall(&self, token: &str) -> Option<Caller> {
        self.seen.get(token, self.issuer.generation())
    }

    /// Verifies a token. Waits for the issuer's keys while they are being fetched.
    pub(super) async fn verify(&self, token: &str) -> Result<Caller, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::Malformed("The bearer token cannot be read."))?;
        if !self.validation.algorithms.contains(&header.alg) || header.crit.is_some() {
            return Err(Refusal::TokenSignature);
        }
        let keys = self.issuer.find(header.kid.as_deref(), header.alg).await?;
        let generation = self.issuer.generation();
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let mut refusal = Refusal::TokenSignature;
        for key in keys {
            match decode::<Map<String, Value>>(token, &key, &validation) {
                Ok(data) => {
                    let typ = data.claims.get("typ");
                    if !is_access_token(header.typ.as_deref(), typ.and_then(Value::as_str)) {
                        return Err(Refusal::TokenNotForUs("typ"));
                    }
                    // A list would be accepted if any member of it were ours; RFC 7519, 4.1.1 allows one issuer.
                    if !data.claims.get("iss").is_some_and(Value::is_string) {
                        return Err(Refusal::TokenNotForUs("iss"));
                    }
                    let caller = self.caller(&data.claims)?;
                    self.seen.put(token, generation, caller.clone());
                    return Ok(caller);
                }
                Err(error) => match explain(error.kind()) {
                    // Another key may fit if the token does not name its key.
                    Refusal::TokenSignature => {}
                    other => refusal = other,
                },
            }
        }
        Err(refusal)
    }

    fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, Refusal> {
        let name = ["sub", "azp", "client_id"]
            .into_iter()
            .filter_map(|claim| claims.get(claim)?.as_str())
            .find(|name| !name.is_empty())
            .map(name)
            .ok_or(Refusal::TokenClaim("sub"))?;
        let expires = claims.get("exp").and_then(seconds).and_then(|at| SystemTime::UNIX_EPOCH.checked_add(at));
        let permissions = permissions(claim(claims, &self.permissions_claim));
        Ok(Caller::new(Profile { expires, ..Profile::unlimited(CallerKind::Token, name, permissions) }))
    }
}

/// A subject as a name. If it has to be cut or cleaned, or ends as such names do, a digest of the whole is appended, so
/// that different subjects have different names.
fn name(subject: &str) -> String {
    let clean: String = subject.chars().filter(|c| !is_unprintable(*c)).take(MAX_NAME).collect();
    let has_digest = |subject: &str| {
        subject.rsplit_once('#').is_some_and(|(_, end)| {
            end.len() == DIGITS && end.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    if clean == subject && !has_digest(subject) {
        return clean;
    }
    let digest = Digest::of(subject.as_bytes()).to_string();
    format!("{clean}#{}", digest.get(..DIGITS).unwrap_or_default())
}

/// A time in a token: in seconds, which need not be whole (RFC 7519, 2).
fn seconds(moment: &Value) -> Option<Duration> {
    let whole = moment.as_u64().map(Duration::from_secs);
    whole.or_else(|| Duration::try_from_secs_f64(moment.as_f64()?).ok())
}

/// The header's `typ` (RFC 8725, 3.11; RFC 9068, 2.1) and the claim of that name that Keycloak uses: a token for another
/// purpose, such as a logout or an id token, is not an access token although its signature is right.
fn is_access_token(header: Option<&str>, claim: Option<&str>) -> bool {
    let header = header.map(|typ| typ.to_ascii_lowercase());
    let header = header.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    matches!(header, None | Some("jwt" | "at+jwt")) && claim.is_none_or(|typ| typ.eq_ignore_ascii_case("bearer"))
}

/// What a token must satisfy.
fn validation(jwt: &config::Jwt, issuer: &str) -> Result<Validation, ConfigError> {
    let audience = jwt.audience.as_ref().filter(|audience| !audience.is_empty()).ok_or_else(|| {
        ConfigError(
            "auth.jwt.audience is missing; set the one that the issuer puts into tokens for this service".to_owned(),
        )
    })?;
    let algorithms: Vec<Algorithm> = jwt.algorithms.0.iter().map(|name| asymmetric(name)).collect::<Result<_, _>>()?;
    if algorithms.is_empty() {
        return Err(ConfigError("auth.jwt.algorithms is empty; name at least one, for example \"RS256\"".to_owned()));
    }
    let mut validation = Validation::new(Algorithm::RS256);
    validation.algorithms = algorithms;
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    Ok(validation)
}

/// Only asymmetric algorithms: with HMAC allowed, a token could be signed with the issuer's public key as the secret.
fn asymmetric(name: &str) -> Result<Algorithm, ConfigError> {
    let algorithm = name.parse::<Algorithm>().ok().filter(|found| found.family() != AlgorithmFamily::Hmac);
    algorithm.ok_or_else(|| {
        ConfigError(format!(
            "auth.jwt.algorithms: \"{name}\" is not supported; use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
        ))
    })
}

fn explain(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature => Refusal::TokenExpired,
        ErrorKind::ImmatureSignature => Refusal::TokenNotYetValid,
        ErrorKind::InvalidAudience => Refusal::TokenNotForUs("aud"),
        ErrorKind::InvalidIssuer => Refusal::TokenNotForUs("iss"),
        ErrorKind::MissingRequiredClaim(claim) | ErrorKind::InvalidClaimFormat(claim) => match claim.as_str() {
            "aud" => Refusal::TokenNotForUs("aud"),
            "iss" => Refusal::TokenNotForUs("iss"),
            "nbf" => Refusal::TokenClaim("nbf"),
            _ => Refusal::TokenClaim("exp"),
        },
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_) => {
            Refusal::Malformed("The bearer token cannot be read.")
        }
        _ => Refusal::TokenSignature,
    }
}

/// The claim of this name or, if there is none, the one at this path (`realm_access.roles`).
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut path = name.split('.');
        let first = claims.get(path.next()?)?;
        path.try_fold(first, |value, step| value.get(step))
    })
}

/// The permissions among the words of a list, or of a string separated by spaces.
fn permissions(claim: Option<&Value>) -> Permissions {
    match claim {
        Some(Value::String(words)) => words.split_whitespace().filter_map(Permission::from_word).collect(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).filter_map(Permission::from_word).collect(),
        _ => Permissions::default(),
    }
}

#[cfg(test)]
mod tests;
