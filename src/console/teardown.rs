//! Ends a whole conversation, after a confirmation that must be typed.

use axum::extract::Path;
use axum::response::{Html, IntoResponse as _, Response};
use http::HeaderName;
use maud::html;
use serde::Deserialize;
use serde_json::json;

use super::answers::{ParticipantList, Settled};
use super::api::{ApiClient, ApiRequest, Failed, segment};
use super::dialog::{DONE, WAIT};
use super::form::TimelyForm;
use super::parts;

/// The word that must be typed.
const WORD: &str = "everyone";

/// `GET /console/conversations/{conversationId}/disconnect`.
pub(super) async fn ask(api: ApiClient, Path(id): Path<String>) -> Result<Html<String>, Failed> {
    let id = segment(&id);
    let (people, _) = api.read::<ParticipantList>(ApiRequest::get(format!("/conversations/{id}/participants"))).await?;
    let live: Vec<String> = people.participants.iter().filter(|p| p.is_live()).map(|p| p.label()).collect();
    Ok(parts::page(&html! {
        h2 #dialog-title { "Disconnect everyone?" }
        p { "The conversation ends for all who are in it now:" }
        ul.plain { @for name in &live { li { (name) } } @if people.hidden > 0 { li { (people.hidden) " whom your key may not see" } } }
        form hx-post={ "console/conversations/" (id) "/disconnect" } hx-target="#result" hx-disabled-elt="find button" {
            label for="word" { "Type " code { (WORD) } " to confirm" }
            input #word name="word" required pattern=(WORD) autocomplete="off" spellcheck="false" autocapitalize="none" autofocus;
            label.check { input type="checkbox" name="dryRun" value="true"; " Dry run: only look, disconnect nobody" }
            div.buttons {
                button.danger type="submit" { "Disconnect everyone" }
                button type="button" data-close { "Cancel" }
            }
        }
    }))
}

/// What the dialog sends.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TeardownForm {
    word: String,
    dry_run: bool,
}

/// `POST` to the same path.
pub(super) async fn end(
    api: ApiClient,
    Path(id): Path<String>,
    TimelyForm(confirmation): TimelyForm<TeardownForm>,
) -> Result<Response, Failed> {
    if confirmation.word.trim() != WORD {
        return Err(Failed::bad_request("the word that confirms it is missing; nobody was disconnected"));
    }
    let dry_run = if confirmation.dry_run { "?dryRun=true" } else { "" };
    let request = ApiRequest::post(format!("/conversations/{}/disconnect{dry_run}", segment(&id)))
        .header(HeaderName::from_static("prefer"), WAIT)
        .json(&json!({"all": true}));
    let (settled, _) = api.read::<Settled>(request).await?;
    let (tone, sentence) = match (settled.outcome.as_str(), settled.verified) {
        ("would_disconnect", _) => ("quiet", "Dry run: the conversation would be ended. Nobody was disconnected."),
        ("accepted", _) => {
            ("warn", "Genesys Cloud accepted the end of the conversation. The list shows who is still there.")
        }
        (_, true) => ("good", "The conversation has ended: confirmed."),
        (_, false) => ("warn", "Genesys Cloud says that the conversation has ended. hangup could not check it."),
    };
    let notice = parts::notice(
        tone,
        &html! {
            p { (sentence) }
            p.small { "Request " code { (settled.request_id) } }
        },
    );
    Ok((DONE, parts::page(&notice)).into_response())
}
