//! Whatever matches no route or no method: in JSON, with a hint.

use axum::extract::{MatchedPath, Request};
use http::Method;

use super::routes;
use crate::problem::{Code, Problem};

/// No such path. Ids that are empty, as unset variables of scripts make them, are named.
pub(super) async fn no_such_route(request: Request) -> Problem {
    let path = request.uri().path();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    // A known path of conversations with an empty id in it: "//" is never collapsed.
    let tail = match segments.as_slice() {
        ["api", "v2", tail @ ..] => tail,
        tail => tail,
    };
    match tail {
        ["conversations", "", ..] => Problem::new(
            Code::InvalidConversationId,
            "the conversation id in the path is empty; check that the variable it comes from is set",
        ),
        ["conversations", _, "participants", "", ..] => Problem::new(
            Code::InvalidParticipantId,
            "the participant id in the path is empty; check that the variable it comes from is set",
        ),
        _ => {
            let detail =
                format!("there is nothing at this path; to disconnect a participant: POST {}", routes::DISCONNECT);
            Problem::new(Code::NoSuchRoute, detail)
        }
    }
}

/// A known path with another method. `Allow` is set by the router.
pub(super) async fn method_not_allowed(method: Method, path: MatchedPath) -> Problem {
    let taken = routes::methods(path.as_str()).join(" and ");
    Problem::new(Code::MethodNotAllowed, format!("this path does not take {method}; it takes {taken}"))
}
