//! The service at a glance, and the dialog that switches its mode.

use axum::extract::Query;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::api::{ApiClient, ApiRequest, Failed};
use super::dialog::DONE;
use super::form::TimelyForm;
use super::parts;
use super::status_answer::{Status, WindowStatus};

/// `GET /console/status`.
pub(super) async fn view(api: ApiClient) -> Result<Html<String>, Failed> {
    api.caller().await?;
    Ok(parts::page(&html! {
        h1 tabindex="-1" { "Status" }
        div #result role="status" tabindex="-1" {}
        (parts::loading("status", "console/status/now", &parts::reading()))
    }))
}

/// `GET /console/status/now`.
pub(super) async fn now(api: ApiClient, Query(parts::Seen { seen }): Query<parts::Seen>) -> Result<Response, Failed> {
    let (status, _) = api.read::<Status>(ApiRequest::get("/status")).await?;
    Ok(parts::fresh("status", "console/status/now", seen.as_deref(), &shown(&status)))
}

fn shown(status: &Status) -> Markup {
    html! {
        div.tiles {
            section { h2 { "Service" } (service(status)) }
            section { h2 { "Genesys Cloud" } (upstream(status)) }
            section { h2 { "Replicas" } (replicas(status)) }
        }
        section { h2 { "Last errors" } (errors(status)) }
        section { h2 { "Keys" } (keys(status)) }
    }
}

fn service(status: &Status) -> Markup {
    let observing = status.mode == "observe";
    let other = if observing { "enforce" } else { "observe" };
    html! {
        p { @if status.ready { (parts::badge("ready", "good")) } @else { (parts::badge("not ready", "bad")) " " (status.reasons.join(", ")) } }
        dl.facts {
            dt { "Mode" } dd { (parts::badge(&status.mode, if observing { "warn" } else { "good" })) " from the " (status.mode_from) }
            (parts::term("Version", Some(&status.version)))
            dt { "Running for" } dd { (parts::age(&status.started)) }
            dt { "Store" } dd { (status.store.kind) " " @if status.store.up { (parts::badge("up", "good")) } @else { (parts::badge("out of reach", "bad")) } }
            dt { "Audit" } dd { (status.audit.written) " written" @if status.audit.failing { " " (parts::badge("failing", "bad")) } }
            dt { "Under way" } dd { (status.in_flight.now) " of " (status.in_flight.limit) }
        }
        button #mode type="button" hx-get={ "console/mode?mode=" (other) } hx-target="#dialog-body" { "Switch to " (other) " mode…" }
    }
}

fn upstream(status: &Status) -> Markup {
    html! {
        dl.facts {
            dt { "Token" }
            dd {
                @match &status.token {
                    Some(token) if token.usable => { (parts::badge("usable", "good")) " for " (minutes(token.expires_in_seconds)) }
                    _ => { (parts::badge("none", "bad")) }
                }
            }
            dt { "Operation" } dd { (status.operation.as_deref().map_or_else(|| "not known yet".to_owned(), |word| word.replace('_', " "))) }
            dt { "Rate limit" } dd { (window(&status.window)) }
            dt { "Queue" } dd { (status.window.waiting) " waiting" @if status.window.closed { " " (parts::badge("closed", "warn")) } }
        }
    }
}

/// In whole minutes: with seconds, each refresh would redraw the page.
fn minutes(seconds: u64) -> String {
    if seconds < 120 { "less than 2 min".to_owned() } else { format!("{} min", seconds / 60) }
}

fn window(window: &WindowStatus) -> String {
    match (window.remaining, window.allowed) {
        (Some(remaining), Some(allowed)) => format!("{remaining} of {allowed} calls left in this window"),
        _ => "not known yet".to_owned(),
    }
}

fn replicas(status: &Status) -> Markup {
    html! {
        p { (status.replicas_total) " alive" }
        ul.plain {
            @for replica in &status.replicas {
                li { (replica.instance) " " span.small { (replica.version) @if replica.instance == status.instance { ", this one" } } }
            }
        }
    }
}

fn errors(status: &Status) -> Markup {
    if status.last_errors.is_empty() {
        return html! { p { "None since the start." } };
    }
    let rows = html! {
        @for error in &status.last_errors {
            tr role="row" {
                th role="rowheader" scope="row" { (error.code) @if let Some(status) = error.upstream_status { span.small.below { "Genesys Cloud: " (status) } } }
                td role="cell" data-name="At" { (parts::moment(&error.time)) }
                td role="cell" data-name="Path" { code { (error.route) } }
                td role="cell" data-name="Request" { code { (error.request_id) } }
            }
        }
    };
    parts::table("Last errors", &["Code", "At", "Path", "Request"], &rows)
}

fn keys(status: &Status) -> Markup {
    if status.keys.is_empty() {
        return html! { p { "No keys: this service does not ask who calls." } };
    }
    let rows = html! {
        @for key in &status.keys {
            tr role="row" {
                th role="rowheader" scope="row" { (key.name) @if key.guarded { " " (parts::badge("guarded", "quiet")) } @if key.mode.as_deref() == Some("observe") { " " (parts::badge("observe", "warn")) } }
                td role="cell" data-name="May" { (key.permissions.join(", ")) }
                td role="cell" data-name="Last use" { @if let Some(time) = &key.last_used { (parts::moment(time)) } @else { "not since the start" } }
                td role="cell" data-name="Expires" { @if let Some(time) = &key.expires { (parts::moment(time)) } @else { "never" } }
            }
        }
    };
    html! {
        (parts::table("Keys", &["Name", "May", "Last use", "Expires"], &rows))
        @if status.keys_total > status.keys.len() { p.small { "And " (status.keys_total - status.keys.len()) " more." } }
    }
}

/// The mode to switch to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ModeForm {
    #[serde(default)]
    mode: String,
}

/// `GET /console/mode`.
pub(super) async fn ask_mode(
    api: ApiClient,
    Query(ModeForm { mode }): Query<ModeForm>,
) -> Result<Html<String>, Failed> {
    // Refuses callers that may not switch the mode before they see the dialog.
    api.read::<serde_json::Value>(ApiRequest::get("/mode")).await?;
    if !["observe", "enforce"].contains(&mode.as_str()) {
        return Err(Failed::not_found());
    }
    Ok(parts::page(&html! {
        h2 #dialog-title { "Switch to " (mode) " mode?" }
        @if mode == "observe" {
            p { "hangup then only looks: no caller's disconnect has an effect, on any replica, until the mode is switched back." }
        } @else {
            p { "Disconnects then have their effect again, for all callers and on all replicas." }
        }
        form hx-post="console/mode" hx-target="#result" hx-disabled-elt="find button" {
            input type="hidden" name="mode" value=(mode);
            div.buttons {
                button.primary type="submit" autofocus { "Switch to " (mode) " mode" }
                button type="button" data-close { "Cancel" }
            }
        }
    }))
}

/// `POST /console/mode`.
pub(super) async fn set_mode(api: ApiClient, TimelyForm(form): TimelyForm<ModeForm>) -> Result<Response, Failed> {
    let request = ApiRequest::put("/mode").json(&json!({"mode": form.mode}));
    api.read::<serde_json::Value>(request).await?;
    let notice = parts::notice("quiet", &html! { p { "The mode is now " strong { (form.mode) } "." } });
    Ok((DONE, parts::page(&notice)).into_response())
}
