//! Control endpoints for settings, tokens and the journal.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use http::StatusCode;
use serde_json::json;

use super::answer::{ControlRefused, ControlResult, ok, parsed, query, value};
use crate::sandbox::answer::empty;
use crate::sandbox::journal::Kind;
use crate::sandbox::state::Sandbox;

/// Entries shown unless `limit` says otherwise.
const SHOWN: usize = 100;

pub(super) async fn settings(State(sandbox): State<Sandbox>) -> ControlResult {
    ok(&json!(*sandbox.settings()))
}

pub(super) async fn change_settings(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    sandbox.change_settings(&value(&body)?).map_err(ControlRefused::bad)?;
    ok(&json!(*sandbox.settings()))
}

pub(super) async fn tokens(State(sandbox): State<Sandbox>) -> ControlResult {
    let terms = sandbox.token_terms();
    ok(&json!({ "terms": *terms, "tokens": sandbox.tokens() }))
}

pub(super) async fn change_tokens(State(sandbox): State<Sandbox>, body: Bytes) -> ControlResult {
    sandbox.change_tokens(&value(&body)?).map_err(ControlRefused::bad)?;
    tokens(State(sandbox)).await
}

pub(super) async fn revoke(State(sandbox): State<Sandbox>) -> ControlResult {
    ok(&json!({ "revoked": sandbox.revoke_all_tokens() }))
}

pub(super) async fn journal(State(sandbox): State<Sandbox>, RawQuery(text): RawQuery) -> ControlResult {
    let (mut limit, mut kind, mut path) = (SHOWN, None::<Kind>, None::<String>);
    for (name, value) in query(text.as_deref(), &["limit", "kind", "path"])? {
        match name.as_str() {
            "limit" => {
                limit = value.parse().map_err(|_| ControlRefused::bad(format!("limit: {value:?} is not a number")))?
            }
            "kind" => kind = Some(parsed(json!(value))?),
            _ => path = Some(value),
        }
    }
    let entries = sandbox.journal_store().entries(limit, |entry| {
        kind.is_none_or(|k| k == entry.kind) && path.as_ref().is_none_or(|p| entry.path.contains(p.as_str()))
    });
    ok(&json!({ "totals": sandbox.counts(), "entries": entries }))
}

pub(super) async fn clear_journal(State(sandbox): State<Sandbox>) -> ControlResult {
    sandbox.clear_journal();
    Ok(empty(StatusCode::NO_CONTENT))
}

/// As after a fresh start, except for settings and tokens.
pub(super) async fn reset(State(sandbox): State<Sandbox>) -> ControlResult {
    sandbox.clear_faults();
    sandbox.conversations().forget_all();
    sandbox.clear_journal();
    Ok(empty(StatusCode::NO_CONTENT))
}
