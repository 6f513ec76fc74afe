//! `hangup explain CONVERSATION [PARTICIPANT]`: what happened, what is there now, and what to quote to support.

use std::path::{Path, PathBuf};

use super::audit::{Reasons, read as read_audit, shown, stored, word};
use super::live::{LiveRead, LiveUpstream, participants, verdict};
use super::text::printable;
use super::words::meaning;
use super::{Failure, table};
use crate::audit::Record;
use crate::audit::query::AuditFilter;
use crate::config::{Config, StoreKind};
use crate::disconnect::judge::Observation;
use crate::disconnect::look::Read;
use crate::ids::{ConversationId, ParticipantId};

/// Prints the records, the live read, the judge's words, and the ids for a ticket.
pub(super) async fn run(
    config: Config,
    cid: ConversationId,
    pid: Option<ParticipantId>,
    file: Option<PathBuf>,
) -> Result<(), Failure> {
    let about = pid.map_or_else(String::new, |pid| format!(", participant {pid}"));
    println!("Conversation {cid}{about}\n");
    let records = recorded(&config, cid, pid, file).await?;
    let now = live(&config, cid).await;
    if let Some(records) = &records {
        println!("What the audit says:\n");
        print!("{}", timeline(records));
        for text in words(records) {
            println!("  {}", printable(&text));
        }
        println!();
    }
    match &now {
        Ok(seen) => println!("What is there now:\n\n{}", show(&config, seen, cid, pid)),
        Err(why) => println!("What is there now: could not be read: {}\n", printable(why)),
    }
    println!("For a support ticket with Genesys:\n");
    print!("{}", ticket(records.as_deref().unwrap_or_default(), now.as_ref().ok()));
    match (records, now) {
        (None, Err(_)) => Err(Failure::failed("there is neither an audit file nor a live read to explain it with")),
        _ => Ok(()),
    }
}

/// The records of the named file, of the store, or of the configured file.
async fn recorded(
    config: &Config,
    cid: ConversationId,
    pid: Option<ParticipantId>,
    file: Option<PathBuf>,
) -> Result<Option<Vec<Record>>, Failure> {
    let filter = AuditFilter { conversation: Some(cid), participant: pid, ..AuditFilter::default() };
    let in_store = config.audit.target.0.iter().any(|target| target == "store");
    if file.is_none() && in_store && config.store.kind() != StoreKind::Memory {
        return stored(config, &filter).await.map(Some);
    }
    let configured = || config.audit.files().next().map(Path::to_owned);
    let Some(file) = file.or_else(configured) else {
        println!("Neither a store nor an audit file is configured, and none is named with --audit.\n");
        return Ok(None);
    };
    let mut records = read_audit(&file, &filter)?.records;
    // Written when they ended; several callers can end out of order.
    records.sort_by(|a, b| a.time.cmp(&b.time));
    Ok(Some(records))
}

async fn live(config: &Config, cid: ConversationId) -> Result<LiveRead, String> {
    config.check_serve().map_err(|e| e.to_string())?;
    let upstream = LiveUpstream::start(config)?;
    upstream.read(cid).await.map_err(|problem| problem.detail)
}

fn timeline(records: &[Record]) -> String {
    if records.is_empty() {
        return "  nothing: this service was never asked to disconnect it\n".to_owned();
    }
    shown(records, Reasons::Hidden)
}

/// What each outcome and code in the records means, once.
fn words(records: &[Record]) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for record in records {
        let name = record.code.as_deref().unwrap_or(&record.outcome);
        let text = format!("{name}: {}", meaning(name, record.verified));
        if !said.contains(&text) {
            said.push(text);
        }
    }
    said
}

fn show(config: &Config, seen: &LiveRead, cid: ConversationId, pid: Option<ParticipantId>) -> String {
    let unknown = config.disconnect.unknown_conversation;
    match &seen.read {
        Read::Found(conversation) => {
            let state = if conversation.ended() { "ended" } else { "active" };
            let absent = match pid {
                Some(pid) if conversation.participant(pid).is_none() => {
                    let observation = Observation::of(conversation, pid, None);
                    format!("  {pid} is not in it; a disconnect would {}\n", verdict(observation, unknown))
                }
                _ => String::new(),
            };
            format!("  conversation {cid}: {state}\n\n{}{absent}", participants(conversation, pid))
        }
        Read::NotFound => {
            format!(
                "  the upstream does not know it; a disconnect would {}\n",
                verdict(Observation::UnknownConversation, unknown)
            )
        }
        Read::Hidden(problem) | Read::Foreign(problem) => {
            format!("  it cannot be read: {}\n", printable(&problem.detail))
        }
    }
}

fn ticket(records: &[Record], seen: Option<&LiveRead>) -> String {
    let mut rows: Vec<Vec<String>> = records
        .iter()
        .filter_map(|record| {
            let id = record.correlation_id.as_ref()?.to_string();
            let what = record.operation.as_ref().unwrap_or(&record.outcome).to_string();
            let (status, code) = (word(record.upstream_status), word(record.upstream_code.as_ref()));
            Some(vec![id, record.time.clone(), what, status, code])
        })
        .collect();
    if let Some(id) = seen.and_then(|seen| seen.correlation_id.as_deref()) {
        rows.push(vec![
            id.to_owned(),
            crate::audit::now(),
            "conversation_read".to_owned(),
            "-".to_owned(),
            "-".to_owned(),
        ]);
    }
    if rows.is_empty() {
        return "  no correlation ids: the upstream has not answered anything about it\n".to_owned();
    }
    table::render(&["ININ-CORRELATION-ID", "TIME (UTC)", "WHAT", "STATUS", "CODE"], &rows)
}
