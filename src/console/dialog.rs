//! Disconnects one participant: the dialog that shows the participant, and the result.

use axum::extract::{Path, Query};
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, json};

use super::answers::{Participant, ParticipantList, Settled};
use super::api::{ApiClient, ApiRequest, Failed, segment};
use super::conversation::{media, queue, since};
use super::form::TimelyForm;
use super::parts;

/// Makes the page close the dialog and reload what it shows.
pub(super) const DONE: [(HeaderName, &str); 1] = [(HeaderName::from_static("hx-trigger"), "done")];
/// How long an answer waits to see the participant gone.
pub(super) const WAIT: HeaderValue = HeaderValue::from_static("wait=3");

/// `GET /console/conversations/{conversationId}/participants/{participantId}`: the dialog. It reads the participants
/// again, because the list that the page shows may be out of date.
pub(super) async fn ask(
    api: ApiClient,
    Path((conversation, participant)): Path<(String, String)>,
) -> Result<Html<String>, Failed> {
    let conversation = segment(&conversation);
    let answer = api.send(ApiRequest::get(format!("/conversations/{conversation}/participants"))).await;
    let tag = answer.etag();
    let (people, aside) = answer.read::<ParticipantList>()?;
    let found = people.participants.iter().find(|person| person.id.eq_ignore_ascii_case(&participant));
    let Some(person) = found.filter(|person| person.is_live()) else {
        return Ok(parts::page(&html! {
            @if let Some(person) = found {
                h2 #dialog-title { (person.label()) " has left already" }
                p { "There is nothing left to disconnect." }
            } @else {
                h2 #dialog-title { "The participant is not listed" }
                p { "The list of participants does not have it, or your key may not see it. Nobody was disconnected." }
            }
            div.buttons { button type="button" data-close autofocus { "Close" } }
        }));
    };
    let others: Vec<&Participant> =
        people.participants.iter().filter(|other| other.is_live() && other.id != person.id).collect();
    let agents: Vec<String> = others.iter().filter(|other| other.is_agent()).map(|other| other.label()).collect();
    let url = format!("console/conversations/{conversation}/participants/{}", segment(&person.id));
    Ok(parts::page(&html! {
        h2 #dialog-title { "Disconnect " (person.label()) "?" }
        dl.facts {
            (parts::term("Name", Some(&person.label())))
            (parts::term("Purpose", person.purpose.as_deref()))
            (parts::term("Medium", Some(&media(person))))
            (parts::term("Queue", Some(queue(person, &aside).unwrap_or("none"))))
            (parts::term("Agent", Some(&if agents.is_empty() { "no other agent".to_owned() } else { agents.join(", ") })))
            (parts::term("State", person.state.as_deref()))
            @if let Some(since) = since(person) { dt { "Duration" } dd { (parts::age(since)) } }
            dt { "Who remains" } dd { (remaining(&others, people.hidden)) }
        }
        form hx-post=(url) hx-target="#result" hx-disabled-elt="find button" {
            input type="hidden" name="seen" value=(tag);
            input type="hidden" name="name" value=(person.label());
            label for="reason" { "Reason " span.small { "(optional, recorded)" } }
            input #reason name="reason" maxlength="200" autocomplete="off" autofocus;
            details {
                summary { "Wrap-up" }
                label for="wrapup" { "Wrap-up code " span.small { "(id)" } }
                input #wrapup name="wrapup" maxlength="64" autocomplete="off" spellcheck="false";
                label for="notes" { "Notes" }
                input #notes name="notes" maxlength="500" autocomplete="off";
            }
            label.check { input type="checkbox" name="dryRun" value="true" checked[aside.observing]; " Dry run: only look, disconnect nobody" }
            div.buttons {
                button.danger type="submit" { "Disconnect " (person.label()) }
                button type="button" data-close { "Cancel" }
            }
        }
    }))
}

fn remaining(others: &[&Participant], hidden: usize) -> Markup {
    let people = others.iter().filter(|other| other.is_person()).count();
    html! {
        @if others.is_empty() && hidden == 0 {
            "nobody: the conversation ends"
        } @else {
            (others.iter().map(|other| other.label()).collect::<Vec<_>>().join(", "))
            @if hidden > 0 { " and " (hidden) " whom your key may not see" }
            @if people == 0 && hidden == 0 { " (no person: the conversation may end)" }
        }
    }
}

/// What the dialog sends.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DisconnectForm {
    seen: String,
    name: String,
    reason: String,
    wrapup: String,
    notes: String,
    dry_run: bool,
}

/// `POST` to the same path: disconnects, unless the participant has changed since the dialog showed it.
pub(super) async fn disconnect(
    api: ApiClient,
    Path((conversation, participant)): Path<(String, String)>,
    TimelyForm(form): TimelyForm<DisconnectForm>,
) -> Result<Response, Failed> {
    let Some(seen) = HeaderValue::from_str(&form.seen).ok().filter(|seen| !seen.is_empty()) else {
        return Err(Failed::bad_request("the dialog has lost what it showed; close it and open it again"));
    };
    let (conversation, participant) = (segment(&conversation), segment(&participant));
    let mut body = Map::new();
    if !form.reason.trim().is_empty() {
        body.insert("reason".to_owned(), form.reason.trim().into());
    }
    if !form.wrapup.trim().is_empty() {
        body.insert("wrapup".to_owned(), json!({"code": form.wrapup.trim(), "notes": form.notes.trim()}));
    } else if !form.notes.trim().is_empty() {
        return Err(Failed::bad_request("notes go with a wrap-up code; give the code, or leave the notes out"));
    }
    let dry_run = if form.dry_run { "?dryRun=true" } else { "" };
    let request =
        ApiRequest::post(format!("/conversations/{conversation}/participants/{participant}/disconnect{dry_run}"))
            .header(header::IF_MATCH, seen)
            .header(HeaderName::from_static("prefer"), WAIT)
            .json(&body.into());
    let (settled, _) = api.read::<Settled>(request).await?;
    let watched = format!("console/conversations/{conversation}/participants/{participant}/gone");
    Ok((DONE, parts::page(&result_of(&form.name, &settled, &watched))).into_response())
}

/// The result in one sentence, which never claims more than was observed.
fn result_of(name: &str, settled: &Settled, watched: &str) -> Markup {
    let ids = html! {
        p.small {
            "Request " code { (settled.request_id) }
            @if let Some(id) = &settled.correlation_id { " · Genesys Cloud's correlation id " code { (id) } }
        }
    };
    match (settled.outcome.as_str(), settled.verified) {
        ("would_disconnect", _) => parts::notice(
            "quiet",
            &html! { p { strong { "Dry run." } " " (name) " is there and would be disconnected. Nobody was." } (ids) },
        ),
        ("conversation_ended", verified) => {
            let seen = if verified { "confirmed" } else { "as far as Genesys Cloud tells" };
            parts::notice("good", &html! { p { "The conversation had ended already: " (seen) "." } (ids) })
        }
        ("accepted", _) => {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("name", name).finish();
            let seen = match settled.gone {
                Some(false) => ", who is still there",
                _ => "; it could not be seen yet whether they are gone",
            };
            parts::notice(
                "warn",
                &html! {
                    p hx-get={ (watched) "?" (query) } hx-trigger="tick from:body" hx-target="closest .notice" hx-swap="outerHTML" hx-sync="this:drop" {
                        "Genesys Cloud accepted the disconnect of " strong { (name) } (seen) ". Watching until they are gone…"
                    }
                    (ids)
                },
            )
        }
        (_, true) => parts::notice("good", &html! { p { strong { (name) } " is gone: confirmed." } (ids) }),
        (_, false) => parts::notice(
            "warn",
            &html! { p { "Genesys Cloud says that " strong { (name) } " is gone. hangup could not check it." } (ids) },
        ),
    }
}

/// The query of [`gone`].
#[derive(Debug, Default, Deserialize)]
pub(super) struct GoneQuery {
    #[serde(default)]
    name: String,
}

/// `GET …/gone`: a notice once the participant is seen gone, 204 until then. It uses the shared read.
pub(super) async fn gone(
    api: ApiClient,
    Path((conversation, participant)): Path<(String, String)>,
    Query(GoneQuery { name }): Query<GoneQuery>,
) -> Result<Response, Failed> {
    let request = ApiRequest::get(format!("/conversations/{}/participants", segment(&conversation))).shared();
    let (people, _) = api.read::<ParticipantList>(request).await?;
    let seen = people.participants.iter().find(|person| person.id.eq_ignore_ascii_case(&participant));
    // A participant that is not listed may still be there: long lists are cut, and guards hide some.
    if people.state == "ended" || seen.is_some_and(|person| !person.is_live()) {
        let notice = parts::notice("good", &html! { p { strong { (name) } " is gone: confirmed." } });
        return Ok(parts::page(&notice).into_response());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::{Settled, result_of};

    #[test]
    fn a_participant_is_said_to_be_there_still_only_where_that_was_seen() {
        for (gone, said) in [(Some(false), "is still there"), (None, "could not be seen yet")] {
            let outcome = "accepted".to_owned();
            let settled = Settled { outcome, verified: false, gone, request_id: String::new(), correlation_id: None };
            let page = result_of("Anna", &settled, "gone").into_string();
            assert!(
                page.contains(said) && page.matches("still there").count() == usize::from(gone.is_some()),
                "{page}"
            );
        }
    }
}
