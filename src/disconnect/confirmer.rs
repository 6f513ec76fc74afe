//! Looks again after an accepted disconnect until the participant is gone. Those who wait for the same participant share the
//! looks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::judge::Observation;
use super::last::{participant_not_found, without_medium};
use super::look::{Read, look, read};
use crate::genesys::Client;
use crate::genesys::context::Context;
use crate::genesys::request::Rank;
use crate::genesys::requester::Requester;
use crate::ids::{ConversationId, ParticipantId};
use crate::medium::Medium;
use crate::outcome::{Outcome, Settled};
use crate::problem::Problem;

/// The first look comes this long after acceptance; each further one at twice the time.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// The longest time that one look takes.
const LOOK_WITHIN: Duration = Duration::from_secs(3);
/// The last look starts this much before the wait ends, so that it can be answered in time.
const LAST_LOOK_LEAD: Duration = Duration::from_millis(200);

/// Whose end is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Awaited {
    /// A participant's, or that of its communications of one medium.
    Participant(ConversationId, ParticipantId, Option<Medium>),
    /// The whole conversation's.
    Conversation(ConversationId),
}

/// What the looks have shown so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Nothing could be read.
    Nothing,
    /// The conversation goes on and has no such participant, or one without this medium.
    Absent(Option<Medium>),
    /// Still there.
    There,
    /// Gone.
    Gone,
}

/// The looks under way.
#[derive(Debug)]
pub(super) struct Confirmer {
    watches: Arc<Mutex<HashMap<Awaited, Arc<Watched>>>>,
    stopping: CancellationToken,
}

/// One participant whose end is waited for.
#[derive(Debug)]
struct Watched {
    shown: watch::Sender<Presence>,
    /// Last looks that those who wait want.
    wanted: Mutex<BTreeSet<Instant>>,
    more: Notify,
}

impl Presence {
    /// What became of a disconnect that was accepted.
    ///
    /// # Errors
    /// `participant_not_found`: it was accepted of a participant that is not there.
    pub(super) fn after(self, settled: Settled) -> Result<Settled, Problem> {
        Ok(match self {
            Self::Gone => Settled { outcome: Outcome::Disconnected, verified: true, gone: Some(true), ..settled },
            Self::There => {
                Settled { outcome: Outcome::Accepted, verified: false, gone: Some(false), still_there: true, ..settled }
            }
            // Genesys Cloud has said that it disconnected the participant, and no look shows that it did not.
            Self::Absent(_) if settled.outcome == Outcome::Disconnected => settled,
            Self::Absent(medium) => {
                let problem = medium.map_or_else(|| participant_not_found(None), |medium| without_medium(medium, None));
                return Err(problem.effect(true).attempts(settled.attempts));
            }
            Self::Nothing => settled,
        })
    }
}

impl Confirmer {
    /// Looks until `stopping`.
    pub(super) fn new(stopping: CancellationToken) -> Self {
        Self { watches: Arc::default(), stopping }
    }

    /// Waits until the participant is gone, for at most `wait` from now.
    pub(super) async fn gone(
        &self,
        client: &Client,
        requester: &Arc<Requester>,
        key: Awaited,
        wait: Duration,
        tasks: &TaskTracker,
    ) -> Presence {
        let accepted = Instant::now();
        let until = accepted + wait;
        let last_look = until - LAST_LOOK_LEAD.min(wait / 2);
        let mut shown = {
            let mut watches = self.watches.lock();
            let watched = watches.entry(key).or_insert_with(|| {
                let watched = Arc::new(Watched {
                    shown: watch::Sender::new(Presence::Nothing),
                    wanted: Mutex::default(),
                    more: Notify::new(),
                });
                let looks = Looks {
                    client: client.clone(),
                    requester: Arc::clone(requester),
                    key,
                    accepted,
                    watched: Arc::clone(&watched),
                    watches: Arc::clone(&self.watches),
                };
                let stopping = self.stopping.clone();
                tasks.spawn(async move { stopping.run_until_cancelled(looks.run()).await });
                watched
            });
            watched.wanted.lock().insert(last_look);
            watched.more.notify_one();
            watched.shown.subscribe()
        };
        // A process that is stopping does not go on looking: what was accepted is answered as accepted.
        let gone = self.stopping.run_until_cancelled(shown.wait_for(|shown| *shown == Presence::Gone));
        let _ = timeout_at(until, gone).await;
        *shown.borrow_and_update()
    }
}

/// The task that looks.
struct Looks {
    client: Client,
    requester: Arc<Requester>,
    key: Awaited,
    accepted: Instant,
    watched: Arc<Watched>,
    watches: Arc<Mutex<HashMap<Awaited, Arc<Watched>>>>,
}

impl Drop for Looks {
    /// Also if a read panics: those who wait get their answer at once, and the next one starts a new read.
    fn drop(&mut self) {
        let mut watches = self.watches.lock();
        if watches.get(&self.key).is_some_and(|watched| Arc::ptr_eq(watched, &self.watched)) {
            watches.remove(&self.key);
        }
    }
}

impl Looks {
    async fn run(self) {
        let mut after = FIRST_LOOK;
        loop {
            let next = {
                // Locked together, so that no new wait begins between the last look and the end.
                let mut watches = self.watches.lock();
                let wanted = self.watched.wanted.lock();
                let Some(&first) = wanted.first() else {
                    watches.remove(&self.key);
                    return;
                };
                first.min(self.accepted + after)
            };
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.watched.more.notified() => continue,
            }
            let shown = self.look().await;
            // A look that is behind does not take back what another one has shown.
            let is_news = match shown {
                Presence::Nothing => false,
                Presence::Absent(_) => *self.watched.shown.borrow() != Presence::There,
                Presence::There | Presence::Gone => true,
            };
            if is_news {
                self.watched.shown.send_replace(shown);
            }
            let now = Instant::now();
            let mut watches = self.watches.lock();
            let mut wanted = self.watched.wanted.lock();
            if shown == Presence::Gone {
                watches.remove(&self.key);
                return;
            }
            *wanted = wanted.split_off(&(now + Duration::from_nanos(1)));
            while self.accepted + after <= now {
                after *= 2;
            }
        }
    }

    async fn look(&self) -> Presence {
        let context = Arc::new(Context::new(Arc::clone(&self.requester), LOOK_WITHIN, Duration::ZERO));
        let observation = match self.key {
            Awaited::Participant(cid, pid, medium) => {
                look(&self.client, &context, Rank::Lookup, (cid, pid, medium)).await.map(|(observation, _)| observation)
            }
            Awaited::Conversation(cid) => match read(&self.client, &context, Rank::Lookup, cid).await {
                Ok((Read::Found(conversation), _)) if conversation.ended() => Ok(Observation::Ended { verified: true }),
                Ok((Read::Found(_), _)) => Ok(Observation::Live(Vec::new())),
                Ok(_) => Ok(Observation::UnknownConversation),
                Err(problem) => Err(problem),
            },
        };
        match observation {
            Ok(Observation::Gone | Observation::Ended { .. }) => Presence::Gone,
            Ok(Observation::Live(_)) => Presence::There,
            Ok(Observation::Absent) => Presence::Absent(None),
            Ok(Observation::WithoutMedium(medium)) => Presence::Absent(Some(medium)),
            // What cannot be seen is not gone.
            _ => Presence::Nothing,
        }
    }
}
