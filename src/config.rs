//! Settings: embedded defaults, overridden by a file, then by the environment. Every value is checked before anything
//! starts.
//!
//! `config/default.toml` is the documentation of every key.

mod declare;
mod error;
mod region;
mod sections;
mod setting;
mod sources;
mod stand_in;
mod store;
mod upstream;
mod validate;
pub mod value;

use std::path::Path;

use config::{Environment, File, FileFormat};

use error::CORRECT;
pub use error::ConfigError;
pub use sections::{
    Admin, Audit, Auth, Config, Confirm, Disconnect, Fsync, Jobs, Jwt, Limits, LogFormat, Mode, Server, Shutdown,
    Telemetry, Tls, UnknownConversation,
};
use sources::Sources;
pub use stand_in::{Sandbox, Surface};
pub use store::{Store, StoreKind};
pub use upstream::{Genesys, OperationChoice, Pace, Retry, Token};

/// Every key with its default and its explanation: `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

impl Config {
    /// Reads the embedded defaults, then `file`, then `HANGUP__SECTION__KEY` of the environment, and checks each value.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, or a value that cannot be used.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_parts(file, environment()?)
    }

    /// As [`Config::load`], with the origin, in words, of each key that is not a default.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with_origins(
        file: Option<&Path>,
    ) -> Result<(Self, std::collections::HashMap<String, String>), ConfigError> {
        let sources = Sources::read(file, environment()?)?;
        Ok((Self::build(&sources)?, sources.origins))
    }

    /// The embedded defaults alone.
    ///
    /// # Panics
    /// Never: tests read the embedded file into this type.
    #[must_use]
    #[expect(clippy::expect_used, reason = "embedded at build time and read by tests")]
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
        Self::build(&Sources::read(file, environment)?)
    }

    fn build(sources: &Sources) -> Result<Self, ConfigError> {
        let mut builder = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(text) = &sources.file {
            builder = builder.add_source(File::from_str(text, FileFormat::Toml));
        }
        let environment = Environment::with_prefix("HANGUP")
            .prefix_separator("__")
            .separator("__")
            .source(Some(sources.environment.clone()));
        let settings: Self = builder
            .add_source(environment)
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|e| ConfigError(explain(&e, sources)))?;
        settings.find_wrong().map_err(|wrong| ConfigError(sources.explain(&wrong.key, &wrong.text)))?;
        Ok(settings)
    }
}

/// The environment variables of this process, except foreign ones that are not UTF-8.
fn environment() -> Result<std::collections::HashMap<String, String>, ConfigError> {
    let mut environment = std::collections::HashMap::new();
    for (key, value) in std::env::vars_os() {
        let Ok(key) = key.into_string() else { continue };
        match value.into_string() {
            Ok(value) => drop(environment.insert(key, value)),
            Err(_) if key.to_ascii_uppercase().starts_with("HANGUP_") => {
                return Err(ConfigError(format!("{key}: its value is not UTF-8 text; set it again")));
            }
            Err(_) => {}
        }
    }
    Ok(environment)
}

/// The `config` crate's error as one line that says what is wrong and what to do.
fn explain(error: &config::ConfigError, sources: &Sources) -> String {
    let (key, what) = match error {
        config::ConfigError::At { error, key: Some(key), .. } => (key, error.to_string()),
        // A secret without quotes is a number, and must not be shown.
        config::ConfigError::Type { expected, key: Some(key), .. }
            if key.contains("secret") || key.contains("password") =>
        {
            (key, format!("expected {expected}, in quotes"))
        }
        config::ConfigError::Type { unexpected, expected, key: Some(key), .. } => {
            (key, format!("invalid type: {unexpected}, expected {expected}"))
        }
        _ => return format!("{error}; {CORRECT}"),
    };
    sources.explain(key, &format!("{key}: {what}; {CORRECT}"))
}
