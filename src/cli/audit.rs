//! `hangup audit FILE`: who disconnected whom.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use time::OffsetDateTime;

use super::{Failure, table};
use crate::audit::Record;
use crate::audit::query::{self, Filter, Found};
use crate::ids::{ConversationId, ParticipantId};

/// The columns of the table.
const COLUMNS: [&str; 11] = [
    "TIME",
    "CALLER",
    "ADDRESS",
    "DOOR",
    "CONVERSATION",
    "PARTICIPANT",
    "OUTCOME",
    "VERIFIED",
    "ATTEMPTS",
    "REASON",
    "CORRELATION ID",
];

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file that audit.target names, or "-" for stdin
    file: PathBuf,
    /// Records of this caller's key
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// Records of this conversation
    #[arg(long, value_name = "ID")]
    conversation: Option<ConversationId>,
    /// Records of this participant, and of whole conversations
    #[arg(long, value_name = "ID")]
    participant: Option<ParticipantId>,
    /// Records with this outcome or this code
    #[arg(long, value_name = "NAME")]
    outcome: Option<String>,
    /// No older records: a time, a day, or an age such as 2h
    #[arg(long, value_name = "TIME", value_parser = query::moment)]
    since: Option<OffsetDateTime>,
    /// No newer records
    #[arg(long, value_name = "TIME", value_parser = query::moment)]
    until: Option<OffsetDateTime>,
    /// One JSON record a line, as they were written
    #[arg(long)]
    json: bool,
}

/// Prints the records that fit.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let filter = Filter {
        caller: arguments.caller.clone(),
        conversation: arguments.conversation,
        participant: arguments.participant,
        outcome: arguments.outcome.clone(),
        since: arguments.since,
        until: arguments.until,
    };
    let found = read(&arguments.file, &filter)?;
    if arguments.json {
        for record in &found.records {
            let mut line = String::new();
            record.write(&mut line);
            print!("{line}");
        }
    } else {
        print!("{}", table::render(&COLUMNS, &found.records.iter().map(row).collect::<Vec<_>>()));
        println!("\n{} records", found.records.len());
    }
    if found.foreign > 0 {
        eprintln!("{} lines are no audit records and were passed over", found.foreign);
    }
    Ok(())
}

/// Reads a file with its rotated predecessors, or stdin.
pub(super) fn read(path: &Path, filter: &Filter) -> Result<Found, Failure> {
    let mut found = Found::default();
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

fn row(record: &Record) -> Vec<String> {
    vec![
        record.time.clone(),
        word(record.caller.as_ref()),
        record.caller_addr.to_string(),
        record.door.to_string(),
        word(record.conversation_id),
        word(record.participant_id),
        outcome(record),
        if record.verified { "yes" } else { "no" }.to_owned(),
        word(record.attempts),
        word(record.reason.as_ref()),
        word(record.correlation_id.as_ref()),
    ]
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
