//! The sections of the configuration, as `config/default.toml` documents them. Every value has its default there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::value::{List, Rate, SensitiveUrl, address, duration};

/// Declares a section: a struct of public members that refuses unknown keys.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $key:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        #[expect(missing_docs, reason = "each key is documented in config/default.toml")]
        pub struct $name { $($(#[$meta])* pub $key: $kind,)* }
    };
}

/// Declares a value that is one of a few words. What is none of them is told with those that are.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$meta])* $variant,)* }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                match text.as_str() {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(serde::de::Error::custom(format!("\"{text}\" is none of {}", [$($word),*].join(", ")))),
                }
            }
        }
    };
}

section! {
    /// `[server]`: where and how callers reach us.
    Server {
        #[serde(deserialize_with = "address::deserialize")]
        bind: SocketAddr,
        max_body: ByteSize,
        max_connections: usize,
        #[serde(with = "duration")]
        header_timeout: Duration,
        #[serde(with = "duration")]
        body_timeout: Duration,
        trusted_proxies: List,
        tls: Tls,
    }
}

section! {
    /// `[server.tls]`: PEM files for TLS and mutual TLS.
    Tls { cert: Option<PathBuf>, key: Option<PathBuf>, client_ca: Option<PathBuf>, }
}

section! {
    /// `[admin]`: a listener of its own for operations.
    Admin {
        #[serde(default, deserialize_with = "address::deserialize_option")]
        bind: Option<SocketAddr>,
    }
}

section! {
    /// `[auth]`: who may call.
    Auth {
        keys_file: Option<PathBuf>,
        anonymous: bool,
        anonymous_permissions: List,
        wrong_key_rate: Rate,
        jwt: Jwt,
    }
}

section! {
    /// `[auth.jwt]`: tokens of an OpenID Connect issuer.
    Jwt {
        issuer: Option<String>,
        audience: Option<String>,
        jwks_url: Option<String>,
        algorithms: List,
        permissions_claim: String,
    }
}

section! {
    /// `[genesys]`: the upstream.
    Genesys {
        region: Option<String>,
        api_url: Option<String>,
        login_url: Option<String>,
        client_id: Option<String>,
        #[serde(skip_serializing)]
        client_secret: Option<SecretString>,
        client_secret_file: Option<PathBuf>,
        scope: Option<String>,
        operation: OperationChoice,
        proxy: Option<SensitiveUrl>,
        ca_file: Option<PathBuf>,
        #[serde(with = "duration")]
        idle_timeout: Duration,
    }
}

words! {
    /// `genesys.operation`: which way to disconnect.
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
        renew_at: f64,
        #[serde(with = "duration")]
        timeout: Duration,
        #[serde(with = "duration")]
        backoff_min: Duration,
        #[serde(with = "duration")]
        backoff_max: Duration,
        #[serde(with = "duration")]
        rejected_interval: Duration,
        #[serde(with = "duration")]
        unaccepted_interval: Duration,
    }
}

section! {
    /// `[retry]`: repeated attempts of one upstream call.
    Retry {
        max_attempts: u32,
        #[serde(with = "duration")]
        backoff_min: Duration,
        #[serde(with = "duration")]
        backoff_max: Duration,
        budget_ratio: f64,
        budget_floor: u32,
    }
}

section! {
    /// `[pace]`: the gate in front of the upstream's rate limit.
    Pace {
        #[serde(with = "duration")]
        max_pause: Duration,
        #[serde(with = "duration")]
        reopen_margin: Duration,
        initial_in_flight: usize,
        #[serde(with = "duration")]
        spread: Duration,
    }
}

section! {
    /// `[disconnect]`: the mission.
    Disconnect {
        #[serde(with = "duration")]
        deadline: Duration,
        #[serde(with = "duration")]
        attempt_timeout: Duration,
        default_reason: String,
        unknown_conversation: UnknownConversation,
        confirm: Confirm,
        #[serde(with = "duration")]
        confirm_wait: Duration,
        mode: Mode,
    }
}

words! {
    /// `disconnect.unknown_conversation`: what a 404 for the conversation itself means.
    UnknownConversation {
        /// It has ended: `conversation_ended`.
        Ended "ended",
        /// The caller is wrong: 404 `conversation_not_found`.
        Error "error",
    }
}

words! {
    /// `disconnect.confirm`: whether to look after an accepted disconnect.
    Confirm {
        /// Only when the caller asks with `Prefer: wait=N`.
        Never "never",
        /// Before answering.
        Always "always",
        /// After answering, while the rate window has room.
        Background "background",
    }
}

words! {
    /// `disconnect.mode`, and the `mode` of a key: whether anything is written upstream.
    Mode {
        /// Disconnect.
        Enforce "enforce",
        /// Read, and report what would have been done.
        Observe "observe",
    }
}

section! {
    /// `[limits]`: the bulkhead.
    Limits { max_in_flight: usize, }
}

section! {
    /// `[telemetry]`: logs and traces.
    Telemetry {
        log_format: LogFormat,
        log_level: String,
        log_target: String,
        otlp_endpoint: Option<SensitiveUrl>,
    }
}

words! {
    /// `telemetry.log_format`: the form of a log line.
    LogFormat {
        /// One JSON object a line.
        Json "json",
        /// For reading at a terminal.
        Human "human",
    }
}

section! {
    /// `[audit]`: the record of who disconnected whom.
    Audit { target: String, fsync: Fsync, max_size: ByteSize, keep: usize, }
}

words! {
    /// `audit.fsync`: when records are forced to the disk.
    Fsync {
        /// Leave it to the system.
        Never "never",
        /// Each second.
        Interval "interval",
        /// After each record.
        Always "always",
    }
}

section! {
    /// `[shutdown]`: how we leave.
    Shutdown {
        #[serde(with = "duration")]
        grace: Duration,
        #[serde(with = "duration")]
        drain: Duration,
    }
}

section! {
    /// `[sandbox]`: the stand-in.
    Sandbox {
        #[serde(deserialize_with = "address::deserialize")]
        bind: SocketAddr,
        surface: Surface,
        client_id: String,
        #[serde(skip_serializing)]
        client_secret: SecretString,
        #[serde(with = "duration")]
        token_lifetime: Duration,
        #[serde(with = "duration")]
        effect_delay: Duration,
        rate_limit: u32,
        #[serde(with = "duration")]
        rate_window: Duration,
    }
}

words! {
    /// `sandbox.surface`: which ways to disconnect the stand-in has.
    Surface {
        /// PATCH only, as the published API.
        Published "published",
        /// `POST …/disconnect` only, as the seeds have it.
        Unpublished "unpublished",
        /// Both.
        Both "both",
    }
}
