//! The state of the simulated Genesys Cloud: who is in which conversation, and which disconnects arrived.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

/// Replicas take turns, each running for this long.
pub(super) const STEP_MS: u64 = 100;
/// Longest time from a read upstream to the arrival of the disconnect that follows it: answer, call, and a step of the
/// clock.
const READ_TO_ARRIVAL_MS: u64 = 200 + 60 + STEP_MS;
/// `disconnect.deadline` here; a lease is 2 s longer.
pub(super) const DEADLINE_MS: u64 = 2_000;

/// Which participants an item means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meant {
    Person(Uuid),
    Agents,
    All,
}

/// A job as it is submitted, and its id once it was accepted.
#[derive(Debug, Clone, Default)]
pub(super) struct SimulatedJob {
    pub(super) items: Vec<(Uuid, Option<Meant>)>,
    pub(super) id: Option<String>,
    pub(super) cancelled: bool,
}

/// A participant of a conversation.
#[derive(Debug, Clone)]
pub(super) struct SimulatedParticipant {
    pub(super) id: Uuid,
    pub(super) purpose: &'static str,
    pub(super) joined: u64,
    /// When it is gone, once it was disconnected.
    pub(super) gone: Option<u64>,
    /// Its disconnects that were carried out.
    pub(super) disconnects: Vec<SimulatedDisconnect>,
}

/// A disconnect that took effect upstream.
#[derive(Debug, Clone)]
pub(super) struct SimulatedDisconnect {
    pub(super) by: usize,
    /// When a 2xx reached the replica that asked.
    pub(super) heard: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) struct SimulatedConversation {
    pub(super) id: Uuid,
    pub(super) people: Vec<SimulatedParticipant>,
    /// When the first disconnect of any participant arrived.
    pub(super) first_touched: Option<u64>,
    /// Whether the upstream no longer knows it.
    pub(super) forgotten: bool,
    /// Whether the upstream accepts disconnects but does not carry them out.
    pub(super) stubborn: bool,
}

impl SimulatedConversation {
    pub(super) fn ended(&self, now: u64) -> bool {
        self.people.iter().all(|person| !person.is_live(now))
    }
}

impl SimulatedParticipant {
    pub(super) fn is_live(&self, now: u64) -> bool {
        self.joined <= now && self.gone.is_none_or(|gone| gone > now)
    }
}

/// Everything outside of the replicas.
#[derive(Debug)]
pub(super) struct World {
    pub(super) rng: StdRng,
    pub(super) conversations: BTreeMap<Uuid, SimulatedConversation>,
    /// From then on, nothing fails.
    pub(super) quiet_from: u64,
    /// The upstream is down between these times.
    pub(super) upstream_down: (u64, u64),
    pub(super) store_down: (u64, u64),
    /// Each replica's tokens that were granted by then are refused.
    pub(super) revoked: [u64; 3],
    /// Share of upstream calls that go wrong, in percent.
    pub(super) upstream_trouble: u32,
    /// Share of calls of the store that time out, in percent.
    pub(super) store_trouble: u32,
    /// When replicas were disrupted: from, to, and which one; `None` for all.
    pub(super) disruptions: Vec<(u64, u64, Option<usize>)>,
    /// What happened although it must not.
    pub(super) wrong: Vec<String>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            conversations: BTreeMap::new(),
            quiet_from: 0,
            upstream_down: (0, 0),
            store_down: (0, 0),
            revoked: [0; 3],
            upstream_trouble: 0,
            store_trouble: 0,
            disruptions: Vec::new(),
            wrong: Vec::new(),
        }
    }

    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.rng.random_range(least..=most)
    }

    pub(super) fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }

    pub(super) fn person(&mut self, purpose: &'static str, joined: u64) -> SimulatedParticipant {
        SimulatedParticipant { id: self.uuid(), purpose, joined, gone: None, disconnects: Vec::new() }
    }

    /// Whether a replica was crashed, frozen or without its store at some time between `from` and `to`.
    pub(super) fn disrupted(&self, replica: usize, from: u64, to: u64) -> bool {
        self.disruptions
            .iter()
            .any(|(begin, end, whom)| *begin <= to && from <= *end && whom.is_none_or(|whom| whom == replica))
    }

    /// A disconnect of one participant arrives. Returns its place among those that were carried out.
    pub(super) fn disconnect(&mut self, conversation: Uuid, person: Uuid, now: u64, by: usize) -> Option<usize> {
        let delay = self.between(0, 3_000);
        let conversation = self.conversations.get_mut(&conversation)?;
        let first = *conversation.first_touched.get_or_insert(now);
        let stubborn = conversation.stubborn;
        let person = conversation.people.iter_mut().find(|one| one.id == person && one.joined <= now)?;
        if person.joined > first {
            self.wrong.push(format!("{now} ms: {} {} joined after the set was decided", person.purpose, person.id));
        }
        let before = person.disconnects.last().cloned();
        if person.gone.is_none() && !stubborn {
            person.gone = Some(now + delay);
        }
        let again = by;
        person.disconnects.push(SimulatedDisconnect { by, heard: None });
        let (place, id) = (person.disconnects.len() - 1, person.id);
        // One whose answer arrived, and could be stored, must not be followed by a second one.
        if let Some(SimulatedDisconnect { heard: Some(heard), by, .. }) = before
            && heard + 1_000 < now
            && !self.disrupted(by, heard.saturating_sub(100), heard + 1_000)
            // A frozen replica sends what it had under way when it goes on.
            && !self.disrupted(again, now.saturating_sub(100), now)
        {
            let disruptions = &self.disruptions;
            self.wrong.push(format!(
                "{now} ms: a second disconnect of {id} by replica {again}, whose first was answered to replica {by} at {heard} ms; disruptions: {disruptions:?}"
            ));
        }
        Some(place)
    }

    /// A teardown arrives. Participants who joined long after the first one must not be reached, unless they joined
    /// between the read before it and its arrival. A frozen replica sends what it had under way when it goes on.
    pub(super) fn tear_down(&mut self, id: Uuid, now: u64, by: usize) {
        let delay = self.between(0, 2_000);
        let was_frozen = self.disrupted(by, now.saturating_sub(100), now);
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let first = *conversation.first_touched.get_or_insert(now);
        for person in conversation.people.iter_mut().filter(|person| person.is_live(now)) {
            let late = person.joined > first && now > first + DEADLINE_MS && now > person.joined + READ_TO_ARRIVAL_MS;
            if late && !was_frozen {
                let (id, joined) = (person.id, person.joined);
                self.wrong.push(format!(
                    "{now} ms: a teardown reached {id}, who joined at {joined} ms, after the first at {first} ms"
                ));
            }
            if !conversation.stubborn {
                person.gone = Some(now + delay);
            }
        }
    }

    pub(super) fn heard(&mut self, conversation: Uuid, person: Uuid, place: usize, now: u64) {
        let people = self.conversations.get_mut(&conversation).map(|found| &mut found.people);
        let sent =
            people.into_iter().flatten().find(|one| one.id == person).and_then(|one| one.disconnects.get_mut(place));
        if let Some(sent) = sent {
            sent.heard = Some(now);
        }
    }
}
