//! What a fault rule makes of a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::sandbox::foreign::Foreign;

/// What happens to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Answered with a status, not served.
    Answer(FaultAnswer),
    /// The connection is reset (RST) without an answer.
    Reset,
    /// The connection is closed (FIN) without an answer.
    Close,
    /// No answer ever comes; the connection stays open.
    HalfOpen,
    /// Served with full effect, then the answer is lost this way.
    LostAnswer(Cut),
    /// Answered as if served, but nothing happens.
    IgnoreEffect,
    /// Served, with another body in the answer.
    Body(BodyFault),
    /// Redirected, not served.
    Redirect(Redirect),
    /// Answered as by something that is not Genesys Cloud, not served.
    Foreign(Foreign),
    /// Served, without rate-limit headers.
    NoRateHeaders,
    /// 401 `bad.credentials`, whatever the token.
    Unauthorized,
    /// 403 that names the missing permission.
    Forbidden(Forbidden),
    /// 403: this request requires a user context.
    UserContext,
    /// 400 `not.a.user`.
    NotAUser,
    /// Login: 400 `invalid_request`, rate limit exceeded.
    ThrottledLogin,
    /// Login: granted, with changed members in the answer.
    Token(TokenFault),
    /// With `on: "connection"`: the listener is closed for the time in `for`, and every open connection is reset.
    Refuse,
}

/// How an answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// RST.
    Reset,
    /// FIN.
    Close,
    /// Nothing comes, and the connection stays open.
    HalfOpen,
}

/// A status to answer with, or a sequence of them. A status below 300 lets the request through.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultAnswer {
    /// The status.
    pub status: Option<u16>,
    /// A status for each of the next requests. The rule ends after the last one; with a larger `times` the sequence
    /// repeats.
    pub statuses: Vec<u16>,
    /// `code` (for the login: `error`); the upstream's usual one for that status unless given.
    pub code: Option<String>,
    /// `message` (for the login: `description`).
    pub message: Option<String>,
    /// `Retry-After`, as it is sent: seconds, a date, or nonsense.
    pub retry_after: Option<String>,
    /// More headers.
    pub headers: BTreeMap<String, String>,
    /// The body, as it is sent, instead of an error in the upstream's form.
    pub body: Option<String>,
}

/// Another body. The status is 200 unless given; with a status of 400 or more the request is not served.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BodyFault {
    /// What the body is like.
    pub kind: BodyKind,
    /// The status.
    #[serde(default)]
    pub status: Option<u16>,
    /// Size of a `sized` body.
    #[serde(default)]
    pub bytes: u64,
}

/// What a faulty body is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyKind {
    /// The real one, cut off in the middle of its announced length.
    Truncated,
    /// Bytes that are neither JSON nor UTF-8.
    Garbage,
    /// A page of HTML.
    Html,
    /// JSON that never ends.
    Endless,
    /// This many bytes of JSON white space, then an object.
    Sized,
    /// Chunked, with a chunk size that is not a number.
    ChunkError,
    /// Nothing.
    Empty,
}

/// Where a redirect leads.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// `Location`.
    pub location: String,
    /// 302 unless given.
    #[serde(default)]
    pub status: Option<u16>,
}

/// Which permission is missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forbidden {
    /// One permission: `missing.permissions`. Several, separated by commas: `missing.any.permissions`.
    pub permission: String,
}

/// Changed members in a login's answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenFault {
    /// `expires_in`, any JSON.
    pub expires_in: Option<Value>,
    /// `access_token`, any JSON; the API does not accept it.
    pub access_token: Option<Value>,
    /// `token_type`, any JSON.
    pub token_type: Option<Value>,
    /// Members left out.
    pub omit: Vec<String>,
}
