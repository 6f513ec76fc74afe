//! The sections of the configuration, as `config/default.toml` documents them. Every value has its default there. Those of the
//! upstream, the store and the sandbox are in files of their own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::declare::{join, section, words};
use super::setting::{
    Setting, Wrong, count_up_to, header_name, log_level, networks, permissions, positive, positive_up_to, redactions,
    size_between, target, targets, text_up_to, up_to,
};
use super::stand_in::Sandbox;
use super::store::Store;
use super::upstream::{Genesys, Pace, Retry, Token};
use super::value::{List, Rate, SensitiveUrl, address, duration};

section! {
    /// All settings of one process.
    Config {
        server: Server,
        admin: Admin,
        auth: Auth,
        genesys: Genesys,
        token: Token,
        retry: Retry,
        pace: Pace,
        disconnect: Disconnect,
        limits: Limits,
        telemetry: Telemetry,
        audit: Audit,
        store: Store,
        jobs: Jobs,
        shutdown: Shutdown,
        sandbox: Sandbox,
    }
}

section! {
    /// `[server]`: where and how callers reach us.
    Server {
        #[serde(deserialize_with = "address::deserialize")]
        bind: SocketAddr,
        max_body: ByteSize where size_between(ByteSize(1), ByteSize::mib(1)),
        max_connections: usize where count_up_to(1_000_000),
        max_connections_per_address: usize where count_up_to(1_000_000),
        #[serde(with = "duration")]
        header_timeout: Duration where positive_up_to(600),
        #[serde(with = "duration")]
        body_timeout: Duration where positive_up_to(600),
        trusted_proxies: List where networks,
        forwarded_header: String where header_name,
        tls: Tls,
    }
}

section! {
    /// `[server.tls]`: PEM files for TLS and mutual TLS.
    Tls { cert: Option<PathBuf>, key: Option<PathBuf>, client_ca: Option<PathBuf>, }
}

section! {
    /// `[admin]`: a separate listener for operations.
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
        anonymous_permissions: List where permissions,
        wrong_key_rate: Rate,
        jwt: Jwt,
    }
}

section! {
    /// `[auth.jwt]`: tokens of an OpenID Connect issuer.
    Jwt {
        issuer: Option<String>,
        audience: Option<String>,
        jwks_url: Option<SensitiveUrl>,
        algorithms: List,
        permissions_claim: String where text_up_to(256),
        console_client_id: Option<String>,
        console_scope: String,
    }
}

section! {
    /// `[disconnect]`: how one participant is disconnected.
    Disconnect {
        #[serde(with = "duration")]
        deadline: Duration where positive_up_to(600),
        #[serde(with = "duration")]
        attempt_timeout: Duration where positive,
        #[serde(with = "duration")]
        connect_timeout: Duration where positive_up_to(60),
        default_reason: String where text_up_to(256),
        unknown_conversation: UnknownConversation,
        confirm: Confirm,
        #[serde(with = "duration")]
        confirm_wait: Duration where up_to(60),
        mode: Mode,
    }
}

words! {
    /// `disconnect.unknown_conversation`: what a 404 for the conversation itself means.
    UnknownConversation {
        /// It has ended: `conversation_ended`.
        Ended "ended",
        /// The id is wrong: 404 `conversation_not_found`.
        Error "error",
    }
}

words! {
    /// `disconnect.confirm`: whether to read the conversation after an accepted disconnect.
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
    /// `[limits]`: how many disconnects may be under way.
    Limits { max_in_flight: usize where count_up_to(1_000_000), }
}

section! {
    /// `[telemetry]`: logs and traces.
    Telemetry {
        log_format: LogFormat,
        log_level: String where log_level,
        log_target: String where target,
        otlp_endpoint: Option<SensitiveUrl>,
    }
}

words! {
    /// `telemetry.log_format`: the form of a log line.
    LogFormat {
        /// One JSON object per line.
        Json "json",
        /// For reading at a terminal.
        Human "human",
    }
}

section! {
    /// `[audit]`: the record of who disconnected whom.
    Audit {
        target: List where targets,
        required: bool,
        redact: List where redactions,
        fsync: Fsync,
        max_size: ByteSize where size_between(ByteSize::kib(64), ByteSize::tib(1)),
        keep: usize where count_up_to(10_000),
    }
}

impl Auth {
    /// Whether callers can be distinguished: by keys, or by tokens of an issuer.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.keys_file.is_some() || self.jwt.issuer.is_some()
    }
}

impl Audit {
    /// The files among the targets.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.target.0.iter().filter(|target| !matches!(target.as_str(), "off" | "stdout" | "store")).map(Path::new)
    }
}

words! {
    /// `audit.fsync`: when records are forced to the disk.
    Fsync {
        /// Left to the operating system.
        Never "never",
        /// Every second.
        Interval "interval",
        /// After each record.
        Always "always",
    }
}

section! {
    /// `[jobs]`: limits of queued disconnects.
    Jobs {
        max_items: usize where count_up_to(1_000_000),
        max_body: ByteSize where size_between(ByteSize(1), ByteSize::gib(1)),
        #[serde(with = "duration")]
        body_timeout: Duration where positive_up_to(600),
        approve_above: usize,
    }
}

section! {
    /// `[shutdown]`: how long the service takes to stop.
    Shutdown {
        #[serde(with = "duration")]
        grace: Duration where up_to(600),
        #[serde(with = "duration")]
        drain: Duration where up_to(600),
    }
}
