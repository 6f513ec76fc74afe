//! All conversations, each behind a short lock of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;
use super::conversation::{Conversation, Gone, Medium};
use super::{lock, read, write};

/// How often, at most, forgotten conversations are swept out.
const SWEEP: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Conversations {
    pub(crate) clock: Clock,
    by_id: RwLock<HashMap<Uuid, Arc<Mutex<Conversation>>>>,
    swept: Mutex<Instant>,
}

/// What became of a request to disconnect a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnected {
    /// Noted, or already under way.
    Taken,
    /// It has left before.
    Gone,
    /// It has left, and owes a wrap-up code.
    WrapupOwed,
    /// Nobody of that id is or was in it.
    Stranger,
    /// It is not on that medium.
    OtherMedium,
    /// The conversation has ended.
    Ended,
    /// There is no such conversation.
    Unknown,
}

impl Conversations {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, by_id: RwLock::default(), swept: Mutex::new(Instant::now()) }
    }

    /// Adds it; `false` when its id is taken.
    pub(crate) fn add(&self, conversation: Conversation, readable_for: Duration) -> bool {
        self.sweep(readable_for);
        let mut map = write(&self.by_id);
        if map.contains_key(&conversation.id) {
            return false;
        }
        map.insert(conversation.id, Arc::new(Mutex::new(conversation)));
        true
    }

    /// Looks at, or changes, a conversation that has not been forgotten, brought up to now.
    pub(crate) fn with<R>(
        &self,
        id: Uuid,
        readable_for: Duration,
        look: impl FnOnce(&mut Conversation, Instant) -> R,
    ) -> Option<R> {
        let found = read(&self.by_id).get(&id).cloned()?;
        let now = Instant::now();
        let mut conversation = lock(&found);
        conversation.settle(now, &self.clock);
        (!forgotten(&conversation, now, readable_for)).then(|| look(&mut conversation, now))
    }

    pub(crate) fn forget(&self, id: Uuid) -> bool {
        write(&self.by_id).remove(&id).is_some()
    }

    pub(crate) fn forget_all(&self) {
        write(&self.by_id).clear();
    }

    /// What `look` makes of each that is not forgotten, in the order of their start.
    pub(crate) fn map<R>(
        &self,
        readable_for: Duration,
        mut look: impl FnMut(&Conversation, Instant) -> Option<R>,
    ) -> Vec<R> {
        let all: Vec<_> = read(&self.by_id).values().cloned().collect();
        let now = Instant::now();
        let mut seen = Vec::with_capacity(all.len());
        for conversation in &all {
            let mut conversation = lock(conversation);
            conversation.settle(now, &self.clock);
            if !forgotten(&conversation, now, readable_for)
                && let Some(result) = look(&conversation, now)
            {
                seen.push((conversation.started, conversation.id, result));
            }
        }
        seen.sort_by_key(|(started, id, _)| (*started, *id));
        seen.into_iter().map(|(_, _, result)| result).collect()
    }

    /// Disconnects a participant after `delay`, on one medium or on all; `None` for the delay only checks.
    pub(crate) fn disconnect(
        &self,
        id: Uuid,
        participant: Uuid,
        medium: Option<Medium>,
        delay: Option<Duration>,
        readable_for: Duration,
    ) -> Disconnected {
        let clock = self.clock;
        let outcome = self.with(id, readable_for, |conversation, now| {
            let Some(position) = conversation.position(participant, now) else {
                return if conversation.ended.is_some() { Disconnected::Ended } else { Disconnected::Stranger };
            };
            if conversation.ended.is_some() {
                return Disconnected::Ended;
            }
            let Some(found) = conversation.participants.get_mut(position) else { return Disconnected::Stranger };
            if !found.is_live(now) {
                return if found.wrapup_pending { Disconnected::WrapupOwed } else { Disconnected::Gone };
            }
            if medium.is_some_and(|m| !found.communications.iter().any(|c| c.medium == m)) {
                return Disconnected::OtherMedium;
            }
            if medium.is_some_and(|m| found.communications.iter().all(|c| c.medium != m || c.gone(now).is_some())) {
                return Disconnected::Gone;
            }
            found.disconnects += 1;
            if let Some(at) = delay.and_then(|delay| now.checked_add(delay)) {
                let gone = Gone { at, wall: clock.wall(at), state: "disconnected".to_owned(), kind: "client" };
                found.end(medium, &gone);
                conversation.settle(now, &clock);
            }
            Disconnected::Taken
        });
        outcome.unwrap_or(Disconnected::Unknown)
    }

    fn sweep(&self, readable_for: Duration) {
        let now = Instant::now();
        let mut swept = lock(&self.swept);
        if now.duration_since(*swept) < SWEEP {
            return;
        }
        *swept = now;
        drop(swept);
        write(&self.by_id).retain(|_, conversation| {
            let mut conversation = lock(conversation);
            conversation.settle(now, &self.clock);
            !forgotten(&conversation, now, readable_for)
        });
    }
}

fn forgotten(conversation: &Conversation, now: Instant, readable_for: Duration) -> bool {
    let readable_for = conversation.readable_for.unwrap_or(readable_for);
    conversation.ended.is_some_and(|(at, _)| now.duration_since(at) >= readable_for)
}
