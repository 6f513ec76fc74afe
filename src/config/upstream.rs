//! The settings of the upstream: where it is, the login, and how it is called.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::declare::{join, section, words};
use super::setting::{
    Setting, Wrong, base_url, between, count_up_to, positive, positive_up_to, proxy_url, region, up_to,
};
use super::value::{SensitiveUrl, duration};

section! {
    /// `[genesys]`: the upstream.
    Genesys {
        region: Option<String> where region,
        api_url: Option<String> where base_url,
        login_url: Option<String> where base_url,
        client_id: Option<String>,
        #[serde(skip_serializing)]
        client_secret: Option<SecretString>,
        client_secret_file: Option<PathBuf>,
        scope: Option<String>,
        operation: OperationChoice,
        proxy: Option<SensitiveUrl> where proxy_url,
        ca_file: Option<PathBuf>,
        client_cert: Option<PathBuf>,
        client_key: Option<PathBuf>,
        #[serde(with = "duration")]
        idle_timeout: Duration where positive,
    }
}

words! {
    /// `genesys.operation`: which upstream operation disconnects a participant.
    OperationChoice {
        /// Find out which one the org has.
        Auto "auto",
        /// `POST …/disconnect` only.
        Post "post",
        /// `PATCH {"state":"disconnected"}` only.
        Patch "patch",
    }
}

section! {
    /// `[token]`: the login and its renewal.
    Token {
        renew_at: f64 where between(0.1, 0.95),
        #[serde(with = "duration")]
        timeout: Duration where positive_up_to(600),
        #[serde(with = "duration")]
        backoff_min: Duration where positive,
        #[serde(with = "duration")]
        backoff_max: Duration,
        #[serde(with = "duration")]
        rejected_interval: Duration where positive,
        #[serde(with = "duration")]
        unaccepted_interval: Duration,
    }
}

section! {
    /// `[retry]`: repeated attempts of one upstream call.
    Retry {
        max_attempts: u32 where count_up_to(100),
        #[serde(with = "duration")]
        backoff_min: Duration where positive,
        #[serde(with = "duration")]
        backoff_max: Duration,
        budget_ratio: f64 where between(0.0, 1.0),
        budget_floor: u32 where between(0, 1000),
    }
}

section! {
    /// `[pace]`: the gate in front of the upstream's rate limit.
    Pace {
        #[serde(with = "duration")]
        max_pause: Duration where positive,
        #[serde(with = "duration")]
        reopen_margin: Duration,
        initial_in_flight: usize where count_up_to(1_000_000),
        #[serde(with = "duration")]
        spread: Duration where up_to(1),
    }
}
