//! One conversation: its participants, refreshed while the page is open.

use axum::extract::{Path, Query};
use axum::response::{Html, Response};
use maud::{Markup, html};

use super::answers::{Participant, ParticipantList};
use super::api::{ApiClient, ApiRequest, Failed, segment};
use super::page::may;
use super::parts;
use crate::callers::Permission;
use crate::http::Aside;

/// `GET /console/conversations/{conversationId}`: the view, whose parts load by themselves.
pub(super) async fn view(api: ApiClient, Path(id): Path<String>) -> Result<Html<String>, Failed> {
    let aside = api.caller().await?;
    let url = format!("console/conversations/{}", segment(&id));
    Ok(parts::page(&html! {
        p.back { a href="#" { "All conversations" } }
        h1 tabindex="-1" { "Conversation" }
        p.small { "Id " code { (id) } }
        div #result role="status" tabindex="-1" {}
        section aria-labelledby="who" {
            h2 #who { "Who is in it" }
            (parts::loading("live", &format!("{url}/live"), &parts::reading()))
        }
        @if may(&aside, Permission::Audit) {
            section aria-labelledby="timeline-title" {
                h2 #timeline-title { "Timeline" }
                (parts::loading("timeline", &format!("{url}/timeline"), &html! {}))
            }
        }
        @if may(&aside, Permission::Teardown) {
            section aria-labelledby="everyone" {
                h2 #everyone { "End the conversation" }
                p { "Disconnects everyone at once, those that are not listed included." }
                button #teardown.danger type="button" hx-get={ (url) "/disconnect" } hx-target="#dialog-body" { "Disconnect everyone…" }
            }
        }
    }))
}

/// `GET /console/conversations/{conversationId}/live`.
pub(super) async fn live(
    api: ApiClient,
    Path(id): Path<String>,
    Query(parts::Seen { seen }): Query<parts::Seen>,
) -> Result<Response, Failed> {
    let id = segment(&id);
    let answer = api.send(ApiRequest::get(format!("/conversations/{id}/participants")).shared()).await;
    let (people, aside) = answer.read::<ParticipantList>()?;
    let body = shown(&id, &people, &aside);
    Ok(parts::fresh("live", &format!("console/conversations/{id}/live"), seen.as_deref(), &body))
}

fn shown(id: &str, people: &ParticipantList, aside: &Aside) -> Markup {
    let (live, gone): (Vec<_>, Vec<_>) = people.participants.iter().partition(|person| person.is_live());
    html! {
        @if aside.observing {
            (parts::notice("warn", &html! { p { strong { "Observe mode." } " hangup only looks: nobody is disconnected." } }))
        }
        @if people.state == "ended" {
            (parts::notice("quiet", &html! { p { "This conversation has ended." } }))
        } @else if live.is_empty() {
            (parts::notice("quiet", &html! { p { "None of the participants that your key may see is in it." } }))
        }
        @if !live.is_empty() { (table(id, &live, aside)) }
        @if people.hidden > 0 {
            p.small { (people.hidden) " more, whom your key may not touch." }
        }
        @if people.truncated { p.small { "Too many to list all of them." } }
        @if !gone.is_empty() {
            details {
                summary { "Left already: " (gone.len()) }
                ul.plain {
                    @for person in gone {
                        li {
                            (person.label()) " " span.small { (person.purpose.as_deref().unwrap_or_default()) }
                            @if let Some(end) = &person.end_time { " · left " (parts::moment(end)) }
                        }
                    }
                }
            }
        }
    }
}

fn table(id: &str, live: &[&Participant], aside: &Aside) -> Markup {
    let offered = may(aside, Permission::Disconnect);
    let head = html! {
        (parts::columns(&["Name", "Purpose", "Medium", "Queue", "State", "For"]))
        @if offered { th role="columnheader" scope="col" { span.hidden { "Action" } } }
    };
    let rows = html! {
        @for person in live {
            tr role="row" {
                th role="rowheader" scope="row" {
                    (person.label())
                    @if let Some(address) = &person.address { span.small.below { (bare(address)) } }
                }
                td role="cell" data-name="Purpose" { (person.purpose.as_deref().unwrap_or("unknown")) }
                td role="cell" data-name="Medium" { (media(person)) }
                td role="cell" data-name="Queue" { (queue(person, aside).unwrap_or("–")) }
                td role="cell" data-name="State" { (state(person)) }
                td role="cell" data-name="For" { (since(person).map_or_else(|| html! { "–" }, parts::age)) }
                @if offered {
                    td role="cell" data-action {
                        button.danger type="button" id={ "disconnect-" (person.id) } hx-target="#dialog-body"
                            hx-get={ "console/conversations/" (id) "/participants/" (person.id) } { "Disconnect " (person.label()) }
                    }
                }
            }
        }
    };
    parts::table_with("Who is in the conversation", &head, &rows)
}

fn state(person: &Participant) -> Markup {
    let word = person.state.as_deref().unwrap_or("there");
    parts::badge(word, if word == "connected" { "good" } else { "warn" })
}

/// An address without `tel:` or `sip:`.
pub(super) fn bare(address: &str) -> &str {
    address.strip_prefix("tel:").or_else(|| address.strip_prefix("sip:")).unwrap_or(address)
}

/// Its media in one text.
pub(super) fn media(person: &Participant) -> String {
    if person.media.is_empty() { "none".to_owned() } else { person.media.join(", ") }
}

/// Since when it is connected or, if that is not known, in the conversation.
pub(super) fn since(person: &Participant) -> Option<&str> {
    person.connected_time.as_deref().or(person.start_time.as_deref())
}

/// The name of its queue, or its id.
pub(super) fn queue<'a>(person: &'a Participant, aside: &'a Aside) -> Option<&'a str> {
    let id = person.queue_id.as_deref()?;
    Some(aside.queues.get(id).map_or(id, String::as_str))
}
