//! Reads audit files and picks records, for `hangup audit` and `hangup explain`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Record;
use super::file::aged;
use super::redact::recorded_as;
use crate::ids::{ConversationId, ParticipantId};

/// Longer lines are not parsed: our records are far shorter.
const LONGEST_LINE: usize = 64 * 1024;

/// Which records to pick. A member that is `None` picks all.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Name of the caller's key.
    pub caller: Option<String>,
    /// The conversation.
    pub conversation: Option<ConversationId>,
    /// The participant. Records of whole conversations are picked as well.
    pub participant: Option<ParticipantId>,
    /// The outcome, or the code.
    pub outcome: Option<String>,
    /// The earliest time.
    pub since: Option<OffsetDateTime>,
    /// The latest time.
    pub until: Option<OffsetDateTime>,
}

impl AuditFilter {
    /// `recorded` is the names under which records can have the caller.
    fn picks(&self, record: &Record, recorded: &[String]) -> bool {
        // `key:ivr` by its whole name, or as `ivr`.
        let caller = |wanted: &String| {
            let found = record.caller.as_deref().unwrap_or_default();
            let bare = found.split_once(':').map_or(found, |(_, name)| name);
            found.eq_ignore_ascii_case(wanted)
                || bare.eq_ignore_ascii_case(wanted)
                || recorded.iter().any(|name| name == found)
        };
        let outcome = |wanted: &String| record.outcome == *wanted || record.code.as_deref() == Some(wanted);
        self.caller.as_ref().is_none_or(caller)
            && (self.conversation.is_none() || self.conversation == record.conversation_id)
            && (self.participant.is_none()
                || record.participant_id.is_none()
                || self.participant == record.participant_id)
            && self.outcome.as_ref().is_none_or(outcome)
            && self.in_time(record)
    }

    fn in_time(&self, record: &Record) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Ok(at) = OffsetDateTime::parse(&record.time, &Rfc3339) else { return false };
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }
}

/// What was read from the files.
#[derive(Debug, Clone, Default)]
pub struct FoundRecords {
    /// The records picked, in the order of the files.
    pub records: Vec<Record>,
    /// Lines that are not records: written by other programs, or cut off.
    pub foreign: usize,
}

/// The file and its rotated predecessors, oldest first.
#[must_use]
pub fn with_rotated(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = (1..).map(|age| aged(path, age)).take_while(|file| file.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    files
}

/// Reads one file.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path, filter: &AuditFilter, found: &mut FoundRecords) -> io::Result<()> {
    read_lines(BufReader::new(File::open(path)?), filter, found)
}

/// Reads lines. Others among the records are only counted: where both go to stdout, log lines are.
///
/// # Errors
/// The lines cannot be read.
pub fn read_lines(mut lines: impl BufRead, filter: &AuditFilter, found: &mut FoundRecords) -> io::Result<()> {
    let recorded = filter.caller.as_deref().map(recorded_as).unwrap_or_default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let record = (line.len() <= LONGEST_LINE).then(|| serde_json::from_slice::<Record>(&line).ok()).flatten();
        match record {
            Some(record) if filter.picks(&record, &recorded) => found.records.push(record),
            Some(_) => {}
            None if line.trim_ascii().is_empty() => {}
            None => found.foreign += 1,
        }
    }
}

/// Parses a moment: RFC 3339, a date, or an age such as `2h` or `30m`.
///
/// # Errors
/// It is none of these; the error says what to write.
pub fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let rfc3339 = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    rfc3339(text)
        .or_else(|| rfc3339(&format!("{text}T00:00:00Z")))
        .or_else(|| {
            let age = humantime::parse_duration(text).ok()?;
            OffsetDateTime::now_utc().checked_sub(time::Duration::try_from(age).ok()?)
        })
        .ok_or_else(|| {
            "write a time such as 2026-01-31T12:00:00Z, a day such as 2026-01-31, or an age such as 2h".to_owned()
        })
}
