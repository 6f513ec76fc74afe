//! Why a configuration cannot be used.

/// Why a configuration cannot be used. The text names the key, the value (never a secret), its source and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// The remedy for a value of the wrong form.
pub(super) const CORRECT: &str =
    "correct the value (`hangup config` shows the form of each, as config/default.toml does)";
