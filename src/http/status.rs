//! `GET /status`: the running service at a glance, for operators and `hangup status`. Asks nothing of the upstream.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::AppState;
use super::answer::{fitting, json};
use super::callers::Operator;
use super::input::NoQuery;
use super::mode;
use super::recent_errors::RecentError;
use crate::callers::KeyStatus;
use crate::genesys::request::Operation;
use crate::metrics::JobStats;

/// Most replicas that are listed; `replicasTotal` counts them all.
const MOST_REPLICAS: usize = 32;

/// Every member is always there, `null` where it is not known.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    ok: bool,
    version: &'static str,
    instance: String,
    started: String,
    uptime_seconds: u64,
    mode: &'static str,
    mode_from: &'static str,
    ready: bool,
    reasons: Vec<String>,
    token: Option<TokenStatus>,
    window: WindowStatus,
    operation: Option<&'static str>,
    in_flight: InFlightStatus,
    connections: usize,
    audit: AuditStatus,
    store: StoreStatus,
    claims: ClaimsStatus,
    jobs: JobsStatus,
    replicas: Vec<ReplicaStatus>,
    replicas_total: usize,
    last_errors: Vec<RecentError>,
    keys: Vec<KeyStatus>,
    keys_total: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenStatus {
    usable: bool,
    age_seconds: u64,
    expires_in_seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WindowStatus {
    allowed: Option<u32>,
    remaining: Option<u32>,
    reset_seconds: Option<u64>,
    closed: bool,
    waiting: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InFlightStatus {
    now: usize,
    limit: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuditStatus {
    written: u64,
    failures: u64,
    suppressed: u64,
    failing: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreStatus {
    kind: &'static str,
    up: bool,
    failures: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClaimsStatus {
    made: u64,
    repeated: u64,
    refused: u64,
    held: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JobsStatus {
    running: u64,
    waiting: u64,
    paused: u64,
    items_queued: u64,
    items_leased: u64,
    oldest_seconds: u64,
    items: BTreeMap<&'static str, u64>,
    taken_over: u64,
    self_paused: u64,
}

impl From<JobStats> for JobsStatus {
    fn from(stats: JobStats) -> Self {
        let JobStats { depth, items, taken_over, self_paused } = stats;
        Self {
            running: depth.running,
            waiting: depth.waiting,
            paused: depth.paused,
            items_queued: depth.pending,
            items_leased: depth.under_way,
            oldest_seconds: depth.oldest.as_secs(),
            items,
            taken_over,
            self_paused,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplicaStatus {
    instance: String,
    version: String,
    age_seconds: u64,
    last_seen_seconds: u64,
}

/// Answers an operator.
pub(super) async fn get(State(app): State<AppState>, _: Operator, _: NoQuery) -> Response {
    json(StatusCode::OK, &status(&app))
}

fn status(app: &AppState) -> Status {
    let client = app.disconnector.client();
    let (gate, audit) = (client.gate().reading(), app.audit.stats());
    let reasons: Vec<String> = super::health::not_ready(app);
    let (keys, (now, limit)) = (app.callers.keys(), app.disconnector.in_flight());
    let keys_total = keys.len();
    let (store, claims, replicas) = (app.store.stats(), app.claims.stats(), app.fleet.replicas());
    Status {
        ok: true,
        version: env!("CARGO_PKG_VERSION"),
        instance: app.fleet.instance().to_string(),
        started: app.started.text.clone(),
        uptime_seconds: app.started.at.elapsed().as_secs(),
        mode: mode::word(app),
        mode_from: if app.fleet.mode_is_stored() { "store" } else { "configuration" },
        ready: reasons.is_empty(),
        reasons,
        token: client.tokens().ages().map(|(age, expires_in)| TokenStatus {
            usable: client.tokens().current().is_some(),
            age_seconds: age.as_secs(),
            expires_in_seconds: expires_in.as_secs(),
        }),
        window: WindowStatus {
            allowed: gate.allowed,
            remaining: gate.remaining,
            reset_seconds: gate.reset.map(|reset| reset.as_secs()),
            closed: gate.closed,
            waiting: gate.waiting,
        },
        operation: app.disconnector.operation_found().map(Operation::name),
        in_flight: InFlightStatus { now, limit },
        connections: app.connections.open(),
        audit: AuditStatus {
            written: audit.written,
            failures: audit.failures,
            suppressed: audit.suppressed,
            failing: audit.failing,
        },
        store: StoreStatus { kind: app.store.kind().name(), up: store.up, failures: store.failures },
        claims: ClaimsStatus {
            made: claims.made,
            repeated: claims.repeated,
            refused: claims.refused,
            held: claims.held,
        },
        jobs: app.metrics.jobs().stats().into(),
        replicas: fitting(replicas.into_iter().take(MOST_REPLICAS).map(|replica| ReplicaStatus {
            instance: replica.instance,
            version: replica.version,
            age_seconds: replica.age.as_secs(),
            last_seen_seconds: replica.silent.as_secs(),
        })),
        replicas_total: app.fleet.live(),
        last_errors: app.recent_errors.list(),
        keys: fitting(keys.into_iter()),
        keys_total,
    }
}
