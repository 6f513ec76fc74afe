//! Control endpoints for fault rules.

use axum::body::Bytes;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{ControlRefused, ControlResult, ok, parsed, value};
use crate::sandbox::answer::{empty, with_json};
use crate::sandbox::faults::Fault;
use crate::sandbox::state::Sandbox;

pub(super) async fn list(State(sandbox): State<Sandbox>) -> ControlResult {
    ok(&json!({ "faults": sandbox.fault_rules().list(|_| true) }))
}

pub(super) async fn show(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> ControlResult {
    let id = number(&id)?;
    let found = sandbox.fault_rules().list(|rule| rule == id);
    found.first().map_or_else(|| Err(ControlRefused::missing("such fault")), ok)
}

pub(super) async fn add(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    install(&sandbox, &body, false)
}

pub(super) async fn replace(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    install(&sandbox, &body, true)
}

pub(super) async fn clear(State(sandbox): State<Sandbox>) -> ControlResult {
    sandbox.clear_faults();
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(State(sandbox): State<Sandbox>, Path(id): Path<String>) -> ControlResult {
    let found = sandbox.fault_rules().remove(Some(number(&id)?));
    if found { Ok(empty(StatusCode::NO_CONTENT)) } else { Err(ControlRefused::missing("such fault")) }
}

/// One rule, or a list of them.
fn install(sandbox: &Sandbox, body: &Bytes, replace: bool) -> ControlResult {
    let rules = match value(body)? {
        Value::Array(rules) => rules,
        Value::Object(members) if members.is_empty() => {
            return Err(ControlRefused::bad("the body must be a rule, or a list of rules"));
        }
        rule => vec![rule],
    };
    let rules: Vec<Fault> = rules.into_iter().map(parsed).collect::<Result<_, _>>()?;
    let ids = sandbox.install(rules, replace).map_err(ControlRefused::bad)?;
    let installed = sandbox.fault_rules().list(|rule| ids.contains(&rule));
    Ok(with_json(StatusCode::CREATED, &json!({ "faults": installed })))
}

fn number(text: &str) -> Result<u64, ControlRefused> {
    text.parse().map_err(|_| ControlRefused::bad(format!("id: {text:?} is not a number")))
}
