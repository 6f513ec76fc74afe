//! The paths we answer, by their templates. One list serves the router, the labels of metrics, and the test that holds
//! `openapi.yaml` against it.

/// Disconnects one participant.
pub const DISCONNECT: &str = "/conversations/{conversationId}/participants/{participantId}/disconnect";
/// Searches live conversations.
pub const CONVERSATIONS: &str = "/conversations";
/// Reads a conversation in short.
pub const CONVERSATION: &str = "/conversations/{conversationId}";
/// Lists participants.
pub const PARTICIPANTS: &str = "/conversations/{conversationId}/participants";
/// Disconnects all who match a selector.
pub const SELECTOR: &str = "/conversations/{conversationId}/participants/disconnect";
/// Ends a conversation for everybody.
pub const TEARDOWN: &str = "/conversations/{conversationId}/disconnect";
/// Queues a job, and lists jobs.
pub const JOBS: &str = "/jobs";
/// One job and how far it is.
pub const JOB: &str = "/jobs/{jobId}";
/// The items of a job.
pub const JOB_ITEMS: &str = "/jobs/{jobId}/items";
/// Starts a held job.
pub const JOB_START: &str = "/jobs/{jobId}/start";
/// Pauses a job.
pub const JOB_PAUSE: &str = "/jobs/{jobId}/pause";
/// Resumes a paused job.
pub const JOB_RESUME: &str = "/jobs/{jobId}/resume";
/// Cancels the items that have not started.
pub const JOB_CANCEL: &str = "/jobs/{jobId}/cancel";
/// The OAuth endpoint.
pub const TOKEN: &str = "/oauth/token";
/// Drop-in: the unpublished POST.
pub const API_DISCONNECT: &str = "/api/v2/conversations/{conversationId}/participants/{participantId}/disconnect";
/// Drop-in: the published PATCH.
pub const API_PARTICIPANT: &str = "/api/v2/conversations/{conversationId}/participants/{participantId}";
/// Drop-in: the published PATCH of one medium; one route for each of `Medium::ALL`.
pub const API_MEDIUM_PARTICIPANT: &str = "/api/v2/conversations/{media}/{conversationId}/participants/{participantId}";
/// Drop-in: the read.
pub const API_CONVERSATION: &str = "/api/v2/conversations/{conversationId}";
/// Drop-in: the end of a conversation.
pub const API_TEARDOWN: &str = "/api/v2/conversations/{conversationId}/disconnect";
/// Drop-in: the read and the end of one medium; one route for each of `Medium::ALL`.
pub const API_MEDIUM: &str = "/api/v2/conversations/{media}/{conversationId}";
/// Enforce or observe; for operators.
pub const MODE: &str = "/mode";
/// The service at a glance; for operators.
pub const STATUS: &str = "/status";
/// Who disconnected whom.
pub const AUDIT: &str = "/audit";
/// Liveness.
pub const LIVEZ: &str = "/livez";
/// Readiness.
pub const READYZ: &str = "/readyz";
/// Metrics.
pub const METRICS: &str = "/metrics";
/// The contract.
pub const OPENAPI: &str = "/openapi.yaml";
/// The contract as JSON.
pub const OPENAPI_JSON: &str = "/openapi.json";
/// The contract for tools that stop at OpenAPI 3.0.
pub const OPENAPI_3_0: &str = "/openapi-3.0.json";
/// What callers ask, for tools that stop at OpenAPI 2.0.
pub const OPENAPI_2_0: &str = "/openapi-2.0.json";
/// The page that shows the contract and tries it out.
pub const DOCS: &str = "/docs";
/// Its own style.
pub const DOCS_PAGE_STYLE: &str = "/docs/page.css";
/// Its own script.
pub const DOCS_PAGE_SCRIPT: &str = "/docs/page.js";
/// The style of the viewer in it.
pub const DOCS_VIEWER_STYLE: &str = "/docs/swagger-ui.css";
/// The viewer in it.
pub const DOCS_VIEWER_SCRIPT: &str = "/docs/swagger-ui-bundle.js";

/// What is read with GET and is not in the contract: the contract itself, metrics, and pages with what they load.
pub const NOT_IN_CONTRACT: &[&str] = &[
    METRICS,
    OPENAPI,
    OPENAPI_JSON,
    OPENAPI_3_0,
    OPENAPI_2_0,
    DOCS,
    DOCS_PAGE_STYLE,
    DOCS_PAGE_SCRIPT,
    DOCS_VIEWER_STYLE,
    DOCS_VIEWER_SCRIPT,
];

/// The templates of the contract, with the methods that callers use.
pub const ALL: &[(&str, &[&str])] = &[
    (DISCONNECT, &["POST"]),
    (CONVERSATIONS, &["GET"]),
    (CONVERSATION, &["GET"]),
    (PARTICIPANTS, &["GET"]),
    (SELECTOR, &["POST"]),
    (TEARDOWN, &["POST"]),
    (JOBS, &["GET", "POST"]),
    (JOB, &["GET"]),
    (JOB_ITEMS, &["GET"]),
    (JOB_START, &["POST"]),
    (JOB_PAUSE, &["POST"]),
    (JOB_RESUME, &["POST"]),
    (JOB_CANCEL, &["POST"]),
    (TOKEN, &["POST"]),
    (API_DISCONNECT, &["POST"]),
    (API_PARTICIPANT, &["PATCH"]),
    (API_MEDIUM_PARTICIPANT, &["PATCH"]),
    (API_CONVERSATION, &["GET"]),
    (API_TEARDOWN, &["POST"]),
    (API_MEDIUM, &["GET", "PATCH"]),
    (MODE, &["GET", "PUT"]),
    (STATUS, &["GET"]),
    (AUDIT, &["GET"]),
    (LIVEZ, &["GET"]),
    (READYZ, &["GET"]),
];

/// The methods of a matched template.
pub(super) fn methods(matched: &str) -> &'static [&'static str] {
    let label = label(Some(matched));
    if NOT_IN_CONTRACT.contains(&label) {
        return &["GET"];
    }
    ALL.iter().find(|(template, _)| *template == label).map_or(&[], |(_, methods)| methods)
}

/// The label of a matched template: from the list, or one word for everything else.
pub(super) fn label(matched: Option<&str>) -> &'static str {
    let Some(path) = matched else { return "unmatched" };
    let known =
        ALL.iter().map(|(template, _)| template).chain(NOT_IN_CONTRACT).copied().find(|template| *template == path);
    // The routes of the media differ in one word.
    let of_a_medium = || {
        let tail = path.strip_prefix("/api/v2/conversations/")?;
        Some(if tail.contains("/participants/") { API_MEDIUM_PARTICIPANT } else { API_MEDIUM })
    };
    known.or_else(of_a_medium).unwrap_or("unmatched")
}

/// Probes come every second or so and say nothing new.
pub(super) fn is_probe(route: &str) -> bool {
    matches!(route, LIVEZ | READYZ | METRICS)
}
