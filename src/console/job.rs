//! One job: its progress, its actions and its items.

use axum::extract::{Path, Query};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Item, Items, Job};
use super::api::{ApiClient, ApiRequest, Failed, segment};
use super::dialog::DONE;
use super::form::TimelyForm;
use super::jobs::{state, title};
use super::parts;

/// Most items that are shown; the report has all.
const SHOWN: usize = 50;

async fn read(api: &ApiClient, id: &str) -> Result<Job, Failed> {
    Ok(api.read::<Job>(ApiRequest::get(format!("/jobs/{id}"))).await?.0)
}

/// `GET /console/jobs/{jobId}`.
pub(super) async fn view(api: ApiClient, Path(id): Path<String>) -> Result<Html<String>, Failed> {
    let id = segment(&id);
    let job = read(&api, &id).await?;
    let url = format!("console/jobs/{id}");
    Ok(parts::page(&html! {
        p.back { a href="#jobs" { "All jobs" } }
        h1 tabindex="-1" { (title(&job)) }
        p.small { "Id " code { (job.id) } " · by " (job.created_by) " · made " (parts::moment(&job.created)) }
        div #result role="status" tabindex="-1" {}
        section aria-labelledby="progress-title" {
            h2 #progress-title { "Progress" }
            (parts::loading("job", &format!("{url}/progress"), &parts::reading()))
        }
        section aria-labelledby="items-title" {
            h2 #items-title { "Items" }
            (parts::loading("items", &format!("{url}/items"), &html! {}))
            p { button type="button" data-report=(id) { "Download the report (CSV)" } }
        }
    }))
}

/// `GET /console/jobs/{jobId}/progress`.
pub(super) async fn progress(
    api: ApiClient,
    Path(id): Path<String>,
    Query(parts::Seen { seen }): Query<parts::Seen>,
) -> Result<Response, Failed> {
    let id = segment(&id);
    let job = read(&api, &id).await?;
    Ok(parts::fresh("job", &format!("console/jobs/{id}/progress"), seen.as_deref(), &shown(&job)))
}

fn shown(job: &Job) -> Markup {
    let finished = job.total - job.pending;
    html! {
        p {
            (state(&job.state)) " "
            @if job.dry_run { (parts::badge("dry run", "quiet")) " " }
            strong { (finished) } " of " (job.total) " finished"
        }
        progress value=(finished) max=(job.total.max(1)) aria-label="Finished items" {}
        @if let Some(because) = &job.paused_because { (parts::notice("warn", &html! { p { "Paused: " (because) } })) }
        @if job.needs_approval {
            (parts::notice("warn", &html! { p { "A job this large must be started by another caller." } }))
        }
        dl.facts {
            @for (word, count) in &job.counts { dt { (word.replace('_', " ")) } dd { (count) } }
            @if job.state == "running" {
                (parts::term("Per minute", Some(&job.rate_per_minute.to_string())))
                (parts::term("Time left", job.eta_seconds.map(duration).as_deref()))
            }
            @if let Some(at) = job.not_before.as_deref().filter(|_| job.state == "scheduled") { dt { "Not before" } dd { (parts::moment(at)) } }
            @if let Some(at) = &job.ended { dt { "Ended" } dd { (parts::moment(at)) } }
        }
        div.buttons data-job=(job.id) data-dry[job.dry_run] data-state=(job.state) {
            @match job.state.as_str() {
                "held" => { (dialog_button(job, "start", "Start…")) (dialog_button(job, "cancel", "Cancel the job…")) }
                "scheduled" => { (dialog_button(job, "start", "Start now…")) (button(job, "pause", "Pause")) (dialog_button(job, "cancel", "Cancel the job…")) }
                "running" => { (button(job, "pause", "Pause")) (dialog_button(job, "cancel", "Cancel the job…")) }
                "paused" => { (button(job, "resume", "Resume")) (dialog_button(job, "cancel", "Cancel the job…")) }
                _ => {}
            }
            @if job.dry_run && job.state == "done" {
                button.primary type="button" #for-real hidden { "Queue this list for real" }
            }
        }
    }
}

fn counted(items: i64) -> String {
    if items == 1 { "1 item".to_owned() } else { format!("{items} items") }
}

fn duration(seconds: i64) -> String {
    if seconds < 90 { format!("{seconds} s") } else { format!("{} min", (seconds + 59) / 60) }
}

fn button(job: &Job, act: &str, text: &str) -> Markup {
    html! { button type="button" id={ "job-" (act) } hx-post={ "console/jobs/" (job.id) "/" (act) } hx-target="#result" hx-disabled-elt="this" { (text) } }
}

fn dialog_button(job: &Job, act: &str, text: &str) -> Markup {
    html! { button.danger[act == "start"] type="button" id={ "job-" (act) } hx-get={ "console/jobs/" (job.id) "/" (act) } hx-target="#dialog-body" { (text) } }
}

/// `GET /console/jobs/{jobId}/items`.
pub(super) async fn items(
    api: ApiClient,
    Path(id): Path<String>,
    Query(parts::Seen { seen }): Query<parts::Seen>,
) -> Result<Response, Failed> {
    let id = segment(&id);
    let (items, _) = api.read::<Items>(ApiRequest::get(format!("/jobs/{id}/items?limit={SHOWN}"))).await?;
    let rows = html! { @for item in &items.items { (row(item)) } };
    let body = html! {
        (parts::table("Items of the job", &["Conversation", "Participant", "Result", "At"], &rows))
        @if items.cursor.is_some() { p.small { "The first " (items.items.len()) "; the report has all of them." } }
    };
    Ok(parts::fresh("items", &format!("console/jobs/{id}/items"), seen.as_deref(), &body))
}

fn row(item: &Item) -> Markup {
    let result = item.code.as_deref().or(item.outcome.as_deref()).unwrap_or(&item.state);
    let tone = match (item.outcome.as_deref(), item.code.is_some()) {
        (_, true) | (Some("unconfirmed"), _) => "bad",
        (Some("skipped" | "cancelled" | "would_disconnect"), _) | (None, _) => "quiet",
        _ => "good",
    };
    html! {
        tr role="row" {
            th role="rowheader" scope="row" { a href={ "#conversations/" (item.conversation_id) } { code { (item.conversation_id) } } }
            td role="cell" data-name="Participant" { code { (item.participant_id.as_deref().unwrap_or("by selector")) } }
            td role="cell" data-name="Result" {
                (parts::badge(&result.replace('_', " "), tone))
                @if let Some(detail) = &item.detail { span.small.below { (detail) } }
            }
            td role="cell" data-name="At" { @if let Some(time) = &item.time { (parts::moment(time)) } @else { "–" } }
        }
    }
}

/// `GET /console/jobs/{jobId}/{act}`: the dialog that confirms what cannot be undone: a start, by typing the number of
/// items, or a cancellation.
pub(super) async fn ask(api: ApiClient, Path((id, act)): Path<(String, String)>) -> Result<Html<String>, Failed> {
    if !["start", "cancel"].contains(&act.as_str()) {
        return Err(Failed::not_found());
    }
    let id = segment(&id);
    let job = read(&api, &id).await?;
    let starts = act == "start";
    Ok(parts::page(&html! {
        h2 #dialog-title { @if starts { "Start the job?" } @else { "Cancel the job?" } }
        @if starts && job.dry_run {
            p { "It looks at " strong { (counted(job.total)) } " and disconnects nobody." }
        } @else if starts {
            p { "It disconnects the participants of " strong { (counted(job.total)) } ". This cannot be taken back." }
        } @else {
            p { "Items that have not begun are cancelled: " strong { (counted(job.pending)) } " at most. Items under way are not recalled." }
        }
        form hx-post={ "console/jobs/" (id) "/" (segment(&act)) } hx-target="#result" hx-disabled-elt="find button" {
            @if starts {
                input type="hidden" name="total" value=(job.total);
                label for="typed" { "Type the number of items, " (job.total) ", to confirm" }
                input #typed name="typed" inputmode="numeric" required pattern=(job.total) autocomplete="off" autofocus;
            }
            div.buttons {
                button.danger type="submit" { @if starts { "Start the job" } @else { "Cancel the job" } }
                button type="button" data-close { "Back" }
            }
        }
    }))
}

/// What the dialog sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobActionForm {
    total: String,
    typed: String,
}

/// `POST` to the same path.
pub(super) async fn change(
    api: ApiClient,
    Path((id, act)): Path<(String, String)>,
    TimelyForm(form): TimelyForm<JobActionForm>,
) -> Result<Response, Failed> {
    if act == "start" && (form.total.is_empty() || form.typed.trim() != form.total) {
        return Err(Failed::bad_request("the number that confirms it is missing; nothing was started"));
    }
    let request = ApiRequest::post(format!("/jobs/{}/{}", segment(&id), segment(&act)));
    let (job, _) = api.read::<Job>(request).await?;
    let done = match act.as_str() {
        "start" => "was started",
        "pause" => "was paused; items under way are finished",
        "resume" => "was resumed",
        _ => "was cancelled; items under way are not recalled",
    };
    let notice = parts::notice("quiet", &html! { p { strong { (title(&job)) } " " (done) "." } });
    Ok((DONE, parts::page(&notice)).into_response())
}
