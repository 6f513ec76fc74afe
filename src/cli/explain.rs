//! `hangup explain CONVERSATION [PARTICIPANT]`: what happened, what is there now, and what to quote to support.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use super::audit::served::{NOT_RECORDING, ServedRecords};
use super::audit::{Reasons, read as read_audit, shown, stored, word};
use super::live::{LiveRead, LiveUpstream, participants, verdict};
use super::service::{Service, Which};
use super::text::printable;
use super::words::meaning;
use super::{Failure, table};
use crate::audit::Record;
use crate::audit::query::AuditFilter;
use crate::config::{Config, StoreKind, UnknownConversation};
use crate::conversation::Conversation;
use crate::disconnect::judge::Observation;
use crate::disconnect::look::Read;
use crate::ids::{ConversationId, ParticipantId};

/// Longest conversation that is read, as from Genesys Cloud itself.
const LONGEST_CONVERSATION: usize = 32 * 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The conversation
    #[arg(value_name = "CONVERSATION")]
    conversation: ConversationId,
    /// One of its participants
    #[arg(value_name = "PARTICIPANT")]
    participant: Option<ParticipantId>,
    /// An audit file to read instead of the store or the configured file
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    audit: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// Prints the records, the live read, the judge's words, and the ids for a ticket.
pub(super) async fn run(
    arguments: ExplainArguments,
    config: impl FnOnce() -> Result<Config, Failure>,
) -> Result<(), Failure> {
    let ExplainArguments { conversation: cid, participant: pid, audit: file, which } = arguments;
    let filter = AuditFilter { conversation: Some(cid), participant: pid, ..AuditFilter::default() };
    let about = pid.map_or_else(String::new, |pid| format!(", participant {pid}"));
    println!("Conversation {cid}{about}\n");
    let (recorded, now, unknown) = if let Some(service) = which.named()? {
        (served_records(&service, &filter).await, served(&service, cid).await, UnknownConversation::Error)
    } else {
        let config = config()?;
        let recorded = recorded(&config, &filter, file).await?;
        (recorded, live(&config, cid).await, config.disconnect.unknown_conversation)
    };
    if let Some(recorded) = &recorded {
        println!("What the audit says:\n");
        print!("{}", timeline(recorded));
        for text in words(&recorded.records) {
            println!("  {}", printable(&text));
        }
        println!();
    }
    match &now {
        Ok(seen) => println!("What is there now:\n\n{}", show(unknown, seen, cid, pid)),
        Err(why) => println!("What is there now: could not be read: {}\n", printable(why)),
    }
    println!("For a support ticket with Genesys:\n");
    let records = recorded.as_ref().map(|recorded| recorded.records.as_slice()).unwrap_or_default();
    print!("{}", ticket(records, now.as_ref().ok()));
    match (recorded, now) {
        (None, Err(_)) => Err(Failure::failed("there is neither an audit file nor a live read to explain it with")),
        _ => Ok(()),
    }
}

/// What was found in an audit.
struct Recorded {
    /// Oldest first.
    records: Vec<Record>,
    /// Records are kept there now: what is not among them did not happen.
    recording: bool,
}

/// The records of the named file, of the store, or of the configured file.
async fn recorded(config: &Config, filter: &AuditFilter, file: Option<PathBuf>) -> Result<Option<Recorded>, Failure> {
    let in_store = config.audit.target.0.iter().any(|target| target == "store");
    if file.is_none() && in_store && config.store.kind() != StoreKind::Memory {
        return Ok(Some(Recorded { records: stored(config, filter).await?, recording: true }));
    }
    let configured = || config.audit.files().next().map(Path::to_owned);
    let Some(file) = file.or_else(configured) else {
        println!("Neither a store nor an audit file is configured, and none is named with --audit.\n");
        return Ok(None);
    };
    let mut records = read_audit(&file, filter)?.records;
    // Written when they ended; several callers can end out of order.
    records.sort_by(|a, b| a.time.cmp(&b.time));
    Ok(Some(Recorded { records, recording: true }))
}

async fn live(config: &Config, cid: ConversationId) -> Result<LiveRead, String> {
    config.check_serve().map_err(|e| e.to_string())?;
    let upstream = LiveUpstream::start(config)?;
    upstream.read(cid).await.map_err(|problem| problem.detail)
}

/// The records of a service that runs elsewhere. A key that may not have them may read the conversation all the same.
async fn served_records(service: &Service, filter: &AuditFilter) -> Option<Recorded> {
    let found = async {
        let (mut served, mut records) = (ServedRecords::ask(service, filter).await?, Vec::new());
        while let Some(record) = served.next().await? {
            records.push(record);
        }
        records.reverse();
        Ok::<_, Failure>(Recorded { records, recording: served.recording() })
    };
    match found.await {
        Ok(recorded) => Some(recorded),
        Err(failure) => {
            println!("What the audit says: could not be read: {}\n", printable(&failure.text));
            None
        }
    }
}

/// What such a service reads, in Genesys Cloud's own form.
async fn served(service: &Service, cid: ConversationId) -> Result<LiveRead, String> {
    let path = format!("/api/v2/conversations/{cid}");
    let answer = service.get(&path).await.map_err(|failure| failure.text)?;
    let (status, outcome) = (answer.status, answer.header("x-hangup-outcome").to_owned());
    let body = answer.bytes(LONGEST_CONVERSATION).await.map_err(|failure| failure.text)?;
    let read = match (status, outcome.as_str()) {
        (200, _) => Read::Found(Conversation::parse(&body, cid).map_err(|_| "it is not a conversation".to_owned())?),
        // Another 404, such as one of a proxy in between, says nothing about the conversation.
        (404, "conversation_not_found") => Read::NotFound,
        (_, "") => {
            let url = service.url(&path);
            return Err(format!("{url} answered {status}, which is not an answer of hangup; check --server"));
        }
        _ => {
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            return Err(format!("status {status}, {}: {}", word("code"), word("message")));
        }
    };
    Ok(LiveRead { read, correlation_id: None })
}

fn timeline(recorded: &Recorded) -> String {
    let Recorded { records, recording } = recorded;
    match (records.as_slice(), recording) {
        ([], true) => {
            "  nothing: no record that you may read says that this service was asked to disconnect it\n".to_owned()
        }
        ([], false) => format!("  nothing, and that does not say much: {NOT_RECORDING}\n"),
        (records, true) => shown(records, Reasons::Hidden),
        (records, false) => format!("{}  This may not be all: {NOT_RECORDING}\n", shown(records, Reasons::Hidden)),
    }
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

fn show(unknown: UnknownConversation, seen: &LiveRead, cid: ConversationId, pid: Option<ParticipantId>) -> String {
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
