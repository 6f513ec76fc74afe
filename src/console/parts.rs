//! Small parts of pages. Everything from outside is escaped by maud.

use axum::response::{Html, IntoResponse as _, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::Problem;
use crate::digest::Digest;
use crate::text::is_unprintable;

/// Digits of the digest that tells one state of a fragment from another.
const DIGITS: usize = 16;

/// Markup as an answer. Characters that reorder or hide text are replaced, so that a name cannot look like another one
/// or like text of ours. Joiners stay, because they are part of names.
pub(super) fn page(markup: &Markup) -> Html<String> {
    let misleads = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t' | '\u{200c}' | '\u{200d}');
    Html(markup.0.replace(misleads, "\u{fffd}"))
}

/// A moment, shown in the browser's time zone.
pub(super) fn moment(time: &str) -> Markup {
    html! { time datetime=(time) data-show="moment" { (time) } }
}

/// How long ago; the page keeps counting.
pub(super) fn age(time: &str) -> Markup {
    html! { time datetime=(time) data-show="age" { (time) } }
}

/// A word with a colour, which adds nothing to the word's meaning.
pub(super) fn badge(word: &str, tone: &str) -> Markup {
    html! { span.badge data-tone=(tone) { (word) } }
}

/// A notice in a box.
pub(super) fn notice(tone: &str, body: &Markup) -> Markup {
    html! { div.notice data-tone=(tone) { (body) } }
}

/// An entry of a list of facts, if it has a value.
pub(super) fn term(name: &str, value: Option<&str>) -> Markup {
    html! { @if let Some(value) = value { dt { (name) } dd { (value) } } }
}

/// A problem, with what to do next.
pub(super) fn problem(problem: &Problem) -> Markup {
    let unknown = problem.effect == "unknown";
    notice(
        if unknown { "warn" } else { "bad" },
        &html! {
            p { strong { (problem.title) } }
            p data-detail { (problem.detail) }
            @if unknown {
                p { "Whether the participant was disconnected is not known. The list shows who is there now." }
            }
            @if let Some(upstream) = &problem.upstream {
                p.small {
                    "Genesys Cloud answered " (upstream.status)
                    @if let Some(message) = &upstream.message { ": " (message) }
                    @if let Some(id) = &upstream.correlation_id { " (correlation id " code { (id) } ")" }
                }
            }
            @if !problem.code.is_empty() {
                p.small { code { (problem.code) } " · request " code { (problem.request_id) } }
            }
        },
    )
}

/// A table that becomes a list of cards on a phone.
pub(super) fn table(caption: &str, names: &[&str], rows: &Markup) -> Markup {
    table_with(caption, &columns(names), rows)
}

/// As [`table`], with these header cells.
pub(super) fn table_with(caption: &str, head: &Markup, rows: &Markup) -> Markup {
    html! {
        table.cards role="table" {
            caption.hidden { (caption) }
            thead role="rowgroup" { tr role="row" { (head) } }
            tbody role="rowgroup" { (rows) }
        }
    }
}

/// Header cells.
pub(super) fn columns(names: &[&str]) -> Markup {
    html! { @for name in names { th role="columnheader" scope="col" { (name) } } }
}

/// Which state of a fragment the page shows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Seen {
    pub(super) seen: Option<String>,
}

/// The place of a part that loads itself once it is on the page; shows `meanwhile` until then.
pub(super) fn loading(id: &str, url: &str, meanwhile: &Markup) -> Markup {
    loader(id, url, "load, tick from:body", meanwhile)
}

/// What most parts show until they are loaded.
pub(super) fn reading() -> Markup {
    html! { p { "Reading…" } }
}

fn loader(id: &str, url: &str, trigger: &str, body: &Markup) -> Markup {
    html! { div id=(id) hx-get=(url) hx-trigger=(trigger) hx-swap="outerHTML" hx-sync="this:drop" { (body) } }
}

/// A part of the page that refreshes itself, every two seconds while the page is in use, and after each action. It is
/// sent only if it differs from what the page shows (`seen`), so that neither the focus nor a screen reader is
/// disturbed without need.
pub(super) fn fresh(id: &str, url: &str, seen: Option<&str>, body: &Markup) -> Response {
    let mut tag = Digest::of(body.0.as_bytes()).to_string();
    tag.truncate(DIGITS);
    if seen == Some(&tag) {
        return StatusCode::NO_CONTENT.into_response();
    }
    page(&loader(id, &format!("{url}?seen={tag}"), "tick from:body, changed from:body", body)).into_response()
}
