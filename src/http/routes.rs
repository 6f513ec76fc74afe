//! The paths we answer, by their templates. One list serves the router, the labels of metrics, and the test that holds
//! `openapi.yaml` against it.

/// Disconnects one participant: the mission.
pub const DISCONNECT: &str = "/conversations/{conversationId}/participants/{participantId}/disconnect";
/// Reads a conversation in short.
pub const CONVERSATION: &str = "/conversations/{conversationId}";
/// Lists participants.
pub const PARTICIPANTS: &str = "/conversations/{conversationId}/participants";
/// Liveness.
pub const LIVEZ: &str = "/livez";
/// Readiness.
pub const READYZ: &str = "/readyz";
/// Metrics.
pub const METRICS: &str = "/metrics";
/// The contract.
pub const OPENAPI: &str = "/openapi.yaml";

/// All templates, with the methods that callers use.
pub const ALL: &[(&str, &[&str])] =
    &[(DISCONNECT, &["POST"]), (LIVEZ, &["GET"]), (READYZ, &["GET"]), (METRICS, &["GET"]), (OPENAPI, &["GET"])];

/// The label of a matched template: from the list, or one word for everything else.
pub(super) fn label(matched: Option<&str>) -> &'static str {
    matched
        .and_then(|path| ALL.iter().find(|(template, _)| *template == path))
        .map_or("unmatched", |(template, _)| template)
}
