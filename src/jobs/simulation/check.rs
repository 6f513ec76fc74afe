//! What must hold at the end: every item of an accepted job has a result, and the result is true.

use std::sync::Arc;
use std::time::Duration;

use super::world::{Meant, SimulatedConversation, SimulatedJob, SimulatedParticipant, World};
use crate::store::{JobState, SharedDatabase, Store, StoreFault, StoredItem, Weather};

/// Reads the database while the replicas stand still.
fn look<T>(database: &SharedDatabase, read: impl AsyncFnOnce(Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let weather: Weather = Arc::new(|| (Duration::ZERO, StoreFault::None));
    runtime.expect("a runtime").block_on(async { read(database.open(0, weather)).await })
}

/// Whether all accepted jobs have ended. An error if a result is not true.
pub(super) fn finished(
    database: &SharedDatabase,
    world: &World,
    asked: &[SimulatedJob],
    now: u64,
) -> Result<bool, String> {
    for job in asked {
        let Some(id) = &job.id else { continue };
        let (stored, items) = look(database, async |store| (store.job(id).await, store.items(id, None, 1_000).await));
        let stored =
            stored.map_err(|e| e.to_string())?.ok_or_else(|| format!("job {id} was promised and is not there"))?;
        let items = items.map_err(|e| e.to_string())?;
        if items.len() != job.items.len() {
            return Err(format!("job {id} has {} of {} items", items.len(), job.items.len()));
        }
        let ended = matches!(stored.state, JobState::Done | JobState::Cancelled);
        if !ended || items.iter().any(|item| item.state != "done") {
            return Ok(false);
        }
        for item in &items {
            let place = usize::try_from(item.number).unwrap_or(usize::MAX);
            let (conversation, meant) = &job.items[place];
            let conversation = &world.conversations[conversation];
            is_true(item, conversation, meant.as_ref(), job.cancelled, now)
                .map_err(|why| format!("job {id}, item {}: {why}; {item:?}; {conversation:?}", item.number))?;
        }
    }
    Ok(true)
}

/// What is still open, for the message.
pub(super) fn left(database: &SharedDatabase, asked: &[SimulatedJob]) -> String {
    let open = asked.iter().filter_map(|job| job.id.as_ref()).map(|id| {
        let (job, items) = look(database, async |store| (store.job(id).await, store.items(id, None, 1_000).await));
        let open: Vec<_> = items.unwrap_or_default().into_iter().filter(|item| item.state != "done").collect();
        format!("{:?}: {open:?}", job.ok().flatten().map(|job| job.state))
    });
    format!("items are lost: {}", open.collect::<Vec<_>>().join(", "))
}

fn is_true(
    item: &StoredItem,
    conversation: &SimulatedConversation,
    meant: Option<&Meant>,
    cancelled: bool,
    now: u64,
) -> Result<(), String> {
    let is_meant = |person: &&SimulatedParticipant| match meant {
        Some(Meant::Person(id)) => person.id == *id,
        Some(Meant::Agents) => person.purpose == "agent" && (person.joined == 0 || !person.disconnects.is_empty()),
        // A participant who joined after the targets were decided is not one of them, even if nothing had been sent yet.
        _ => person.joined == 0 || !person.disconnects.is_empty(),
    };
    let all_gone = conversation.people.iter().filter(is_meant).all(|person| !person.is_live(now));
    // The set of a selector is not known here, only which participants can be in it.
    let touched = conversation.first_touched.unwrap_or(now);
    let one_is_left = conversation.people.iter().any(|person| person.joined <= touched && person.is_live(now));
    let nobody_gone = conversation.people.iter().all(|person| person.gone.is_none());
    match (item.result.code.as_deref(), item.result.outcome.as_str()) {
        (None, "disconnected" | "already_disconnected" | "conversation_ended") if all_gone => Ok(()),
        (None, "unconfirmed") if conversation.stubborn || (cancelled && (one_is_left || nobody_gone)) => Ok(()),
        (None, "none_matched") if matches!(meant, Some(Meant::Agents)) => Ok(()),
        (None, "cancelled") if cancelled && conversation.first_touched.is_none() => Ok(()),
        (Some("conversation_not_found" | "participant_not_found"), _) if conversation.forgotten => Ok(()),
        (code, outcome) => Err(format!("{} is not true", code.unwrap_or(outcome))),
    }
}
