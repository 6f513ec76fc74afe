//! All conversations, each with its own lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use uuid::Uuid;

use super::clock::Clock;
use super::conversation::Conversation;

/// Least time between two removals of forgotten conversations.
const SWEEP: Duration = Duration::from_secs(10);
/// Analytics knows ended conversations for longer than they can be read: for this long, and at most this many.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3600);
const KNOWN: usize = 20_000;

#[derive(Debug)]
pub(crate) struct Conversations {
    pub(crate) clock: Clock,
    by_id: RwLock<HashMap<Uuid, Arc<Mutex<Conversation>>>>,
    swept: Mutex<Instant>,
}

impl Conversations {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, by_id: RwLock::default(), swept: Mutex::new(Instant::now()) }
    }

    /// Adds it; `false` when its id is taken.
    pub(crate) fn add(&self, conversation: Conversation, readable_for: Duration) -> bool {
        self.sweep(readable_for);
        let mut map = self.by_id.write();
        if map.contains_key(&conversation.id) {
            return false;
        }
        map.insert(conversation.id, Arc::new(Mutex::new(conversation)));
        true
    }

    /// Brings a conversation that can still be read up to date, then reads or changes it.
    pub(crate) fn with<R>(
        &self,
        id: Uuid,
        readable_for: Duration,
        look: impl FnOnce(&mut Conversation, Instant) -> R,
    ) -> Option<R> {
        let look = |conversation: &mut Conversation, now| {
            (!conversation.forgotten(now, readable_for)).then(|| look(conversation, now))
        };
        self.with_known(id, look).flatten()
    }

    /// As [`Conversations::with`], also for a conversation that only analytics still knows.
    pub(crate) fn with_known<R>(&self, id: Uuid, look: impl FnOnce(&mut Conversation, Instant) -> R) -> Option<R> {
        let found = self.by_id.read().get(&id).cloned()?;
        let now = Instant::now();
        let mut conversation = found.lock();
        conversation.settle(now, &self.clock);
        Some(look(&mut conversation, now))
    }

    pub(crate) fn forget(&self, id: Uuid) -> bool {
        self.by_id.write().remove(&id).is_some()
    }

    pub(crate) fn forget_all(&self) {
        self.by_id.write().clear();
    }

    /// Maps each conversation that can still be read, in the order of their start.
    pub(crate) fn map<R>(
        &self,
        readable_for: Duration,
        mut look: impl FnMut(&Conversation, Instant) -> Option<R>,
    ) -> Vec<R> {
        self.map_known(
            |conversation, now| {
                if conversation.forgotten(now, readable_for) { None } else { look(conversation, now) }
            },
        )
    }

    /// As [`Conversations::map`], also for those that only analytics still knows.
    pub(crate) fn map_known<R>(&self, mut look: impl FnMut(&Conversation, Instant) -> Option<R>) -> Vec<R> {
        let all: Vec<_> = self.by_id.read().values().cloned().collect();
        let now = Instant::now();
        let mut seen = Vec::with_capacity(all.len());
        for conversation in &all {
            let mut conversation = conversation.lock();
            conversation.settle(now, &self.clock);
            if let Some(result) = look(&conversation, now) {
                seen.push((conversation.started, conversation.id, result));
            }
        }
        seen.sort_by_key(|(started, id, _)| (*started, *id));
        seen.into_iter().map(|(_, _, result)| result).collect()
    }

    fn sweep(&self, readable_for: Duration) {
        let now = Instant::now();
        let mut swept = self.swept.lock();
        if now.duration_since(*swept) < SWEEP {
            return;
        }
        *swept = now;
        drop(swept);
        let mut known = 0;
        self.by_id.write().retain(|_, conversation| {
            let mut conversation = conversation.lock();
            conversation.settle(now, &self.clock);
            if !conversation.forgotten(now, readable_for) {
                return true;
            }
            known += 1;
            known <= KNOWN && conversation.ended.is_some_and(|(at, _)| now.duration_since(at) < KNOWN_FOR)
        });
    }
}
