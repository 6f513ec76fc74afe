//! Authenticates a request: who calls, and may it do this.

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;

use super::App;
use super::exchange::Exchange;
use crate::callers::{Caller, CallerKind, Permission, Refusal, browser};
use crate::config::Mode;
use crate::disconnect::Origin;
use crate::problem::{Code, Problem};

/// Somebody who may do what was asked.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) caller: Caller,
    pub(super) origin: Origin,
}

/// Recognises the caller, checks its permission, and charges its rate.
pub(super) async fn authenticate(app: &App, parts: &Parts, permission: Permission) -> Result<Authenticated, Refused> {
    let exchange = exchange(parts);
    keep_pages_away(app, parts)?;
    let caller = app.callers.authenticate(&parts.headers, exchange.addr).await?;
    exchange.note(|note| note.caller = Some(caller.name().clone()));
    // An issuer can have any number of subjects; a label must not.
    app.metrics.caller_request(if caller.kind() == CallerKind::Token { "token" } else { caller.name() });
    demand(&caller, permission)?;
    if let Err(pause) = caller.charge() {
        let detail = "this key's rate is used up; repeat after Retry-After, or ask for a higher rate";
        return Err(Problem::new(Code::CallerRateLimited, detail).retry_after(pause).into());
    }
    let origin = Origin {
        caller: caller.name().clone(),
        request_id: exchange.request_id.clone(),
        trace: exchange.trace.clone(),
        guards: caller.guards().cloned(),
        observe: caller.mode() == Some(Mode::Observe),
        trail: exchange.trail.clone(),
        deadline: None,
    };
    Ok(Authenticated { caller, origin })
}

/// The caller must have this permission.
pub(super) fn demand(caller: &Caller, permission: Permission) -> Result<(), Problem> {
    if caller.may(permission) {
        return Ok(());
    }
    let detail = format!(
        "the caller \"{}\" lacks the permission \"{}\"; whoever runs this service can give it (permissions of the key, or \
         auth.anonymous_permissions)",
        caller.name(),
        permission.as_str()
    );
    Err(Problem::new(Code::ForbiddenCaller, detail))
}

/// Without keys on loopback, pages in a browser on the same machine must not reach us.
pub(super) fn keep_pages_away(app: &App, parts: &Parts) -> Result<(), Refused> {
    if app.keeps_pages_away {
        browser::check(&parts.headers, &parts.uri)?;
    }
    Ok(())
}

/// The request's exchange; the outermost layer has put it there.
pub(super) fn exchange(parts: &Parts) -> Exchange {
    parts.extensions.get::<Exchange>().cloned().unwrap_or_else(Exchange::detached)
}

/// A refusal on its way out, with the headers that go with it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) problem: Problem,
    pub(super) challenge: Option<HeaderValue>,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { problem, challenge: None }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Throttled(_) => Code::CallerRateLimited,
            Refusal::IssuerUnavailable(_) => Code::UpstreamUnavailable,
            Refusal::ForeignOrigin(_) => Code::ForbiddenOrigin,
            _ => Code::Unauthenticated,
        };
        let mut problem = Problem::new(code, refusal.to_string());
        problem.retry_after = refusal.retry_after();
        Self { problem, challenge: refusal.www_authenticate() }
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.problem.into_response();
        response.headers_mut().extend(self.challenge.map(|value| (WWW_AUTHENTICATE, value)));
        response
    }
}
