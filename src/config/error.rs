//! Why a configuration cannot be used.

/// Why a configuration cannot be used. The text names the key, the value (never a secret), its source and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);
