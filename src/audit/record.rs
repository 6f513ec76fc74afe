//! One record of the audit.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::source::Source;
use crate::ids::{ConversationId, ParticipantId};
use crate::outcome::Settled;
use crate::problem::{Code, Effect, Problem};

/// A word of ours, such as an outcome: static in a record that we write, owned in one that was read.
pub(super) type Word = Cow<'static, str>;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A disconnect was asked for. Records of the first version call it `audit`.
    #[serde(alias = "audit")]
    Disconnect,
    /// The mode was set to enforce or observe.
    ModeChanged,
    /// The configuration was read again.
    Reloaded,
    /// Caller keys were added, removed or changed.
    KeysChanged,
    /// A job was created, started, paused, resumed or cancelled.
    JobChanged,
    /// A caller exported records of the audit.
    Exported,
}

impl Event {
    /// The word in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::ModeChanged => "mode_changed",
            Self::Reloaded => "reloaded",
            Self::KeysChanged => "keys_changed",
            Self::JobChanged => "job_changed",
            Self::Exported => "exported",
        }
    }
}

/// Who asked to disconnect whom, and what became of it. Every member is always written, `null` where it does not apply. The
/// aliases and defaults are for records of the first version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Id of the record's row in the store; lines do not have it.
    #[serde(skip)]
    pub(super) id: Uuid,
    /// When it was settled: RFC 3339, UTC, milliseconds.
    pub time: String,
    /// What the record is about.
    pub event: Event,
    /// The process that wrote it.
    #[serde(default)]
    pub instance: Arc<str>,
    /// `key:ivr`, `jwt:alice` or `anonymous`; `null` for an unknown caller and for what the service did by itself.
    pub caller: Option<Arc<str>>,
    /// On whose behalf: the caller, or `unverified:NAME` where the caller asserted one by `X-Actor`.
    #[serde(default)]
    pub actor: Option<Arc<str>>,
    /// The job that the disconnect belongs to.
    #[serde(default)]
    pub job: Option<Arc<str>>,
    /// The conversation, unless its id was unreadable.
    #[serde(alias = "conversation_id")]
    pub conversation_id: Option<ConversationId>,
    /// The participant; `null` for a teardown, and for a selector that reached no participant.
    #[serde(alias = "participant_id")]
    pub participant_id: Option<ParticipantId>,
    /// The caller's reason or the default one; for other events, what was changed.
    pub reason: Option<String>,
    /// What led to it, where the caller said so.
    #[serde(default)]
    pub cause: Option<String>,
    /// The last operation sent upstream.
    pub operation: Option<Word>,
    /// An outcome of the contract, or `denied`, `failed`, `abandoned`, `unconfirmed`; for a mode, the new one.
    pub outcome: Word,
    /// The problem's code, if there was one.
    pub code: Option<Word>,
    /// Whether a read confirmed the outcome.
    pub verified: bool,
    /// `none`, or `unknown` when a participant may have been disconnected although it failed.
    pub effect: Option<Word>,
    /// The request id in the answer.
    #[serde(alias = "request_id")]
    pub request_id: Option<Arc<str>>,
    /// `ININ-Correlation-Id` of the upstream's last answer; quote it to Genesys' support.
    #[serde(alias = "correlation_id")]
    pub correlation_id: Option<Arc<str>>,
    /// Denials of the same caller without a record of their own, counted here.
    #[serde(default)]
    pub suppressed: u64,
    /// The caller's address, behind the trusted proxies.
    #[serde(alias = "caller_addr")]
    pub caller_address: Option<IpAddr>,
    /// `disconnect`, `selector`, `teardown`, `drop-in`, `job`, `jobs` or `mode`.
    #[serde(alias = "door")]
    pub endpoint: Option<Word>,
    /// Nothing was to be changed upstream: a dry run, or observe mode.
    #[serde(alias = "dry_run")]
    pub dry_run: bool,
    /// Disconnect requests sent upstream.
    pub attempts: Option<u32>,
    /// Status of the upstream's last answer.
    #[serde(alias = "upstream_status")]
    pub upstream_status: Option<u16>,
    /// The upstream's error code.
    #[serde(alias = "upstream_code")]
    pub upstream_code: Option<String>,
    /// Trace id of the request, when it had one.
    #[serde(alias = "trace_id")]
    pub trace_id: Option<Arc<str>>,
    /// From acceptance to the end, in milliseconds.
    #[serde(alias = "duration_ms")]
    pub duration_ms: u64,
}

impl Record {
    /// A record with what is known from the start.
    pub(super) fn begin(event: Event, source: &Source) -> Self {
        Self {
            id: Uuid::nil(),
            time: String::new(),
            event,
            instance: Arc::default(),
            caller: None,
            actor: source.actor.clone(),
            job: source.job.clone(),
            conversation_id: None,
            participant_id: None,
            reason: None,
            cause: None,
            operation: None,
            outcome: Word::default(),
            code: None,
            verified: false,
            effect: None,
            request_id: source.request_id.clone(),
            correlation_id: None,
            suppressed: 0,
            caller_address: source.addr,
            endpoint: None,
            dry_run: false,
            attempts: None,
            upstream_status: None,
            upstream_code: None,
            trace_id: source.trace_id.clone(),
            duration_ms: 0,
        }
    }

    /// Names the caller, who acts for itself unless it asserted another actor.
    pub fn set_caller(&mut self, caller: Option<Arc<str>>) {
        self.actor = self.actor.take().or_else(|| caller.clone());
        self.caller = caller;
    }

    /// Adds a problem: `denied` if we refused the request ourselves, else `failed`.
    pub fn problem(&mut self, problem: &Problem) {
        self.outcome = if is_our_refusal(problem.code) { "denied" } else { "failed" }.into();
        self.code = Some(problem.code.name().into());
        self.effect = Some(if problem.effect == Effect::Unknown { "unknown" } else { "none" }.into());
        if let Some(upstream) = &problem.upstream {
            self.upstream_status = Some(upstream.status);
            self.upstream_code.clone_from(&upstream.code);
            self.correlation_id.clone_from(&upstream.correlation_id);
        }
    }

    pub(super) fn settled(&mut self, settled: &Settled) {
        self.outcome = settled.outcome.name().into();
        self.verified = settled.verified;
        self.attempts = Some(settled.attempts);
        self.operation = settled.operation.map(|operation| operation.name().into());
        self.upstream_status = settled.upstream_status;
        self.correlation_id.clone_from(&settled.correlation_id);
    }

    /// Whether its records are limited as denials are. Refusals of observe mode are not: while trying it, one wants every record.
    pub(super) fn is_denial(&self) -> bool {
        self.outcome == "denied" && self.code.as_deref() != Some(Code::ObserveMode.name())
    }
}

fn is_our_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidConversationId
            | Code::InvalidParticipantId
            | Code::InvalidBody
            | Code::InvalidQuery
            | Code::InvalidSelector
            | Code::Unauthenticated
            | Code::ForbiddenCaller
            | Code::ForbiddenOrigin
            | Code::ForbiddenParticipant
            | Code::ObserveMode
            | Code::Changed
            | Code::IdempotencyKeyReused
            | Code::JobsNeedStore
            | Code::BodyTooLarge
            | Code::SelectorAmbiguous
            | Code::CallerRateLimited
    )
}

/// The current time in the format of records.
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

    const ID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";

    fn full() -> Record {
        Record {
            time: now(),
            instance: "host-1".into(),
            caller: Some("key:ivr".into()),
            actor: Some("unverified:alice".into()),
            job: Some(ID.into()),
            conversation_id: ConversationId::parse(ID),
            participant_id: ParticipantId::parse(ID),
            reason: Some("because \"he\"\nsaid so".into()),
            cause: Some("he left".into()),
            operation: Some("participant_state".into()),
            outcome: "failed".into(),
            code: Some("internal".into()),
            verified: true,
            effect: Some("unknown".into()),
            request_id: Some("r".into()),
            correlation_id: Some("c".into()),
            suppressed: 3,
            caller_address: "2001:db8::1".parse().ok(),
            endpoint: Some("disconnect".into()),
            dry_run: true,
            attempts: Some(2),
            upstream_status: Some(202),
            upstream_code: Some("bad.request".into()),
            trace_id: Some("t".into()),
            duration_ms: 7,
            ..Record::begin(Event::Disconnect, &Source::default())
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_has_every_member_of_the_contract() {
        let nothing = Record { time: now(), ..Record::begin(Event::ModeChanged, &Source::default()) };
        for record in [nothing, full()] {
            let line = record.to_json();
            assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
            let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            assert_eq!(members.len(), 26);
            for name in
                "time event instance caller actor job conversationId participantId reason operation outcome code \
                         verified effect requestId correlationId suppressed"
                    .split_whitespace()
            {
                assert!(members.contains_key(name), "{name}");
            }
        }
    }

    #[test]
    fn nothing_in_a_record_controls_a_terminal_or_reorders_text() {
        let odd = "a\u{202e}b\u{9b}31mc\nd\u{2028}e\u{7f}";
        let record = Record { reason: Some(odd.to_owned()), caller: Some(odd.into()), ..full() };
        let line = record.to_json();
        assert!(!line.chars().any(crate::text::is_unprintable), "{line}");
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
    }

    #[test]
    fn records_of_the_first_version_are_still_read() {
        let line = format!(
            r#"{{"event":"audit","time":"2026-01-01T00:00:00Z","caller":"ivr","caller_addr":"::1","door":"mission","conversation_id":"{ID}","participant_id":null,"reason":null,"outcome":"accepted","code":null,"effect":null,"verified":false,"dry_run":false,"attempts":1,"operation":null,"upstream_status":202,"upstream_code":null,"correlation_id":null,"request_id":"r","trace_id":null,"duration_ms":1}}"#
        );
        let record: Record = serde_json::from_str(&line).unwrap();
        assert_eq!((record.event, record.upstream_status), (Event::Disconnect, Some(202)));
        assert_eq!(record.conversation_id, ConversationId::parse(ID));
        let log_line = r#"{"event":"mode_changed","time":"2026-01-01T00:00:00Z","observing":true}"#;
        assert!(serde_json::from_str::<Record>(log_line).is_err(), "a log line is not a record");
    }
}
