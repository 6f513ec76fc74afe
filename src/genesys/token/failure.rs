//! Why a login failed.

use std::time::Duration;

/// Why a login gave no token. The text is for callers and operators; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFailure {
    /// The login refused the credentials.
    #[error(
        "the login refused the client id and secret ({0}); check genesys.client_id, genesys.client_secret and genesys.region \
         (a wrong region looks the same as a wrong secret), and the IP allow-list of the OAuth client"
    )]
    Rejected(String),
    /// The login asks us to slow down.
    #[error("the login is throttled{}", .0.map(|d| format!(" for {} s", d.as_secs())).unwrap_or_default())]
    Throttled(Option<Duration>),
    /// The login could not be reached, or answered with a server error.
    #[error("the login is unavailable ({0})")]
    Unavailable(String),
    /// The login answered with something that is not a usable token.
    #[error(
        "the login gave no usable token ({0}); check genesys.login_url, what stands between us and Genesys Cloud, and the \
         IP allow-list of the OAuth client"
    )]
    Invalid(String),
    /// The secret file could not be read.
    #[error("the secret file cannot be read ({0}); check genesys.client_secret_file")]
    Secret(String),
}

impl LoginFailure {
    /// All that [`LoginFailure::kind`] says.
    pub const KINDS: [&str; 5] = ["rejected", "throttled", "unavailable", "invalid_answer", "secret_unreadable"];

    /// Word for metrics and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::Throttled(_) => "throttled",
            Self::Unavailable(_) => "unavailable",
            Self::Invalid(_) => "invalid_answer",
            Self::Secret(_) => "secret_unreadable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_of_a_kind_that_is_counted_from_zero() {
        let why = String::new;
        for failure in [
            LoginFailure::Rejected(why()),
            LoginFailure::Throttled(None),
            LoginFailure::Unavailable(why()),
            LoginFailure::Invalid(why()),
            LoginFailure::Secret(why()),
        ] {
            assert!(LoginFailure::KINDS.contains(&failure.kind()), "{failure:?}");
        }
    }
}
