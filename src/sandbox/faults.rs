//! Fault rules: which requests fail, how, and how often.

pub(crate) mod act;
mod action;
mod rules;
pub(crate) mod wire;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::option_duration;
pub use action::{Action, BodyFault, BodyKind, Cut, FaultAnswer, Forbidden, Redirect, TokenFault};
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
