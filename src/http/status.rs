//! `GET /status`: the running service at a glance, for operators and `hangup status`. Asks nothing of the upstream.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::App;
use super::answer::{fitting, json};
use super::callers::{Refused, authenticate_operator};
use super::mode;
use super::recent_errors::RecentError;
use crate::callers::KeyStatus;
use crate::genesys::request::Operation;

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
    ready: bool,
    reasons: Vec<String>,
    token: Option<Token>,
    window: Window,
    operation: Option<&'static str>,
    in_flight: InFlight,
    connections: usize,
    audit: Audit,
    last_errors: Vec<RecentError>,
    keys: Vec<KeyStatus>,
    keys_total: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    usable: bool,
    age_seconds: u64,
    expires_in_seconds: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    allowed: Option<u32>,
    remaining: Option<u32>,
    reset_seconds: Option<u64>,
    closed: bool,
    waiting: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InFlight {
    now: usize,
    limit: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Audit {
    written: u64,
    failures: u64,
    suppressed: u64,
    failing: bool,
}

/// Answers an operator.
pub(super) async fn get(State(app): State<App>, request: Request) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    authenticate_operator(&app, &parts).await?;
    Ok(json(StatusCode::OK, &status(&app)))
}

fn status(app: &App) -> Status {
    let client = app.disconnector.client();
    let (gate, audit) = (client.gate().reading(), app.audit.stats());
    let reasons: Vec<String> = super::health::not_ready(app);
    let (keys, (now, limit)) = (app.callers.keys(), app.disconnector.in_flight());
    let keys_total = keys.len();
    Status {
        ok: true,
        version: env!("CARGO_PKG_VERSION"),
        instance: app.fleet.instance().to_string(),
        started: app.started.text.clone(),
        uptime_seconds: app.started.at.elapsed().as_secs(),
        mode: mode::word(app),
        ready: reasons.is_empty(),
        reasons,
        token: client.tokens().ages().map(|(age, expires_in)| Token {
            usable: client.tokens().current().is_some(),
            age_seconds: age.as_secs(),
            expires_in_seconds: expires_in.as_secs(),
        }),
        window: Window {
            allowed: gate.allowed,
            remaining: gate.remaining,
            reset_seconds: gate.reset.map(|reset| reset.as_secs()),
            closed: gate.closed,
            waiting: gate.waiting,
        },
        operation: app.disconnector.operation_found().map(Operation::name),
        in_flight: InFlight { now, limit },
        connections: app.connections.open(),
        audit: Audit {
            written: audit.written,
            failures: audit.failures,
            suppressed: audit.suppressed,
            failing: audit.failing,
        },
        last_errors: app.recent_errors.list(),
        keys: fitting(keys.into_iter()),
        keys_total,
    }
}
