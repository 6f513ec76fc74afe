//! Settings that can be changed while the sandbox runs. Faults are apart.

use std::time::Duration;

use arc_swap::ArcSwap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::config::Surface;
use crate::config::value::duration;

/// The settings of `/sandbox/settings`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Which operations for disconnecting exist.
    pub surface: Surface,
    /// How long after its 202 a PATCH or a teardown takes effect.
    #[serde(with = "duration")]
    pub effect_delay: Duration,
    /// Requests allowed per token and window.
    pub rate_limit: u32,
    /// Length of the window, counted from a token's first request in it.
    #[serde(with = "duration")]
    pub rate_window: Duration,
    /// Whether all tokens share one window.
    pub rate_shared: bool,
    /// The status of a PATCH for a participant that has left: 400, 404 or 409.
    pub gone_status: u16,
    /// The `code` of that answer.
    pub gone_code: String,
    /// The status of a POST for a participant that has left: 204, 404 or 409.
    pub post_gone_status: u16,
    /// Whether the POST answers 409 unless its body has both `reason` and `cause`.
    pub post_needs_reason_and_cause: bool,
    /// Whether only the login and the unpublished POST exist. Every other path is then a plain 404 `{"detail":"Not
    /// Found"}`, refusals have that form, too, and no answer has Genesys Cloud's headers.
    pub minimal: bool,
    /// Permissions that the client does not have.
    pub missing_permissions: Vec<String>,
    /// Divisions that the client does not see.
    pub hidden_divisions: Vec<Uuid>,
    /// A details query beyond this many hits answers 502.
    pub analytics_hits: usize,
    /// How long an ended conversation can still be read.
    #[serde(with = "duration")]
    pub ended_readable_for: Duration,
}

impl Settings {
    fn check(&self) -> Result<(), String> {
        if !matches!(self.gone_status, 400 | 404 | 409) {
            return Err(format!("gone_status: {} is not one of 400, 404, 409", self.gone_status));
        }
        if !matches!(self.post_gone_status, 204 | 404 | 409) {
            return Err(format!("post_gone_status: {} is not one of 204, 404, 409", self.post_gone_status));
        }
        if self.rate_window.is_zero() {
            return Err("rate_window: must be longer than zero".to_owned());
        }
        Ok(())
    }
}

/// How long tokens live: the settings of `/sandbox/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenTerms {
    /// Life of the tokens granted from now on.
    #[serde(with = "duration")]
    pub lifetime: Duration,
    /// A token unused for this long is dead, as in orgs under HIPAA rules. Zero: never.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
}

/// All settings. Readers take a snapshot without waiting.
#[derive(Debug)]
pub(crate) struct Switches {
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) tokens: ArcSwap<TokenTerms>,
}

impl Switches {
    pub(crate) fn new(config: &crate::config::Sandbox) -> Self {
        Self {
            settings: ArcSwap::from_pointee(Settings {
                surface: config.surface,
                effect_delay: config.effect_delay,
                rate_limit: config.rate_limit,
                rate_window: config.rate_window.max(Duration::from_millis(1)),
                rate_shared: false,
                gone_status: 400,
                gone_code: "conversation.error.participant.no.active.conversations".to_owned(),
                post_gone_status: 404,
                post_needs_reason_and_cause: false,
                minimal: false,
                missing_permissions: Vec::new(),
                hidden_divisions: Vec::new(),
                analytics_hits: 8_000,
                ended_readable_for: Duration::from_secs(600),
            }),
            tokens: ArcSwap::from_pointee(TokenTerms { lifetime: config.token_lifetime, idle_timeout: Duration::ZERO }),
        }
    }

    pub(crate) fn change_settings(&self, change: &Value) -> Result<(), String> {
        let next = overlay(&**self.settings.load(), change)?;
        Settings::check(&next)?;
        self.settings.store(next.into());
        Ok(())
    }

    pub(crate) fn change_tokens(&self, change: &Value) -> Result<(), String> {
        self.tokens.store(overlay(&**self.tokens.load(), change)?.into());
        Ok(())
    }
}

/// `current` with the members of `change`. An unknown member is an error that names it.
fn overlay<T: Serialize + DeserializeOwned>(current: &T, change: &Value) -> Result<T, String> {
    let Value::Object(change) = change else {
        return Err("the body must be a JSON object".to_owned());
    };
    let mut merged = serde_json::to_value(current).map_err(|e| e.to_string())?;
    if let Value::Object(members) = &mut merged {
        members.extend(change.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    serde_json::from_value(merged).map_err(|e| e.to_string())
}
