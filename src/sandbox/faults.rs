//! Fault rules: which requests fail, how, and how often.

pub(crate) mod act;
mod rules;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::foreign::Foreign;
use super::option_duration;
pub(crate) use rules::FaultRules;

/// One rule. Rules are tried in their order: each that matches adds its latency, and the first one with an action is
/// the last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fault {
    /// Which requests it matches.
    pub on: On,
    /// Only this conversation.
    pub conversation: Option<Uuid>,
    /// Only this participant.
    pub participant: Option<Uuid>,
    /// Only requests on a connection that has served one before. Never matches in-process.
    pub reused: bool,
    /// How many matching requests are served first.
    pub skip: u64,
    /// How many requests it applies to; unlimited unless given.
    pub times: Option<u64>,
    /// It ends this long after it was added.
    #[serde(rename = "for", with = "option_duration")]
    pub lasts: Option<Duration>,
    /// The share of the matching requests that it applies to, 0 to 1.
    pub probability: Option<f64>,
    /// Seed for `probability` and `jitter`, so that a run can be repeated.
    pub seed: u64,
    /// Wait before anything else.
    #[serde(with = "option_duration")]
    pub latency: Option<Duration>,
    /// Added to the latency: a random time up to this.
    #[serde(with = "option_duration")]
    pub jitter: Option<Duration>,
    /// What happens then; `None`: the request is served.
    pub action: Option<Action>,
}

/// Which requests a rule matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// All, the login included.
    #[default]
    Any,
    /// The login.
    Login,
    /// Everything but the login.
    Api,
    /// Both ways to disconnect a participant, and the PATCH of a communication.
    Disconnect,
    /// The unpublished POST.
    Post,
    /// The published PATCH.
    Patch,
    /// A read of one conversation.
    Read,
    /// The list of conversations.
    List,
    /// The end of a whole conversation, or of one medium in it.
    Teardown,
    /// The queries of analytics.
    Analytics,
    /// The names of queues and users.
    Names,
    /// New connections, before anything is read from them. Control calls are not exempt, so `times` or `for` is required.
    Connection,
}

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

impl Fault {
    /// A rule without limits.
    #[must_use]
    pub fn new(on: On, action: Action) -> Self {
        Self { on, action: Some(action), ..Self::default() }
    }

    /// A rule that only delays.
    #[must_use]
    pub fn latency(on: On, latency: Duration) -> Self {
        Self { on, latency: Some(latency), ..Self::default() }
    }

    /// A rule that answers with a status and the upstream's usual code for it.
    #[must_use]
    pub fn status(on: On, status: u16) -> Self {
        Self::new(on, Action::Answer(FaultAnswer { status: Some(status), ..FaultAnswer::default() }))
    }

    /// The same rule, for this many requests.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Checks that it can be carried out. The error names the wrong member.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err("probability: must be between 0 and 1".to_owned());
        }
        let status = |value: u16, name: &str| match value {
            200..=599 => Ok(()),
            _ => Err(format!("{name}: {value} is not a status between 200 and 599")),
        };
        match &self.action {
            Some(Action::Answer(answer)) => {
                if answer.status.is_some() != answer.statuses.is_empty() {
                    return Err("answer: give either `status` or `statuses`".to_owned());
                }
                for (name, value) in &answer.headers {
                    if name.parse::<http::HeaderName>().is_err() || value.parse::<http::HeaderValue>().is_err() {
                        return Err(format!("headers: {name:?} cannot be sent"));
                    }
                }
                answer.status.iter().chain(&answer.statuses).try_for_each(|s| status(*s, "status"))?;
            }
            Some(Action::Body(body)) => status(body.status.unwrap_or(200), "status")?,
            Some(Action::Foreign(foreign)) => status(foreign.status.unwrap_or(404), "status")?,
            Some(Action::Redirect(redirect)) => {
                status(redirect.status.unwrap_or(302), "status")?;
                if redirect.location.parse::<http::HeaderValue>().is_err() {
                    return Err("location: cannot be sent".to_owned());
                }
            }
            _ => {}
        }
        let connection = self.on == On::Connection;
        match &self.action {
            Some(Action::Refuse) if !connection || self.lasts.is_none() => {
                Err("action: \"refuse\" needs on: \"connection\" and `for`".to_owned())
            }
            Some(Action::Refuse) => Ok(()),
            Some(Action::Reset | Action::HalfOpen) if connection => {
                let limited = self.times.is_some() || self.lasts.is_some();
                limited.then_some(()).ok_or_else(|| "on: \"connection\" needs `times` or `for`".to_owned())
            }
            _ if connection => Err("action: a connection can meet \"reset\", \"half_open\" or \"refuse\"".to_owned()),
            _ => Ok(()),
        }
    }
}
