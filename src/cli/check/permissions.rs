//! What the OAuth client may do, told from the upstream's own refusals: a conversation that cannot exist is read, and a
//! participant of it disconnected. Nobody is touched.

use bytes::Bytes;
use http::StatusCode;
use uuid::Uuid;

use super::super::live::Upstream;
use super::report::{Item, Report};
use crate::config::{Config, OperationChoice};
use crate::disconnect::look::VIEW;
use crate::genesys::request::{Call, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Problem, Upstream as Said};

/// The permission that disconnecting needs.
const DISCONNECT: &str = "conversation:communication:disconnect";

pub(super) async fn check(config: &Config, upstream: &Upstream, report: &mut Report) {
    // Random, so that it is nobody's.
    let (cid, pid) = (ConversationId::from(Uuid::new_v4()), ParticipantId::from(Uuid::new_v4()));
    let view = Call::read(&upstream.context(), Rank::Lookup, None, cid);
    report.add(ask(upstream, "permission to view", VIEW, view).await);
    let disconnect = match config.genesys.operation {
        OperationChoice::Post => Call::post(&upstream.context(), cid, pid, Bytes::new()),
        OperationChoice::Auto | OperationChoice::Patch => {
            Call::patch(&upstream.context(), None, cid, pid, Call::DISCONNECTED)
        }
    };
    report.add(ask(upstream, "permission to disconnect", DISCONNECT, disconnect).await);
}

async fn ask(upstream: &Upstream, name: &'static str, permission: &str, call: Call) -> Item {
    let answer = match upstream.client.call(call).await {
        Ok(answer) => answer,
        Err(error) => {
            let problem = Problem::from(error);
            return Item::fail(name, problem.code.title(), problem.detail);
        }
    };
    let said = Said::of(&answer);
    let words = match (&said.code, &said.message) {
        (_, Some(message)) => message.clone(),
        (Some(code), None) => code.clone(),
        (None, None) => format!("status {}", said.status),
    };
    match answer.status {
        // What the role lacks is looked at before what does not exist.
        StatusCode::NOT_FOUND => Item::ok(name, format!("not refused ({permission})")),
        StatusCode::FORBIDDEN => {
            let problem = Problem::forbidden(&answer, permission);
            Item::fail(name, words, problem.detail)
        }
        StatusCode::BAD_REQUEST if answer.error().needs_user_context() => {
            Item::fail(name, words, Problem::forbidden(&answer, permission).detail)
        }
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            Item::fail(name, words, "this org does not have this operation; set genesys.operation = \"auto\"")
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Item::fail(name, words, Problem::transient(&answer).detail)
        }
        status => {
            let text = format!("status {} to an id that cannot exist: {words}", status.as_u16());
            Item::warn(name, text, "nothing can be told from this; try it on a conversation of your own")
        }
    }
}
