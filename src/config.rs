//! Settings: embedded defaults, then a file, then the environment; every value checked before anything starts.
//!
//! `config/default.toml` is the documentation of every key.

mod sections;
mod validate;
pub mod value;

use std::path::Path;

use config::{Environment, File, FileFormat};
use serde::{Deserialize, Serialize};

pub use sections::{
    Admin, Audit, Auth, Confirm, Disconnect, Fsync, Genesys, Jwt, Limits, LogFormat, Mode, OperationChoice, Pace,
    Retry, Sandbox, Server, Shutdown, Surface, Telemetry, Tls, Token, UnknownConversation,
};

const DEFAULTS: &str = include_str!("../config/default.toml");

/// All settings of one process.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each section is documented in config/default.toml")]
pub struct Config {
    pub server: Server,
    pub admin: Admin,
    pub auth: Auth,
    pub genesys: Genesys,
    pub token: Token,
    pub retry: Retry,
    pub pace: Pace,
    pub disconnect: Disconnect,
    pub limits: Limits,
    pub telemetry: Telemetry,
    pub audit: Audit,
    pub shutdown: Shutdown,
    pub sandbox: Sandbox,
}

/// Why a configuration cannot be used. The text names the key, the value (never a secret) and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

impl Config {
    /// Reads the embedded defaults, then `file`, then `HANGUP__SECTION__KEY` of the environment, and checks each value.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, or a value that cannot be used.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let environment = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_parts(file, environment)
    }

    /// The embedded defaults alone.
    ///
    /// # Panics
    /// Never: a test holds the embedded file against this type.
    #[must_use]
    #[expect(clippy::expect_used, reason = "embedded at build time and held by a test")]
    pub fn defaults() -> Self {
        Self::from_parts(None, std::collections::HashMap::new()).expect("the embedded defaults are valid")
    }

    /// As [`Config::load`], with the environment given by the caller.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_parts(
        file: Option<&Path>,
        environment: std::collections::HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let mut sources = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            // Read here, so that the format does not depend on the file's extension and the error names the path.
            let text = std::fs::read_to_string(path).map_err(|e| {
                ConfigError(format!(
                    "--config {}: cannot be read ({e}); check the path and its permissions",
                    path.display()
                ))
            })?;
            text.parse::<toml::Table>()
                .map_err(|e| ConfigError(format!("--config {}: is not valid TOML: {}", path.display(), e.message())))?;
            sources = sources.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let environment = Environment::with_prefix("HANGUP")
            .prefix_separator("__")
            .separator("__")
            .ignore_empty(true)
            .source(Some(environment));
        let settings: Self = sources
            .add_source(environment)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|e| ConfigError(explain(&e)))?;
        settings.validate()?;
        Ok(settings)
    }
}

/// Says in one line what is wrong, and what to do, from the `config` crate's error.
fn explain(error: &config::ConfigError) -> String {
    let text = error.to_string();
    if text.contains("unknown field") {
        format!("{text}; remove the key or correct its name (config/default.toml lists all)")
    } else {
        format!("{text}; correct the value (config/default.toml shows the form of each)")
    }
}
