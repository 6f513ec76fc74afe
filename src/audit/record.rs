//! One record of the audit. Names are those of the log lines, so that both can be searched alike.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ids::{self, ConversationId, ParticipantId};
use crate::json::Object;

/// A word of ours: written from where it stands in the program, read into memory of its own.
pub(super) type Word = Cow<'static, str>;

/// Who asked to disconnect whom, and what became of it. Every member is always there, `null` where it does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Record {
    /// Always `audit`: tells records from log lines where both go to stdout.
    pub event: Word,
    /// When it was settled: RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Name of the caller's key; `null` for a caller that nobody knows.
    pub caller: Option<Arc<str>>,
    /// Where the caller called from, behind the proxies that are trusted.
    pub caller_addr: IpAddr,
    /// `mission`, `selector`, `teardown` or `drop-in`.
    pub door: Word,
    /// The conversation, unless its id was unreadable.
    pub conversation_id: Option<ConversationId>,
    /// The participant; `null` for a teardown, and for a selector that reached nobody.
    pub participant_id: Option<ParticipantId>,
    /// The caller's reason, or the default one.
    pub reason: Option<String>,
    /// An outcome of the contract, or `denied`, `failed`, `abandoned`, `unconfirmed`.
    pub outcome: Word,
    /// The problem's code, for those that did not go well.
    pub code: Option<Word>,
    /// `none`, or `unknown` when somebody may have been hung up although it failed.
    pub effect: Option<Word>,
    /// Whether somebody has looked.
    pub verified: bool,
    /// Nothing was to be written upstream: a dry run, or observe mode.
    pub dry_run: bool,
    /// Disconnect requests sent upstream.
    pub attempts: Option<u32>,
    /// The last operation sent upstream.
    pub operation: Option<Word>,
    /// Status of the upstream's last answer.
    pub upstream_status: Option<u16>,
    /// The upstream's error code.
    pub upstream_code: Option<String>,
    /// `ININ-Correlation-Id` of the upstream's last answer; quote it to Genesys' support.
    pub correlation_id: Option<Arc<str>>,
    /// The request id that was answered.
    pub request_id: Arc<str>,
    /// Trace id of the request, when it had one.
    pub trace_id: Option<String>,
    /// From acceptance to the end, in milliseconds.
    pub duration_ms: u64,
}

impl Record {
    /// With what is known from the start.
    pub(super) fn begin(door: Word, caller_addr: IpAddr, request_id: Arc<str>, trace_id: Option<String>) -> Self {
        Self {
            event: "audit".into(),
            time: String::new(),
            caller: None,
            caller_addr,
            door,
            conversation_id: None,
            participant_id: None,
            reason: None,
            outcome: Word::default(),
            code: None,
            effect: None,
            verified: false,
            dry_run: false,
            attempts: None,
            operation: None,
            upstream_status: None,
            upstream_code: None,
            correlation_id: None,
            request_id,
            trace_id,
            duration_ms: 0,
        }
    }

    /// Appends the record as a line of JSON.
    pub fn write(&self, lines: &mut String) {
        let (mut conversation, mut participant) = (ids::TEXT, ids::TEXT);
        let mut line = Object::begin(lines);
        line.text("event", &self.event)
            .text("time", &self.time)
            .text_or_null("caller", self.caller.as_deref())
            .address("caller_addr", self.caller_addr)
            .text("door", &self.door)
            .text_or_null("conversation_id", self.conversation_id.map(|id| id.text(&mut conversation)))
            .text_or_null("participant_id", self.participant_id.map(|id| id.text(&mut participant)))
            .text_or_null("reason", self.reason.as_deref())
            .text("outcome", &self.outcome)
            .text_or_null("code", self.code.as_deref())
            .text_or_null("effect", self.effect.as_deref())
            .truth("verified", self.verified)
            .truth("dry_run", self.dry_run)
            .integer_or_null("attempts", self.attempts)
            .text_or_null("operation", self.operation.as_deref())
            .integer_or_null("upstream_status", self.upstream_status)
            .text_or_null("upstream_code", self.upstream_code.as_deref())
            .text_or_null("correlation_id", self.correlation_id.as_deref())
            .text("request_id", &self.request_id)
            .text_or_null("trace_id", self.trace_id.as_deref())
            .integer("duration_ms", self.duration_ms);
        line.end_line();
    }
}

/// Now, as records write it.
#[must_use]
pub fn now() -> String {
    rfc3339(OffsetDateTime::now_utc())
}

fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.replace_nanosecond(at.nanosecond() / 1_000_000 * 1_000_000).unwrap_or(at);
    at.format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let id = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
        let nothing = Record::begin("mission".into(), [127, 0, 0, 1].into(), "r".into(), None);
        let all = Record {
            time: now(),
            caller: Some("ivr".into()),
            caller_addr: "2001:db8::1".parse().unwrap(),
            conversation_id: ConversationId::parse(id),
            participant_id: ParticipantId::parse(id),
            outcome: "failed".into(),
            reason: Some("because \"he\"\nsaid so".into()),
            code: Some("internal".into()),
            effect: Some("unknown".into()),
            verified: true,
            dry_run: true,
            attempts: Some(2),
            operation: Some("participant_state".into()),
            upstream_status: Some(202),
            upstream_code: Some("bad.request".into()),
            correlation_id: Some("c".into()),
            trace_id: Some("t".into()),
            duration_ms: 7,
            ..nothing.clone()
        };
        for record in [nothing, all] {
            let mut line = String::new();
            record.write(&mut line);
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
            // Every member is there, whatever it is.
            assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap().as_object().unwrap().len(), 21);
        }
    }
}
