//! What became of each row: the results of its job, and a live read where those leave open whether the conversation has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use http::Method;
use serde::Deserialize;

use super::batch::SweepBatch;
use super::row::{RowAction, SweepRow};
use crate::cli::Failure;
use crate::cli::service::Service;
use crate::ids::{ConversationId, ParticipantId};
use crate::jobs::ENDED;

/// Reads under way at once.
const AT_ONCE: usize = 4;
/// How long a conversation has to end by itself once its customer has left.
const SETTLES_IN: Duration = Duration::from_secs(2);

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// The participant was read as gone, or the conversation as ended.
    Gone,
    /// There was a reason to leave it alone.
    LeftAlone,
    /// It goes on, or may.
    Stays,
    /// Genesys Cloud does not know it.
    NotFound,
    /// A dry run: it was there.
    WouldGo,
    /// It has no result yet.
    Pending,
}

/// An item of a job.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SweptItem {
    index: i64,
    conversation_id: String,
    participant_id: Option<String>,
    state: String,
    outcome: Option<String>,
    code: Option<String>,
    detail: Option<String>,
    correlation_id: Option<String>,
    time: Option<String>,
}

/// Writes the results of the jobs into their rows; rows that are missing are made.
///
/// # Errors
/// The service does not answer, or not with the results.
pub(super) async fn collect(service: &Service, batch: &SweepBatch, rows: &mut Vec<SweepRow>) -> Result<(), Failure> {
    for (id, places) in &batch.jobs {
        let job = service.ask(Method::GET, &format!("/jobs/{id}"), None, None).await?;
        let (status, lines) = service.lines(&format!("/jobs/{id}/items")).await?;
        let unreadable =
            || Failure::failed(format!("the results of job {id} cannot be read (status {status}); try --resume {id}"));
        if status != 200 || !job.is_good() {
            return Err(unreadable());
        }
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let item: SweptItem = serde_json::from_slice(line).map_err(|_| unreadable())?;
            let place = usize::try_from(item.index - 1).ok().and_then(|n| places.get(n).copied());
            let conversation = ConversationId::parse(&item.conversation_id).ok_or_else(unreadable)?;
            let known = place.and_then(|n| rows.get_mut(n)).filter(|row| row.conversation == conversation);
            let row = match known {
                Some(row) => row,
                None => {
                    let participant = item.participant_id.as_deref().and_then(ParticipantId::parse);
                    rows.push(SweepRow::new(conversation, participant));
                    let Some(row) = rows.last_mut() else { continue };
                    row.set("job", id.as_str());
                    row
                }
            };
            let done = item.state == "done";
            let result = [
                ("outcome", item.outcome.filter(|_| done)),
                ("code", item.code.filter(|_| done)),
                ("detail", item.detail.filter(|_| done)),
                ("correlationId", item.correlation_id),
                ("time", item.time.filter(|_| done)),
                ("actor", Some(job.text("createdBy").to_owned())),
            ];
            result.into_iter().for_each(|(column, text)| row.set(column, text.unwrap_or_default()));
        }
    }
    Ok(())
}

/// What became of each row, in order. Reads conversations of which the job did not see the end.
pub(super) async fn settle(service: &Service, rows: &mut [SweepRow]) -> Vec<Fate> {
    let mut fates: Vec<Fate> = rows.iter().map(judged).collect();
    let open = |rows: &[SweepRow], fates: &[Fate]| -> Vec<usize> {
        (0..rows.len())
            .filter(|n| fates.get(*n) == Some(&Fate::Stays) && rows.get(*n).is_some_and(may_have_ended))
            .collect()
    };
    for round in 0..2 {
        let left = open(rows, &fates);
        if left.is_empty() {
            break;
        }
        if round > 0 {
            tokio::time::sleep(SETTLES_IN).await;
        }
        let reads = left.iter().filter_map(|n| Some((*n, rows.get(*n)?.conversation)));
        let reads = reads.map(|(n, id)| async move { (n, has_ended(service, id).await) }).collect::<Vec<_>>();
        let seen: BTreeMap<usize, Result<bool, String>> = stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
        for (n, ended) in seen {
            let (Some(row), Some(fate)) = (rows.get_mut(n), fates.get_mut(n)) else { continue };
            match ended {
                Ok(true) => {
                    *fate = Fate::Gone;
                    row.set("detail", ENDED);
                }
                Ok(false) if row.get("detail").is_empty() => row.set("detail", "the conversation goes on"),
                Ok(false) => {}
                Err(why) => row.set("detail", format!("not known whether the conversation has ended: {why}")),
            }
        }
    }
    fates
}

/// The same without any read, where the jobs have not ended.
pub(super) fn judged_all(rows: &[SweepRow]) -> Vec<Fate> {
    rows.iter().map(judged).collect()
}

/// By the job's result alone.
fn judged(row: &SweepRow) -> Fate {
    match row.get("outcome") {
        "conversation_ended" => Fate::Gone,
        // What was asked for is done.
        "disconnected" | "already_disconnected" if row.action != RowAction::Customers || row.get("detail") == ENDED => {
            Fate::Gone
        }
        "skipped" => Fate::LeftAlone,
        "would_disconnect" => Fate::WouldGo,
        "" => Fate::Pending,
        "failed" if matches!(row.get("code"), "conversation_not_found" | "participant_not_found") => Fate::NotFound,
        _ => Fate::Stays,
    }
}

/// Whether a read can tell more than the job did.
fn may_have_ended(row: &SweepRow) -> bool {
    matches!(row.get("outcome"), "disconnected" | "already_disconnected" | "none_matched" | "unconfirmed")
        && row.participant.is_none()
}

async fn has_ended(service: &Service, id: ConversationId) -> Result<bool, String> {
    let reply =
        service.ask(Method::GET, &format!("/conversations/{id}"), None, None).await.map_err(|failure| failure.text)?;
    match (reply.status, reply.text("code")) {
        // It was seen alive by this sweep.
        (404, "conversation_not_found") => Ok(true),
        _ if reply.is_good() => Ok(reply.text("state") == "ended"),
        _ => Err(reply.problem()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_seen_gone_counts_as_gone() {
        let row = |outcome: &str, detail: &str, action| {
            let mut row = SweepRow::new(ConversationId::parse("0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d").unwrap(), None);
            (row.action, ..) = (action,);
            row.set("outcome", outcome);
            row.set("detail", detail);
            judged(&row)
        };
        assert_eq!(row("disconnected", ENDED, RowAction::Customers), Fate::Gone);
        assert_eq!(row("disconnected", "still in the conversation: acd", RowAction::Customers), Fate::Stays);
        assert_eq!(row("disconnected", "", RowAction::Customers), Fate::Stays);
        assert_eq!(row("disconnected", "", RowAction::Participant), Fate::Gone);
        assert_eq!(row("unconfirmed", "", RowAction::Participant), Fate::Stays);
        assert_eq!(row("skipped", "a live agent is in the conversation", RowAction::Customers), Fate::LeftAlone);
        assert_eq!(row("", "", RowAction::Teardown), Fate::Pending);
    }
}
