//! The outer page, which holds no data, and the frame for a caller who has signed in.

use axum::response::Html;
use maud::{DOCTYPE, html};

use super::api::{ApiClient, Failed};
use super::issuer::SignInIssuer;
use super::parts;
use crate::callers::Permission;
use crate::http::Aside;

/// htmx must not evaluate text as code, insert styles, send requests to other hosts or keep pages in the browser's
/// storage. Without a settle delay, a new button works as soon as it is visible.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyEnabled":false,"historyCacheSize":0,"timeout":40000,"disableInheritance":true,"defaultFocusScroll":false,"defaultSettleDelay":0}"#;

/// `GET /console`.
pub(super) fn shell(issuer: Option<&SignInIssuer>) -> Html<String> {
    let scripts = ["htmx.min.js", "session.js", "page.js", "jobs.js", "issuer.js"];
    parts::page(&html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { "hangup console" }
                link rel="icon" href="console/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="console/page.css";
                @for script in scripts { script defer src={ "console/" (script) } {} }
            }
            body data-problems="#problem" {
                div #connection role="status" {}
                div #frame {
                    main.sign-in {
                        h1 { "hangup console" }
                        noscript { p { "This page needs JavaScript." } }
                        form #sign-in hidden {
                            label for="key" { "Key" }
                            // It has no name, so that the browser never submits it.
                            input #key type="password" autocomplete="off" spellcheck="false" required aria-describedby="key-note";
                            button.primary type="submit" { "Sign in" }
                            p #key-note.small {
                                "Your key stays in the memory of this page and is sent to this service only. Reloading the page forgets it."
                            }
                            @if let Some(issuer) = issuer { (issuer.button()) }
                        }
                        div #sign-in-problem role="alert" {}
                    }
                }
                dialog #dialog aria-labelledby="dialog-title" data-problems="#dialog-problem" {
                    div #dialog-body {}
                    div #dialog-problem role="alert" {}
                }
            }
        }
    })
}

/// `GET /console/session`: the frame for a caller who is recognised.
pub(super) async fn frame(api: ApiClient) -> Result<Html<String>, Failed> {
    let aside = api.caller().await?;
    let identity = aside.caller.as_ref().map_or("", |caller| caller.identity());
    Ok(parts::page(&html! {
        a.skip href="#view" data-skip { "Skip to the content" }
        header.top {
            a.brand href="#" { "hangup" }
            nav aria-label="Main" {
                a href="#" data-view="" { "Conversations" }
                a href="#jobs" data-view="jobs" { "Jobs" }
                @if aside.operator { a href="#status" data-view="status" { "Status" } }
            }
            div.who {
                span title="Who you are signed in as" { (identity) }
                button #sign-out type="button" { "Sign out" }
            }
        }
        div #problem role="alert" {}
        main #view tabindex="-1" {}
    }))
}

/// Whether the caller has this permission. This decides only what the page offers; the API checks each request.
pub(super) fn may(aside: &Aside, permission: Permission) -> bool {
    aside.caller.as_ref().is_some_and(|caller| caller.may(permission))
}
