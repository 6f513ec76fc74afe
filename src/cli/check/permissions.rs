//! What the OAuth client may do, judged by the upstream's own refusals: a conversation that cannot exist is read, and a
//! participant of it disconnected. Nobody is touched.

use bytes::Bytes;
use http::StatusCode;
use uuid::Uuid;

use super::super::live::LiveUpstream;
use super::between;
use super::report::{CheckLine, Report};
use crate::config::{Config, OperationChoice};
use crate::disconnect::look::VIEW;
use crate::genesys::answer::Answer;
use crate::genesys::request::{Call, Rank};
use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Problem, UpstreamDetail};

/// The permission that disconnecting needs.
const DISCONNECT: &str = "conversation:communication:disconnect";

pub(super) async fn check(config: &Config, upstream: &LiveUpstream, report: &mut Report) {
    // Random, so that it belongs to no conversation.
    let (cid, pid) = (ConversationId::from(Uuid::new_v4()), ParticipantId::from(Uuid::new_v4()));
    let view = Call::read(&upstream.context(), Rank::Lookup, None, cid);
    let disconnect = match config.genesys.operation {
        OperationChoice::Post => Call::post(&upstream.context(), cid, pid, Bytes::new()),
        OperationChoice::Auto | OperationChoice::Patch => {
            Call::patch(&upstream.context(), None, cid, pid, Call::DISCONNECTED)
        }
    };
    let mut foreign = None;
    for (name, permission, call) in
        [("permission to view", VIEW, view), ("permission to disconnect", DISCONNECT, disconnect)]
    {
        match upstream.client.call(call).await {
            Ok(answer) if !answer.is_final_refusal() || answer.is_own_refusal() => {
                report.add(judged(name, permission, &answer));
            }
            Ok(answer) => {
                report.add(CheckLine::skipped(
                    name,
                    format!("status {} is not Genesys Cloud's own", answer.status.as_u16()),
                ));
                foreign = Some(answer);
            }
            Err(error) => {
                let problem = Problem::from(error);
                report.add(CheckLine::fail(name, problem.code.title(), problem.detail));
            }
        }
    }
    if let Some(answer) = foreign {
        report.add(between::check(config, upstream, &answer).await);
    }
}

/// What Genesys Cloud's own answer says about a permission.
fn judged(name: &'static str, permission: &str, answer: &Answer) -> CheckLine {
    let said = UpstreamDetail::of(answer);
    let words = match (&said.code, &said.message) {
        (_, Some(message)) => message.clone(),
        (Some(code), None) => code.clone(),
        (None, None) => format!("status {}", said.status),
    };
    match answer.status {
        // What the role lacks is looked at before what does not exist.
        StatusCode::NOT_FOUND => CheckLine::ok(name, format!("not refused ({permission})")),
        StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN if answer.error().needs_user_context() => {
            CheckLine::fail(name, words, Problem::forbidden(answer, permission).detail)
        }
        StatusCode::FORBIDDEN => CheckLine::fail(
            name,
            format!("{permission} is missing: {words}"),
            Problem::forbidden(answer, permission).detail,
        ),
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
            CheckLine::fail(name, words, "this org does not have this operation; set genesys.operation = \"auto\"")
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            CheckLine::fail(name, words, Problem::transient(answer).detail)
        }
        status => {
            let text = format!("status {} to an id that cannot exist: {words}", status.as_u16());
            CheckLine::warn(name, text, "this proves nothing; try `hangup check --prove` on a conversation made for it")
        }
    }
}
