//! Looks again after an accepted disconnect until the participant is gone. All who wait in one conversation share the looks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::look::{Read, read};
use super::presence::{Awaited, Presence};
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::genesys::request::Rank;
use crate::genesys::requester::Requester;
use crate::ids::ConversationId;

/// The first look comes this long after acceptance; each further one at twice the time.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// The longest time that one look takes.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// The last look starts this much before the wait ends, so that it can be answered in time.
const LAST_LOOK_LEAD: Duration = Duration::from_millis(200);

/// The looks under way.
#[derive(Debug)]
pub(super) struct Confirmer {
    watched: Watched,
    stopping: CancellationToken,
}

/// Who waits in which conversation.
type Watched = Arc<Mutex<HashMap<ConversationId, Waits>>>;

/// All who wait in one conversation.
#[derive(Debug, Default)]
struct Waits {
    waits: Vec<Wait>,
    /// A wait has begun.
    more: Arc<Notify>,
}

/// One who waits.
#[derive(Debug)]
struct Wait {
    awaited: Awaited,
    accepted: Instant,
    last_look: Instant,
    requester: Arc<Requester>,
    shown: watch::Sender<Presence>,
}

impl Confirmer {
    /// Looks until `stopping`.
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self { watched: Arc::default(), stopping }
    }

    /// Waits until it is gone, for at most `wait` from now.
    pub(super) async fn gone(
        &self,
        client: &Client,
        requester: &Arc<Requester>,
        (conversation, awaited): (ConversationId, Awaited),
        wait: Duration,
        tasks: &TaskTracker,
    ) -> Presence {
        let accepted = Instant::now();
        let until = accepted + wait;
        let (shown, mut seen) = watch::channel(Presence::Nothing);
        let one = Wait {
            awaited,
            accepted,
            last_look: until - LAST_LOOK_LEAD.min(wait / 2),
            requester: Arc::clone(requester),
            shown,
        };
        {
            let mut watched = self.watched.lock();
            let waits = watched.entry(conversation).or_insert_with(|| {
                let waits = Waits::default();
                let looks = Looks {
                    client: client.clone(),
                    conversation,
                    more: Arc::clone(&waits.more),
                    watched: Arc::clone(&self.watched),
                };
                let stopping = self.stopping.clone();
                tasks.spawn(async move { stopping.run_until_cancelled(looks.run()).await });
                waits
            });
            waits.waits.push(one);
            waits.more.notify_one();
        }
        // A process that is stopping does not go on looking: what was accepted is answered as accepted.
        let gone = self.stopping.run_until_cancelled(seen.wait_for(|shown| *shown == Presence::Gone));
        let _ = timeout_at(until, gone).await;
        *seen.borrow_and_update()
    }
}

/// The task that looks at one conversation.
struct Looks {
    client: Client,
    conversation: ConversationId,
    more: Arc<Notify>,
    watched: Watched,
}

impl Drop for Looks {
    /// Also if a read panics: those who wait get their answer at once, and the next one starts a new read.
    fn drop(&mut self) {
        let mut watched = self.watched.lock();
        if watched.get(&self.conversation).is_some_and(|waits| Arc::ptr_eq(&waits.more, &self.more)) {
            watched.remove(&self.conversation);
        }
    }
}

impl Looks {
    async fn run(self) {
        // When the last of the disconnects was accepted that are waited for, and when the next look is due for all.
        let (mut youngest, mut regular) = (None, None);
        loop {
            let next = {
                let mut watched = self.watched.lock();
                let Some(waits) = watched.get_mut(&self.conversation) else { return };
                waits.waits.retain(|wait| !wait.shown.is_closed());
                let Some(last) = waits.waits.iter().map(|wait| wait.last_look).min() else {
                    // Under the lock, so that no new wait begins between the last look and the end.
                    watched.remove(&self.conversation);
                    return;
                };
                let newest = waits.waits.iter().map(|wait| wait.accepted).max();
                if newest > youngest {
                    youngest = newest;
                    let first = newest.map(|accepted| accepted + FIRST_LOOK);
                    regular = regular.min(first).or(first);
                }
                regular.map_or(last, |regular| regular.min(last))
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.more.notified() => continue,
            }
            let began = Instant::now();
            let Some(requester) = self.requester() else { continue };
            let read = look(&self.client, requester, self.conversation).await;
            self.show(began, read.as_ref());
            let now = Instant::now();
            regular = youngest.map(|accepted| {
                let mut after = FIRST_LOOK;
                while accepted + after <= now {
                    after *= 2;
                }
                (accepted + after).max(began + FIRST_LOOK)
            });
        }
    }

    /// Of those who wait, the one whose calls go first at the gate; its look serves them all.
    fn requester(&self) -> Option<Arc<Requester>> {
        let watched = self.watched.lock();
        let first = watched.get(&self.conversation)?.waits.iter().min_by_key(|wait| wait.requester.rank)?;
        Some(Arc::clone(&first.requester))
    }

    /// Shows it to those who waited when the look began, and lets those go whose last look it was.
    fn show(&self, began: Instant, read: Option<&Read>) {
        let mut watched = self.watched.lock();
        let Some(waits) = watched.get_mut(&self.conversation) else { return };
        // A last look follows another one only after a while; one that failed stands for no later one.
        let served = match read {
            Some(_) => Instant::now().max(began + FIRST_LOOK - Duration::from_nanos(1)),
            None => Instant::now(),
        };
        waits.waits.retain(|wait| {
            if wait.accepted > began {
                return true;
            }
            if let Some(read) = read {
                let next = wait.shown.borrow().then(Presence::of(read, wait.awaited));
                wait.shown.send_replace(next);
            }
            let gone = *wait.shown.borrow() == Presence::Gone;
            !gone && wait.last_look > served
        });
    }
}

/// Whether a look that is made now sees it.
pub(super) async fn sees(
    client: &Client,
    requester: &Arc<Requester>,
    (conversation, awaited): (ConversationId, Awaited),
) -> bool {
    let read = look(client, Arc::clone(requester), conversation).await;
    read.is_some_and(|read| Presence::of(&read, awaited) == Presence::There)
}

async fn look(client: &Client, requester: Arc<Requester>, conversation: ConversationId) -> Option<Read> {
    let context = Arc::new(Context::new(requester, LOOK_WITHIN, Duration::ZERO));
    read(client, &context, Rank::Lookup, conversation).await.ok().map(|(read, _)| read)
}
