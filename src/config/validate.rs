//! Checks between and within values that their types cannot express.

use super::{Config, ConfigError};

impl Config {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
