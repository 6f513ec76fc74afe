//! The operations themselves, as Genesys Cloud answers them.

mod analytics;
mod disconnects;
mod login;
mod names;
mod reads;

use http::StatusCode;

use super::answer::Problem;
use super::call::{Call, Flaw, Operation};
use super::incoming::{Incoming, Served};
use super::settings::Settings;
use super::state::Sandbox;
use crate::config::Surface;

/// Serves a request. Without `effect` the answer is the same, but nothing happens.
pub(crate) fn serve(sandbox: &Sandbox, incoming: &Incoming<'_>, effect: bool) -> Served {
    let call = incoming.call;
    let settings = sandbox.settings();
    if let Err(problem) = admit(sandbox, call, &settings) {
        return Err(problem).into();
    }
    let id = call.conversation.unwrap_or_default();
    match call.operation {
        Operation::Login => login::login(sandbox, incoming).into(),
        Operation::Read => reads::read(sandbox, id, call.medium, &settings).into(),
        Operation::List => reads::list(sandbox, call.medium, incoming.parts.uri.query(), &settings).into(),
        Operation::ReadWrapup => reads::wrapup(sandbox, id, call, &settings).into(),
        Operation::Patch | Operation::PatchCommunication => {
            disconnects::patch(sandbox, incoming, id, &settings, effect)
        }
        Operation::Post => disconnects::post(sandbox, incoming, id, &settings, effect),
        Operation::Teardown | Operation::DeleteConversation => disconnects::tear_down(sandbox, id, &settings, effect),
        Operation::PatchMedium => disconnects::patch_medium(sandbox, incoming, id, &settings, effect),
        Operation::DetailsQuery => analytics::details_query(sandbox, incoming.body, &settings).into(),
        Operation::ActivityQuery => analytics::activity_query(sandbox, incoming.body, &settings).into(),
        Operation::Details => analytics::details(sandbox, id).into(),
        Operation::Queues => names::queues(sandbox, incoming.parts.uri.query(), &settings).into(),
        Operation::Users => names::users(sandbox, incoming.parts.uri.query()).into(),
        Operation::None => Err(Problem::no_such_path()).into(),
    }
}

/// Checks that the surface has the operation, that the ids are valid, and that the client may do and see this.
fn admit(sandbox: &Sandbox, call: &Call, settings: &Settings) -> Result<(), Problem> {
    // A surface that lacks an operation does not know its path at all, whatever the ids.
    let missing = match call.operation {
        Operation::Post => settings.surface == Surface::Published && !settings.minimal,
        Operation::Login => false,
        _ if settings.minimal => true,
        Operation::Patch => settings.surface == Surface::Unpublished,
        _ => false,
    };
    match call.flaw {
        _ if missing => return Err(Problem::no_such_path()),
        Some(Flaw::NoSuchPath) => return Err(Problem::no_such_path()),
        Some(Flaw::Malformed(name)) => {
            return Err(Problem::bad_request(format!("The {name} in the path is not a valid UUID.")));
        }
        Some(Flaw::WrongMethod(allowed)) => return Err(wrong_method(allowed)),
        None => {}
    }
    let permissions = call.operation.permissions(call.medium);
    if !permissions.is_empty() && permissions.iter().all(|p| settings.missing_permissions.iter().any(|m| m == p)) {
        return Err(Problem::missing_permission(permissions));
    }
    let hidden = call.conversation.filter(|_| !settings.hidden_divisions.is_empty()).is_some_and(|id| {
        sandbox.conversations().with_known(id, |c, _| settings.hidden_divisions.contains(&c.division)).unwrap_or(false)
    });
    if hidden { Err(Problem::unknown_conversation(call.conversation.unwrap_or_default())) } else { Ok(()) }
}

fn wrong_method(allowed: &'static str) -> Problem {
    let message = format!("HTTP 405 Method Not Allowed; allowed here: {allowed}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method.not.allowed", message).header("allow", allowed)
}
