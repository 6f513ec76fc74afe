//! Problems: what went wrong, in the words and codes that callers rely on. Free of HTTP types.
//!
//! A problem says what to do next. Its cause, where there is one, was logged where it arose.

mod upstream;

use std::sync::Arc;
use std::time::Duration;

/// Whether a participant may have been disconnected although the answer is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    /// Nobody was.
    #[default]
    None,
    /// An attempt ended without an answer, and its effect could not be read.
    Unknown,
}

/// What the upstream said, for the member `upstream`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamDetail {
    /// Its HTTP status.
    pub status: u16,
    /// Its error code.
    pub code: Option<String>,
    /// Its message.
    pub message: Option<String>,
    /// Its `ININ-Correlation-Id`.
    pub correlation_id: Option<Arc<str>>,
    /// Whether Genesys Cloud wrote it, and not something in between. Not shown.
    pub own: bool,
}

/// One problem, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// What to do next.
    pub detail: String,
    /// What was wrong, where `detail` does not say it; for the log alone.
    pub cause: Option<Box<str>>,
    /// Whether a participant may have been disconnected.
    pub effect: Effect,
    /// `true`: the participant is gone after all; `false`: it was observed still there; `None`: unknown.
    pub gone: Option<bool>,
    /// What the upstream said, if it was asked.
    pub upstream: Option<Box<UpstreamDetail>>,
    /// When repeating makes sense.
    pub retry_after: Option<Duration>,
    /// Disconnect requests sent upstream before it.
    pub attempts: u32,
    /// Further members, for codes that have some (the candidates of an ambiguous selector).
    pub candidates: Option<Box<serde_json::Value>>,
}

impl Problem {
    /// A problem that the upstream had no part in.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            cause: None,
            effect: Effect::None,
            gone: None,
            upstream: None,
            retry_after: None,
            attempts: 0,
            candidates: None,
        }
    }

    /// With what was wrong, where `detail` does not say it; for the log alone.
    #[must_use]
    pub(crate) fn cause(mut self, cause: &impl ToString) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// With a time after which repeating makes sense.
    #[must_use]
    pub fn retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    /// With the effect that its disconnect may have had.
    #[must_use]
    pub fn effect(mut self, unknown: bool) -> Self {
        self.effect = if unknown { Effect::Unknown } else { Effect::None };
        self
    }

    /// The participant was observed still there.
    #[must_use]
    pub fn still_there(mut self) -> Self {
        self.gone = Some(false);
        self
    }

    /// After this many disconnect requests sent upstream.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// With what the upstream said.
    #[must_use]
    pub fn upstream(mut self, upstream: UpstreamDetail) -> Self {
        self.upstream = Some(Box::new(upstream));
        self
    }
}

/// Declares the codes: name in the contract, status, whether retrying may help, title.
macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $retryable:literal $title:literal;)*) => {
        /// The stable codes of our problems.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each code's title says what it is")]
        pub enum Code { $($variant,)* }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as callers see it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether repeating the same request later may succeed.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }

            /// A short summary for people, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    InvalidConversationId "invalid_conversation_id" 400 false "The conversation id is not a hyphenated UUID";
    InvalidParticipantId "invalid_participant_id" 400 false "The participant id is not a hyphenated UUID";
    InvalidBody "invalid_body" 400 false "The request body cannot be used";
    InvalidQuery "invalid_query" 400 false "The query cannot be used";
    InvalidSelector "invalid_selector" 400 false "The selector cannot be used";
    Unauthenticated "unauthenticated" 401 false "No valid credentials were given";
    ForbiddenCaller "forbidden_caller" 403 false "This caller may not do this";
    ForbiddenOrigin "forbidden_origin" 403 false "Requests from other origins are refused";
    ForbiddenParticipant "forbidden_participant" 403 false "This caller may not disconnect this participant";
    ObserveMode "observe_mode" 403 false "The service is in observe mode";
    UpstreamForbidden "upstream_forbidden" 403 false "The OAuth client lacks a permission in Genesys Cloud";
    UpstreamUserContext "upstream_user_context" 403 false "Genesys Cloud wants a user's token for this";
    NoSuchRoute "no_such_route" 404 false "There is nothing at this path";
    ParticipantNotFound "participant_not_found" 404 false "The conversation has no such participant";
    ConversationNotFound "conversation_not_found" 404 false "Genesys Cloud does not know this conversation";
    JobNotFound "job_not_found" 404 false "There is no such job";
    MethodNotAllowed "method_not_allowed" 405 false "This path has other methods";
    Changed "changed" 412 false "The participant is not as it was seen";
    BodyTooLarge "body_too_large" 413 false "The request body is too large";
    UpstreamConflict "upstream_conflict" 409 false "Genesys Cloud refuses, and the participant is still there";
    SelectorAmbiguous "selector_ambiguous" 409 false "More match than are allowed";
    WrapupRequired "wrapup_required" 409 false "A wrap-up code is required first";
    JobState "job_state" 409 false "The job is not in a state for this";
    UpstreamRejected "upstream_rejected" 422 false "Genesys Cloud rejects the request";
    IdempotencyKeyReused "idempotency_key_reused" 422 false "The Idempotency-Key belongs to another request";
    JobsNeedStore "jobs_need_store" 422 false "Jobs need a lasting store";
    UpstreamRateLimited "upstream_rate_limited" 429 true "The rate limit of Genesys Cloud leaves no room in time";
    CallerRateLimited "caller_rate_limited" 429 true "This caller sends too many requests";
    Internal "internal" 500 true "An error of our own";
    UpstreamInvalidResponse "upstream_invalid_response" 502 false "Genesys Cloud's answer cannot be understood";
    UpstreamUnavailable "upstream_unavailable" 503 true "Genesys Cloud is not available";
    Overloaded "overloaded" 503 true "Too many requests are under way here";
    ShuttingDown "shutting_down" 503 true "This instance is shutting down";
    StoreUnavailable "store_unavailable" 503 true "The store is out of reach";
    AuditUnavailable "audit_unavailable" 503 true "The audit cannot be written";
    UpstreamRejectedCredentials "upstream_rejected_credentials" 503 false "Genesys Cloud rejects our credentials";
    UpstreamTimeout "upstream_timeout" 504 true "Genesys Cloud did not answer in time";
}
