//! Signing in with the configured issuer, by authorization code with PKCE. The page does this itself
//! (`assets/issuer.js`); the server only names the issuer, and allows the page to connect to it.

use axum::response::Html;
use http::Uri;
use maud::{DOCTYPE, Markup, html};

use super::parts;
use crate::config::Jwt;

/// The issuer, if the console is registered with it.
#[derive(Debug, Clone)]
pub(super) struct SignInIssuer {
    url: String,
    audience: String,
    client_id: String,
    scope: String,
    origin: String,
}

impl SignInIssuer {
    /// The configured issuer; `None` without `auth.jwt.console_client_id`.
    pub(super) fn of(jwt: &Jwt) -> Option<Self> {
        let url = jwt.issuer.clone()?;
        let uri: Uri = url.parse().ok()?;
        let origin = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
        // It becomes part of the content security policy.
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/[]".contains(c);
        Some(Self {
            client_id: jwt.console_client_id.clone().filter(|id| !id.is_empty())?,
            audience: jwt.audience.clone().unwrap_or_default(),
            scope: jwt.console_scope.clone(),
            origin: Some(origin).filter(|origin| origin.chars().all(plain))?,
            url,
        })
    }

    /// The only other host that the page may connect to.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The sign-in button, with what the script needs.
    pub(super) fn button(&self) -> Markup {
        html! {
            p { button #issuer type="button" data-issuer=(self.url) data-client=(self.client_id) data-audience=(self.audience)
                data-scope=(self.scope) { "Sign in at " (self.host()) } }
        }
    }

    fn host(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, host)| host)
    }
}

/// `GET /console/signed-in`: where the issuer redirects its window to. The window gives the code to the console's page,
/// and closes.
pub(super) async fn signed_in() -> Html<String> {
    parts::page(&html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Signed in · hangup console" }
                link rel="icon" href="icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="page.css";
                script defer src="signed-in.js" {}
            }
            body { main.sign-in { h1 { "Signed in" } p { "You can close this window." } } }
        }
    })
}
