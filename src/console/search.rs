//! Finds conversations: one search box for words or a conversation id, and the list of live conversations.

use axum::extract::Query;
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderName, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Found, Hit};
use super::api::{ApiClient, ApiRequest, Failed};
use super::conversation::bare;
use super::page::may;
use super::parts;
use crate::callers::Permission;
use crate::ids::ConversationId;

/// A search reads pages of the API until it has this many conversations, unless fewer are live.
const SEARCHED_AT_ONCE: usize = 200;

/// The query of [`found`].
#[derive(Debug, Default, Deserialize)]
pub(super) struct SearchQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    cursor: String,
}

/// `GET /console/search`.
pub(super) async fn view(api: ApiClient) -> Result<Html<String>, Failed> {
    let aside = api.caller().await?;
    let searches = may(&aside, Permission::Search);
    Ok(parts::page(&html! {
        h1 tabindex="-1" { "Conversations" }
        form.search role="search" hx-get="console/conversations" hx-target="#found" hx-disabled-elt="find button" {
            label for="q" { @if searches { "Words or a conversation id" } @else { "A conversation id" } }
            input #q type="search" name="q" autocomplete="off" spellcheck="false";
            button.primary type="submit" { "Search" }
        }
        @if searches {
            div #found hx-get="console/conversations" hx-trigger="load" aria-live="polite" { p { "Searching…" } }
        } @else {
            div #found aria-live="polite" {
                p.small { "Your key may not search. You can open a conversation by its id." }
            }
        }
    }))
}

/// `GET /console/conversations?q=`: the conversations with these words or, for an id, a command to open that
/// conversation.
pub(super) async fn found(api: ApiClient, Query(asked): Query<SearchQuery>) -> Result<Response, Failed> {
    if let Some(id) = ConversationId::parse(asked.q.trim()) {
        let go = format!("{{\"go\":\"conversations/{id}\"}}");
        return Ok((StatusCode::NO_CONTENT, [(HeaderName::from_static("hx-trigger"), go)]).into_response());
    }
    let Found { conversations, cursor } = newest(&api, asked.cursor).await?;
    let words: Vec<String> = asked.q.split_whitespace().map(str::to_lowercase).collect();
    let hits: Vec<&Hit> = conversations.iter().filter(|hit| words.iter().all(|word| has(hit, word))).collect();
    Ok(parts::page(&html! {
        p.count { (count(hits.len(), conversations.len(), &words, cursor.is_some())) }
        @if !hits.is_empty() { (table(&hits)) }
        @if let Some(cursor) = &cursor { (further(&asked.q, cursor)) }
    })
    .into_response())
}

/// The newest conversations from this cursor on, and the cursor of the next ones. If a page after the first fails, its
/// cursor is returned, so that it can be read again.
async fn newest(api: &ApiClient, from: String) -> Result<Found, Failed> {
    let mut found = Found { conversations: Vec::new(), cursor: Some(from) };
    while let Some(cursor) = found.cursor.as_deref().filter(|_| found.conversations.len() < SEARCHED_AT_ONCE) {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("cursor", cursor).finish();
        match api.read::<Found>(ApiRequest::get(format!("/conversations?{query}"))).await {
            Ok((next, _)) => {
                found.conversations.extend(next.conversations);
                found.cursor = next.cursor;
            }
            Err(failed) if found.conversations.is_empty() => return Err(failed),
            Err(_) => break,
        }
    }
    Ok(found)
}

fn count(shown: usize, of: usize, words: &[String], more: bool) -> String {
    let conversations = if shown == 1 { "conversation" } else { "conversations" };
    match (words.is_empty(), of, more) {
        (true, 0, false) => "No conversation is live.".to_owned(),
        (true, _, false) => format!("{shown} live {conversations}, newest first"),
        (true, _, true) => format!("The {shown} newest live conversations"),
        (false, _, false) => format!("{shown} of {of} live conversations have these words"),
        (false, _, true) => format!("{shown} of the {of} newest live conversations have these words"),
    }
}

/// Whether anything that is shown of it contains this word.
fn has(hit: &Hit, word: &str) -> bool {
    let waiting = (!hit.agent).then_some("waiting");
    let shown = [
        Some(hit.id.as_str()),
        hit.media.as_deref(),
        hit.direction.as_deref(),
        hit.queue_name.as_deref(),
        hit.address_from.as_deref(),
        hit.address_to.as_deref(),
        hit.agent_name.as_deref(),
        waiting,
    ];
    shown.into_iter().flatten().any(|text| text.to_lowercase().contains(word))
}

fn table(hits: &[&Hit]) -> Markup {
    let rows = html! { @for hit in hits { (row(hit)) } };
    parts::table("Live conversations", &["From", "To", "Medium", "Queue", "Agent", "Since"], &rows)
}

fn row(hit: &Hit) -> Markup {
    let from = hit.address_from.as_deref().map_or(hit.id.as_str(), bare);
    let medium = hit.media.as_deref().unwrap_or("unknown");
    html! {
        tr role="row" {
            th role="rowheader" scope="row" {
                a href={ "#conversations/" (hit.id) } { (from) span.hidden { ", conversation " (hit.id) } }
            }
            td role="cell" data-name="To" { (hit.address_to.as_deref().map_or("–", bare)) }
            td role="cell" data-name="Medium" {
                (medium) @if let Some(direction) = &hit.direction { ", " (direction) }
                span.small { " · " (hit.participants) " in it" }
            }
            td role="cell" data-name="Queue" { (hit.queue_name.as_deref().unwrap_or("–")) }
            td role="cell" data-name="Agent" {
                @if hit.agent { (hit.agent_name.as_deref().unwrap_or("an agent")) } @else { (parts::badge("waiting", "warn")) }
            }
            td role="cell" data-name="Since" { (parts::age(&hit.start_time)) }
        }
    }
}

fn further(words: &str, cursor: &str) -> Markup {
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("q", words).append_pair("cursor", cursor).finish();
    html! {
        div {
            button type="button" hx-get={ "console/conversations?" (query) } hx-target="closest div" hx-swap="outerHTML" {
                "Search older ones"
            }
        }
    }
}
