//! The members of `GET /status` that the console shows. `openapi.yaml` says what each means.

use serde::Deserialize;

/// The service at a glance.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) instance: String,
    pub(super) started: String,
    pub(super) mode: String,
    pub(super) mode_from: String,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) token: Option<TokenStatus>,
    pub(super) window: WindowStatus,
    pub(super) operation: Option<String>,
    pub(super) in_flight: InFlight,
    pub(super) audit: AuditStatus,
    pub(super) store: StoreStatus,
    pub(super) replicas: Vec<Replica>,
    pub(super) replicas_total: usize,
    pub(super) last_errors: Vec<LastError>,
    pub(super) keys: Vec<Key>,
    pub(super) keys_total: usize,
}

/// The token of Genesys Cloud.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TokenStatus {
    pub(super) usable: bool,
    pub(super) expires_in_seconds: u64,
}

/// The window of the rate limit, and how many calls wait for it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WindowStatus {
    pub(super) allowed: Option<u32>,
    pub(super) remaining: Option<u32>,
    pub(super) closed: bool,
    pub(super) waiting: usize,
}

/// Requests under way.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InFlight {
    pub(super) now: usize,
    pub(super) limit: usize,
}

/// The state of the audit.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AuditStatus {
    pub(super) written: u64,
    pub(super) failing: bool,
}

/// The state of the store.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StoreStatus {
    pub(super) kind: String,
    pub(super) up: bool,
}

/// One process of the fleet.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Replica {
    pub(super) instance: String,
    pub(super) version: String,
}

/// One of the last errors answered.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LastError {
    pub(super) time: String,
    pub(super) code: String,
    pub(super) route: String,
    pub(super) upstream_status: Option<u16>,
    pub(super) request_id: String,
}

/// A key of the keys file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) permissions: Vec<String>,
    pub(super) mode: Option<String>,
    pub(super) guarded: bool,
    pub(super) expires: Option<String>,
    pub(super) last_used: Option<String>,
}
