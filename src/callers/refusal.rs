//! Why a caller is not let in, what it should do, and how that is said over HTTP.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

/// Why a caller is not let in. Never holds the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No credentials, although they are needed.
    Missing,
    /// A credential that cannot be read; the text says what is wrong with its form.
    Malformed(&'static str),
    /// Not one of our keys (nor a token, where an issuer is configured).
    UnknownKey,
    /// It looks like one of our keys, but its checksum is wrong.
    MistypedKey,
    /// A key whose `expires` has passed.
    KeyExpired,
    /// Too many wrong credentials from this address.
    Throttled(Duration),
    /// A token whose signature does not fit any key of the issuer, or whose algorithm is not allowed.
    TokenSignature,
    /// A token that has expired.
    TokenExpired,
    /// A token that is not valid yet.
    TokenNotYetValid,
    /// A token made for another service (`aud`), by another issuer (`iss`), or for another purpose (`typ`).
    TokenNotForUs(&'static str),
    /// A token without the named claim, or with one of the wrong form.
    TokenClaim(&'static str),
    /// The issuer's keys cannot be fetched now; try again after this.
    IssuerUnavailable(Duration),
    /// A request that seems to come from a web page of another site; the header that shows it.
    ForeignOrigin(&'static str),
    /// A request without a key that a proxy forwarded to a service on loopback; the header that shows it.
    ForwardedWithoutKey(HeaderName),
}

impl Refusal {
    /// Which one it is, for the tables of tests.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed(_) => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::MistypedKey => "mistyped_key",
            Self::KeyExpired => "key_expired",
            Self::Throttled(_) => "throttled",
            Self::TokenSignature => "token_signature",
            Self::TokenExpired => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::TokenNotForUs(_) => "token_not_for_us",
            Self::TokenClaim(_) => "token_claim",
            Self::IssuerUnavailable(_) => "issuer_unavailable",
            Self::ForeignOrigin(_) => "foreign_origin",
            Self::ForwardedWithoutKey(_) => "forwarded_without_key",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::IssuerUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::ForeignOrigin(_) | Self::ForwardedWithoutKey(_) => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// How long to wait before trying again; for `Retry-After`, to be rounded up.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled(wait) | Self::IssuerUnavailable(wait) => Some(*wait),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate`, on a 401.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<HeaderValue> {
        match self {
            _ if self.status() != StatusCode::UNAUTHORIZED => None,
            Self::Missing => Some(HeaderValue::from_static("Bearer realm=\"hangup\"")),
            Self::Malformed(_) => Some(HeaderValue::from_static("Bearer realm=\"hangup\", error=\"invalid_request\"")),
            _ => Some(HeaderValue::from_static("Bearer realm=\"hangup\", error=\"invalid_token\"")),
        }
    }
}

impl fmt::Display for Refusal {
    /// What is wrong and what to do next, for the caller.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => out.write_str("Send your key as X-API-Key, or as Authorization: Bearer. The operator of this service makes one with `hangup key new`."),
            Self::Malformed(what) => write!(out, "{what} Send the key alone, as X-API-Key, or as Authorization: Bearer."),
            Self::UnknownKey => out.write_str("This key is not known here: it was mistyped, revoked, or belongs to another instance. Ask the operator of this service for a current one."),
            Self::MistypedKey => out.write_str("This key was mistyped or cut off: its checksum is wrong. Copy all of it again."),
            Self::KeyExpired => out.write_str("This key has expired. Ask the operator of this service for a new one."),
            Self::Throttled(wait) => write!(out, "Too many wrong credentials came from your address. Correct them, then try again in {} s.", wait.as_secs() + 1),
            Self::TokenSignature => out.write_str("The token is not signed by a key of the issuer configured here, or not with an algorithm allowed here. Log in there and send the new token."),
            Self::TokenExpired => out.write_str("The token has expired. Log in with the issuer and send the new token."),
            Self::TokenNotYetValid => out.write_str("The token is not valid yet (nbf). Check the clocks of the issuer and of this service."),
            Self::TokenNotForUs(claim) => write!(out, "The token was not issued for this service (claim {claim}). Request one with the audience and from the issuer configured here."),
            Self::TokenClaim(claim) => write!(out, "The token has no usable claim {claim}. Have the issuer add it."),
            Self::IssuerUnavailable(_) => out.write_str("The keys of the token issuer cannot be fetched at the moment, so the token cannot be checked. Try again shortly; callers with keys are not affected."),
            Self::ForeignOrigin(what) => write!(out, "This service listens on loopback, and the request looks like one that a web page of another site made ({what}). Call the service by its own loopback address."),
            Self::ForwardedWithoutKey(header) => write!(out, "This service serves this machine alone while it has no keys, and the request came through a proxy ({header}). Configure auth.keys_file and send a key, or add the proxy to server.trusted_proxies if it authenticates its callers."),
        }
    }
}

impl std::error::Error for Refusal {}
