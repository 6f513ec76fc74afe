//! The list of jobs, and the form for a new one. `assets/jobs.js` sends the new job's list straight to `POST /jobs`.

use axum::extract::Query;
use axum::response::{Html, Response};
use maud::{Markup, html};

use super::answers::{Job, Jobs};
use super::api::{ApiClient, ApiRequest, Failed};
use super::page::may;
use super::parts;
use crate::callers::Permission;

/// `GET /console/jobs`.
pub(super) async fn view(api: ApiClient) -> Result<Html<String>, Failed> {
    let aside = api.caller().await?;
    Ok(parts::page(&html! {
        h1 tabindex="-1" { "Jobs" }
        p.small {
            "A job disconnects the participants of a list, one by one, as the rate limit of Genesys Cloud allows. "
            @if may(&aside, Permission::Jobs) { "Your key sees everybody's jobs." } @else { "You see your own jobs." }
        }
        @if may(&aside, Permission::Disconnect) || may(&aside, Permission::Bulk) {
            p { a.button.primary href="#jobs/new" { "New job from a list" } }
        }
        section aria-label="List of jobs" {
            (parts::loading("jobs", "console/jobs/list", &parts::reading()))
        }
    }))
}

/// `GET /console/jobs/list`.
pub(super) async fn list(api: ApiClient, Query(parts::Seen { seen }): Query<parts::Seen>) -> Result<Response, Failed> {
    let (jobs, _) = api.read::<Jobs>(ApiRequest::get("/jobs?limit=50")).await?;
    let body = html! {
        @if jobs.jobs.is_empty() { p { "No job yet." } } @else { (table(&jobs.jobs)) }
        @if jobs.cursor.is_some() { p.small { "The 50 newest; " code { "GET /jobs" } " has them all." } }
    };
    Ok(parts::fresh("jobs", "console/jobs/list", seen.as_deref(), &body))
}

fn table(jobs: &[Job]) -> Markup {
    let rows = html! {
        @for job in jobs {
            tr role="row" {
                th role="rowheader" scope="row" {
                    a href={ "#jobs/" (job.id) } { (title(job)) }
                    @if let Some(because) = &job.paused_because { span.small.below { (because) } }
                }
                td role="cell" data-name="State" { (state(&job.state)) }
                td role="cell" data-name="Items" { (job.total) }
                td role="cell" data-name="By" { (job.created_by) }
                td role="cell" data-name="Made" { (parts::moment(&job.created)) }
            }
        }
    };
    parts::table("Jobs", &["Name", "State", "Items", "By", "Made"], &rows)
}

/// Its name, or the beginning of its id.
pub(super) fn title(job: &Job) -> String {
    let named = job.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    named.map_or_else(|| format!("Job {}", job.id.get(..8).unwrap_or(&job.id)), str::to_owned)
}

/// A state with its colour.
pub(super) fn state(word: &str) -> Markup {
    parts::badge(
        word,
        match word {
            "done" | "running" => "good",
            "paused" | "held" => "warn",
            _ => "quiet",
        },
    )
}

/// `GET /console/jobs/new`.
pub(super) async fn new(api: ApiClient) -> Result<Html<String>, Failed> {
    api.caller().await?;
    Ok(parts::page(&html! {
        p.back { a href="#jobs" { "All jobs" } }
        h1 tabindex="-1" { "New job from a list" }
        section aria-label="The list" {
            form #new-job {
                label for="list-file" { "File " span.small { "(CSV or NDJSON)" } }
                input #list-file type="file" accept=".csv,.ndjson,.jsonl,text/csv";
                label for="list-text" { "… or paste it" }
                textarea #list-text rows="7" spellcheck="false" aria-describedby="list-note"
                    placeholder="conversationId,participantId" {}
                p #list-note.small { "One participant per line, with the head line " code { "conversationId,participantId" } "." }
                label for="job-name" { "Name " span.small { "(optional)" } }
                input #job-name maxlength="200" autocomplete="off";
                label for="job-reason" { "Reason " span.small { "(optional, recorded)" } }
                input #job-reason maxlength="200" autocomplete="off";
                label.check { input #job-skip type="checkbox" checked; " Leave conversations alone that an agent is in" }
                div.buttons {
                    button.primary type="submit" value="preview" { "Preview" }
                    button type="submit" value="hold" { "Queue without a preview" }
                }
                p.small { "A preview looks at everyone on the list and disconnects nobody. Queued, the job is held until it is started." }
            }
            div #new-problem role="alert" {}
        }
    }))
}
