//! A record as one line of JSON, written by [`crate::json`] because every disconnect has one.

use super::record::Record;
use crate::ids;
use crate::json::{Object, address_text};
use crate::text::escape_unprintable;

/// Most records are shorter, in bytes.
pub(super) const USUAL_LENGTH: usize = 1024;

impl Record {
    /// The record as one line of JSON, without characters that control a terminal or reorder text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let (mut conversation, mut participant) = (ids::TEXT, ids::TEXT);
        let address = self.caller_address.map(address_text);
        let mut line = String::with_capacity(USUAL_LENGTH);
        let mut members = Object::begin(&mut line);
        members
            .text("time", &self.time)
            .word("event", self.event.name())
            .text("instance", &self.instance)
            .text_or_null("caller", self.caller.as_deref())
            .text_or_null("actor", self.actor.as_deref())
            .text_or_null("job", self.job.as_deref())
            .word_or_null("conversationId", self.conversation_id.map(|id| id.text(&mut conversation)))
            .word_or_null("participantId", self.participant_id.map(|id| id.text(&mut participant)))
            .text_or_null("reason", self.reason.as_deref())
            .text_or_null("operation", self.operation.as_deref())
            .text("outcome", &self.outcome)
            .text_or_null("code", self.code.as_deref())
            .truth("verified", self.verified)
            .text_or_null("effect", self.effect.as_deref())
            .text_or_null("requestId", self.request_id.as_deref())
            .text_or_null("correlationId", self.correlation_id.as_deref())
            .integer("suppressed", self.suppressed)
            .word_or_null("callerAddress", address.as_deref())
            .text_or_null("endpoint", self.endpoint.as_deref())
            .truth("dryRun", self.dry_run)
            .integer_or_null("attempts", self.attempts)
            .integer_or_null("upstreamStatus", self.upstream_status)
            .text_or_null("upstreamCode", self.upstream_code.as_deref())
            .text_or_null("traceId", self.trace_id.as_deref())
            .text_or_null("cause", self.cause.as_deref())
            .integer("durationMs", self.duration_ms);
        members.end();
        escape_unprintable(&mut line);
        line
    }
}
