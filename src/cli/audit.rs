//! `hangup audit [FILE]`: who disconnected whom.

pub(super) mod served;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use time::OffsetDateTime;

use super::Failure;
use super::service::{Service, Which};
use super::text::{COLUMNS, Tone, clipped, printable, toned};
use crate::audit::query::{self, AuditFilter, FoundRecords};
use crate::audit::{Record, recorded_as};
use crate::config::{Config, StoreKind};
use crate::ids::{ConversationId, ParticipantId};
use crate::store::{AuditQuery, Store};
use served::{NOT_RECORDING, ServedRecords};

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    /// An audit file, or "-" for stdin; if not given, the store
    #[arg(conflicts_with = "server")]
    file: Option<PathBuf>,
    /// Only records of this caller
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Only records of this conversation
    #[arg(long, value_name = "ID")]
    conversation: Option<ConversationId>,
    /// Only records of this participant, or of whole conversations
    #[arg(long, value_name = "ID")]
    participant: Option<ParticipantId>,
    /// Only records with this outcome or code
    #[arg(long, value_name = "NAME")]
    outcome: Option<String>,
    /// Only records since then: a time, a day, or an age such as 2h
    #[arg(long, value_name = "TIME", value_parser = query::moment)]
    since: Option<OffsetDateTime>,
    /// Only records until then, written in the same way
    #[arg(long, value_name = "TIME", value_parser = query::moment)]
    until: Option<OffsetDateTime>,
    /// Print one JSON record per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    which: Which,
}

/// Prints the records that fit, oldest first; those of a service elsewhere newest first, as they come.
pub(super) async fn run(
    arguments: AuditArguments,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let filter = AuditFilter {
        caller: arguments.caller.clone(),
        conversation: arguments.conversation,
        participant: arguments.participant,
        outcome: arguments.outcome.clone(),
        since: arguments.since,
        until: arguments.until,
    };
    let found = match (&arguments.file, arguments.which.named()?) {
        (Some(file), _) => read(file, &filter)?,
        (None, Some(service)) => return print_served(&service, &filter, arguments.json).await,
        (None, None) => {
            let config = config()?;
            if !config.audit.target.0.iter().any(|target| target == "store") {
                eprintln!(
                    "audit.target does not name the store, so records of now are not in it; name the file to read that"
                );
            }
            FoundRecords { records: stored(&config, &filter).await?, foreign: 0 }
        }
    };
    if arguments.json {
        for record in &found.records {
            println!("{}", record.to_json());
        }
    } else {
        print!("{}", shown(&found.records, Reasons::Shown));
        println!("{} records", found.records.len());
    }
    say_foreign(found.foreign);
    Ok(())
}

/// Reads a file with its rotated predecessors, or stdin.
pub(super) fn read(path: &Path, filter: &AuditFilter) -> Result<FoundRecords, Failure> {
    let mut found = FoundRecords::default();
    let unreadable = |path: &Path, e: &io::Error| {
        Failure::failed(format!("{}: cannot be read ({e}); name the file of audit.target", path.display()))
    };
    if path == Path::new("-") {
        query::read_lines(io::stdin().lock(), filter, &mut found).map_err(|e| unreadable(path, &e))?;
        return Ok(found);
    }
    for file in query::with_rotated(path) {
        match query::read(&file, filter, &mut found) {
            // Rotated away while we read.
            Err(e) if e.kind() == io::ErrorKind::NotFound && file != path => {}
            other => other.map_err(|e| unreadable(&file, &e))?,
        }
    }
    Ok(found)
}

/// Prints the records of a service as they come, newest first: there may be any number of them.
async fn print_served(service: &Service, filter: &AuditFilter, json: bool) -> Result<(), Failure> {
    let mut records = ServedRecords::ask(service, filter).await?;
    if !records.recording() {
        eprintln!("{NOT_RECORDING}");
    }
    let mut printed: u64 = 0;
    while let Some(record) = records.next().await? {
        match json {
            true => println!("{}", record.to_json()),
            false => print!("{}", shown(&[record], Reasons::Shown)),
        }
        printed += 1;
    }
    if !json {
        println!("{printed} records");
    }
    say_foreign(records.foreign);
    Ok(())
}

fn say_foreign(lines: usize) {
    if lines > 0 {
        eprintln!("{lines} lines are not audit records and were skipped");
    }
}

/// Records of one read of the store.
const PAGE: i64 = 1_000;
/// Records printed at most; older ones are found with --until.
const MOST: usize = 100_000;

/// Reads the store, oldest records first.
pub(super) async fn stored(config: &Config, filter: &AuditFilter) -> Result<Vec<Record>, Failure> {
    if config.store.kind() == StoreKind::Memory {
        return Err(Failure::failed(
            "store.url = \"memory\": the audit is in the memory of the service, which GET /audit reads; name a file to read that",
        ));
    }
    let ms =
        |at: Option<OffsetDateTime>| at.map(|at| i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(0));
    let mut query = AuditQuery {
        conversation: filter.conversation.map(|id| id.to_string()),
        participant: filter.participant.map(|id| id.to_string()),
        callers: filter.caller.as_deref().map(recorded_as).unwrap_or_default(),
        outcome: filter.outcome.clone(),
        since: ms(filter.since),
        until: ms(filter.until),
        limit: PAGE,
        ..AuditQuery::default()
    };
    let store = Store::open(&config.store).await.map_err(Failure::unusable)?;
    let mut records = Vec::new();
    loop {
        let page = store.read_audit(&query).await.map_err(|e| Failure::failed(e.to_string()))?;
        query.after = page.records.last().map(|entry| entry.place.clone());
        records.extend(page.records.iter().filter_map(|entry| serde_json::from_str::<Record>(&entry.record).ok()));
        if !page.more || records.len() >= MOST {
            break;
        }
    }
    records.reverse();
    Ok(records)
}

/// Whether records are shown with the callers' reasons, which may be personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reasons {
    Shown,
    Hidden,
}

/// Each record in a few lines of at most 100 columns, its outcome first and its ids whole.
pub(super) fn shown(records: &[Record], reasons: Reasons) -> String {
    let mut text = String::new();
    for record in records {
        let tone = match (record.verified, &record.code) {
            (_, Some(_)) => Tone::Bad,
            (true, None) => Tone::Good,
            (false, None) => Tone::Doubtful,
        };
        let seen = if record.verified { ", seen" } else { "" };
        let head = printable(&format!("{}{seen}", outcome(record))).into_owned();
        let who = record.caller.as_deref().unwrap_or("a stranger");
        let (entry, address) = (word(record.endpoint.as_ref()), word(record.caller_address));
        let from = format!("{} · {entry} · {who} from {address}", record.time);
        let from = clipped(&printable(&from), COLUMNS.saturating_sub(head.chars().count() + 2).max(30));
        text.push_str(&format!("{}  {from}\n", toned(tone, &clipped(&head, 66))));
        for part in details(record, reasons) {
            text.push_str(&format!("    {}\n", clipped(&printable(&part), COLUMNS - 4)));
        }
        text.push('\n');
    }
    text
}

/// The rest of a record, each line short enough for its ids.
fn details(record: &Record, reasons: Reasons) -> Vec<String> {
    let whom = match (record.participant_id, record.endpoint.as_deref().unwrap_or_default()) {
        (Some(id), _) => id.to_string(),
        (None, "teardown") => "everybody".to_owned(),
        (None, _) => "-".to_owned(),
    };
    let sent = match &record.operation {
        Some(operation) => format!("{operation}, {} attempts", word(record.attempts)),
        None => "nothing was sent".to_owned(),
    };
    let answer = match (record.upstream_status, &record.upstream_code) {
        (Some(status), Some(code)) => format!(" · answered {status} {code}"),
        (Some(status), None) => format!(" · answered {status}"),
        (None, _) => String::new(),
    };
    let mut lines = vec![
        format!("conversation {} · {sent}", word(record.conversation_id)),
        format!("participant  {whom}{answer} · {} ms", record.duration_ms),
        format!("request      {}", word(record.request_id.as_ref())),
    ];
    if let Some(id) = &record.correlation_id {
        lines.push(format!("correlation  {id}"));
    }
    if let (Some(reason), Reasons::Shown) = (&record.reason, reasons) {
        lines.push(format!("reason       {reason}"));
        lines.extend(record.cause.as_ref().map(|cause| format!("cause        {cause}")));
    }
    lines
}

/// What is there, or a dash.
pub(super) fn word(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The outcome with its code, and whether nothing was to be done.
pub(super) fn outcome(record: &Record) -> String {
    let mut text = record.outcome.to_string();
    if let Some(code) = &record.code {
        text = format!("{text}: {code}");
    }
    if record.effect.as_deref() == Some("unknown") {
        text.push_str(", effect unknown");
    }
    if record.dry_run {
        text.push_str(" (dry run)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_shown_in_100_columns_and_steers_no_terminal() {
        let id = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
        let long = "\u{1b}]0;owned\u{7}\n\u{202e}".repeat(40);
        let record = serde_json::json!({
            "event": "audit", "time": "2026-01-31T12:00:00.123Z", "caller": long, "caller_addr": "::1", "door": "mission",
            "conversation_id": id, "participant_id": id, "reason": long, "outcome": "failed", "code": "internal",
            "effect": "unknown", "verified": false, "dry_run": false, "attempts": 3, "operation": "participant_state",
            "upstream_status": 500, "upstream_code": long, "correlation_id": id, "request_id": id, "trace_id": null,
            "duration_ms": 7,
        });
        let shown = shown(&[serde_json::from_value(record).unwrap()], Reasons::Shown);
        assert!(shown.starts_with("failed: internal, effect unknown  2026-01-31T12:00:00.123Z"), "{shown}");
        assert_eq!(shown.matches(id).count(), 4, "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
    }
}
