//! One record of the audit. Names are those of the log lines, so that both can be searched alike.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Who asked to disconnect whom, and what became of it. Every member is always there, `null` where it does not apply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Always `audit`: tells records from log lines where both go to stdout.
    pub event: String,
    /// When it was settled: RFC 3339, UTC, milliseconds.
    pub time: String,
    /// Name of the caller's key; `null` for a caller that nobody knows.
    pub caller: Option<String>,
    /// Where the caller called from, behind the proxies that are trusted.
    pub caller_addr: String,
    /// `mission`, `selector`, `teardown` or `drop-in`.
    pub door: String,
    /// The conversation, unless its id was unreadable.
    pub conversation_id: Option<String>,
    /// The participant; `null` for a teardown, and for a selector that reached nobody.
    pub participant_id: Option<String>,
    /// The caller's reason, or the default one.
    pub reason: Option<String>,
    /// An outcome of the contract, or `denied`, `failed`, `abandoned`, `unconfirmed`.
    pub outcome: String,
    /// The problem's code, for those that did not go well.
    pub code: Option<String>,
    /// `none`, or `unknown` when somebody may have been hung up although it failed.
    pub effect: Option<String>,
    /// Whether somebody has looked.
    pub verified: bool,
    /// Nothing was to be written upstream: a dry run, or observe mode.
    pub dry_run: bool,
    /// Disconnect requests sent upstream.
    pub attempts: Option<u32>,
    /// The last operation sent upstream.
    pub operation: Option<String>,
    /// Status of the upstream's last answer.
    pub upstream_status: Option<u16>,
    /// The upstream's error code.
    pub upstream_code: Option<String>,
    /// `ININ-Correlation-Id` of the upstream's last answer; quote it to Genesys' support.
    pub correlation_id: Option<String>,
    /// The request id that was answered.
    pub request_id: String,
    /// Trace id of the request, when it had one.
    pub trace_id: Option<String>,
    /// From acceptance to the end, in milliseconds.
    pub duration_ms: u64,
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
