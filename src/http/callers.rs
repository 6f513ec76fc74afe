//! Who calls, and may it do this? In this order, so that a refusal costs its caller as much as an answer:
//! recognise the caller (wrong credentials are slowed down there), charge its rate, then its permission.

use std::sync::Arc;

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use http::request::Parts;

use super::App;
use super::exchange::Exchange;
use crate::callers::{Caller, CallerKind, Permission, Refusal, browser};
use crate::config::Mode;
use crate::disconnect::Origin;
use crate::genesys::request::Rank;
use crate::problem::{Code, Problem};

/// A caller that may do what was asked.
#[derive(Debug)]
pub(super) struct Authenticated {
    pub(super) caller: Caller,
    pub(super) origin: Origin,
}

/// Recognises the caller, charges its rate, and checks its permission.
pub(super) async fn authenticate(app: &App, parts: &Parts, permission: Permission) -> Result<Authenticated, Refused> {
    let exchange = exchange(parts);
    let caller = recognise(app, parts, &exchange).await?;
    charge(app, &caller)?;
    demand(&caller, permission)?;
    let origin = Origin {
        caller: caller.identity().clone(),
        request_id: exchange.request_id.clone(),
        trace: exchange.trace.clone(),
        guards: caller.guards().cloned(),
        observe: caller.mode() == Some(Mode::Observe),
        scope: exchange.scope.clone(),
        rank: Rank::Disconnect,
        deadline: None,
        sent: Arc::default(),
    };
    Ok(Authenticated { caller, origin })
}

/// Recognises the caller and charges its rate. What it may do, the handler asks.
///
/// # Errors
/// `unauthenticated`, `forbidden_origin`, `caller_rate_limited`.
pub(super) async fn authenticate_any(app: &App, parts: &Parts) -> Result<Caller, Refused> {
    let exchange = exchange(parts);
    let caller = recognise(app, parts, &exchange).await?;
    charge(app, &caller)?;
    Ok(caller)
}

/// The same for the operators' side. On loopback, a service without keys is operated by whoever may use the machine.
pub(super) async fn authenticate_operator(app: &App, parts: &Parts) -> Result<Caller, Refused> {
    let exchange = exchange(parts);
    let caller = recognise(app, parts, &exchange).await?;
    charge(app, &caller)?;
    if !(app.callers.is_keyless() && exchange.on_loopback) {
        demand(&caller, Permission::Operate)?;
    }
    Ok(caller)
}

async fn recognise(app: &App, parts: &Parts, exchange: &Exchange) -> Result<Caller, Refused> {
    if !exchange.behind_proxy {
        keep_pages_away(parts, exchange)?;
    }
    let caller = app.callers.authenticate(&parts.headers, exchange.addr).await?;
    exchange.note(|note| note.caller = Some(caller.identity().clone()));
    // An issuer can have any number of subjects; a label must not.
    app.metrics.caller_request(if caller.kind() == CallerKind::Token { "jwt" } else { caller.identity() });
    match (exchange.behind_proxy, caller.kind()) {
        (true, CallerKind::Anonymous) => keep_pages_away(parts, exchange)?,
        (true, _) if exchange.on_loopback => browser::check_behind_proxy(&parts.headers, &parts.uri)?,
        (false, CallerKind::Anonymous) if exchange.on_loopback => browser::check_direct(&parts.headers)?,
        _ => {}
    }
    if !caller.may_call_from(exchange.addr) {
        let detail = format!(
            "the key may not be used from your address ({}); ask the operator of this service to add it to the key's \
             addresses",
            exchange.addr
        );
        return Err(Problem::new(Code::ForbiddenCaller, detail).into());
    }
    Ok(caller)
}

fn charge(app: &App, caller: &Caller) -> Result<(), Problem> {
    app.callers.charge(caller).map_err(|pause| {
        let detail = "this key's rate is used up; repeat after Retry-After, or ask for a higher rate";
        Problem::new(Code::CallerRateLimited, detail).retry_after(pause)
    })
}

/// The caller must have this permission.
pub(super) fn demand(caller: &Caller, permission: Permission) -> Result<(), Problem> {
    if caller.may(permission) {
        return Ok(());
    }
    let detail = format!(
        "the caller \"{}\" lacks the permission \"{permission}\"; the operator of this service can give it (permissions of \
         the key, or auth.anonymous_permissions)",
        caller.identity(),
    );
    Err(Problem::new(Code::ForbiddenCaller, detail))
}

/// On loopback, pages in a browser on the same machine must not reach us.
pub(super) fn keep_pages_away(parts: &Parts, exchange: &Exchange) -> Result<(), Refused> {
    if exchange.on_loopback {
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
            Refusal::ForeignOrigin(_) | Refusal::ForwardedWithoutKey(_) => Code::ForbiddenOrigin,
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
