//! What outcomes and codes mean, in one sentence each.

use crate::problem::Code;

/// What an outcome or a problem's code means.
pub(super) fn meaning(name: &str, verified: bool) -> &'static str {
    match name {
        "disconnected" if verified => "the participant was seen gone",
        "disconnected" => "Genesys Cloud said that the participant is gone; hangup has not checked",
        "accepted" => {
            "Genesys Cloud took the request, to take effect shortly; hangup has not seen the participant gone"
        }
        "already_disconnected" if verified => "the participant had left before",
        "already_disconnected" => "Genesys Cloud said that the participant had left before; hangup could not check",
        "conversation_ended" if verified => "the conversation was over",
        "conversation_ended" => "Genesys Cloud does not know the conversation (any more)",
        "would_disconnect" => "a dry run: the participant was there, and nothing was sent",
        "unconfirmed" => "hangup looked after an accepted disconnect: the participant was still there",
        "none_matched" => "the selector matched nobody",
        "denied" => "the caller may not do this",
        "failed" => "it failed; the code says why",
        "abandoned" => "it was given up when the service stopped",
        other => {
            Code::ALL.iter().find(|code| code.name() == other).map_or("not a word of hangup's", |code| code.title())
        }
    }
}
