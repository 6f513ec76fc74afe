//! Who calls, and may it do this? The order is: recognise the caller (wrong credentials are slowed down there), charge its rate,
//! check its permission. So a refusal costs its caller as much as an answer.
//!
//! Handlers take one of these extractors before any other except the app, so that strangers learn nothing else.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::AppState;
use super::context::RequestContext;
use super::in_process::InProcess;
use super::refused::Refused;
use crate::callers::{Caller, CallerKind, Permission, browser};
use crate::config::Mode;
use crate::disconnect::Origin;
use crate::genesys::requester::Requester;
use crate::problem::{Code, Problem};

/// A caller that has the permission `P`.
#[derive(Debug)]
pub(super) struct Permitted<P> {
    pub(super) caller: Caller,
    /// On whose behalf it asks.
    pub(super) origin: Origin,
    pub(super) context: RequestContext,
    permission: PhantomData<P>,
}

/// The permissions that a handler may ask for: `Permitted<to::Disconnect>`.
pub(super) mod to {
    use crate::callers::Permission;

    /// A permission as a type.
    pub(in crate::http) trait Permit: Send {
        const PERMISSION: Permission;
    }

    macro_rules! permissions {
        ($($name:ident)+) => {$(
            #[derive(Debug)]
            pub(in crate::http) enum $name {}
            impl Permit for $name {
                const PERMISSION: Permission = Permission::$name;
            }
        )+};
    }

    permissions!(Disconnect Read Search Teardown Audit);
}

impl<P: to::Permit> FromRequestParts<AppState> for Permitted<P> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Refused> {
        let Recognised { caller, context } = Recognised::from_request_parts(parts, app).await?;
        demand(&caller, P::PERMISSION)?;
        let requester = Requester::new(caller.identity().clone(), context.request_id.clone());
        let origin = Origin {
            requester: requester.in_trace(context.trace.clone()).into(),
            guards: caller.guards().cloned(),
            observe: caller.mode() == Some(Mode::Observe),
            scope: context.scope.clone(),
            deadline: None,
        };
        Ok(Self { caller, origin, context, permission: PhantomData })
    }
}

/// Any caller that is let in; what it may do, the handler asks.
#[derive(Debug)]
pub(super) struct Recognised {
    pub(super) caller: Caller,
    pub(super) context: RequestContext,
}

impl FromRequestParts<AppState> for Recognised {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Refused> {
        let context = RequestContext::from_request_parts(parts, app).await?;
        let caller = recognise(app, parts, &context).await?;
        app.callers.charge(&caller).map_err(|pause| {
            let detail = "this key's rate is used up; repeat after Retry-After, or ask for a higher rate";
            Problem::new(Code::CallerRateLimited, detail).retry_after(pause)
        })?;
        Ok(Self { caller, context })
    }
}

/// A caller that may operate the service.
#[derive(Debug)]
pub(super) struct Operator(pub(super) RequestContext);

impl FromRequestParts<AppState> for Operator {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Refused> {
        let Recognised { caller, context } = Recognised::from_request_parts(parts, app).await?;
        if !operates(app, &context, &caller) {
            demand(&caller, Permission::Operate)?;
        }
        Ok(Self(context))
    }
}

/// On loopback, anyone on the machine may operate a service without keys, but not callers behind a trusted proxy.
fn operates(app: &AppState, context: &RequestContext, caller: &Caller) -> bool {
    let on_this_machine = context.on_loopback && context.addr.is_loopback();
    caller.may(Permission::Operate) || (app.callers.is_keyless() && on_this_machine)
}

async fn recognise(app: &AppState, parts: &Parts, context: &RequestContext) -> Result<Caller, Refused> {
    if !context.behind_proxy {
        keep_pages_away(parts, context)?;
    }
    let caller = app.callers.authenticate(&parts.headers, context.addr).await?;
    context.log().caller = Some(caller.identity().clone());
    // An issuer can have any number of subjects; a label must not.
    app.metrics.caller_request(if caller.kind() == CallerKind::Token { "jwt" } else { caller.identity() });
    match (context.behind_proxy, caller.kind()) {
        (true, CallerKind::Anonymous) => keep_pages_away(parts, context)?,
        (true, _) if context.on_loopback => browser::check_behind_proxy(&parts.headers, &parts.uri)?,
        (false, CallerKind::Anonymous) if context.on_loopback => {
            browser::check_direct(&parts.headers, app.proxies.header())?
        }
        _ => {}
    }
    if !caller.may_call_from(context.addr) {
        // It counts as a wrong key of this address, and not against the rate of those who may use it.
        app.callers.refuse_from(context.addr)?;
        let detail = format!(
            "the key may not be used from your address ({}); ask the operator of this service to add it to the key's \
             addresses",
            context.addr
        );
        return Err(Problem::new(Code::ForbiddenCaller, detail).into());
    }
    if let Some(ask) = parts.extensions.get::<InProcess>() {
        ask.learn(|aside| {
            aside.operator = operates(app, context, &caller);
            aside.observing = app.disconnector.observing() || caller.mode() == Some(Mode::Observe);
            aside.caller = Some(caller.clone());
        });
    }
    Ok(caller)
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
pub(super) fn keep_pages_away(parts: &Parts, context: &RequestContext) -> Result<(), Refused> {
    if context.on_loopback {
        browser::check(&parts.headers, &parts.uri)?;
    }
    Ok(())
}
