//! One schedule: a few conversations and jobs, up to three replicas, and what happens to them, all from one seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::check;
use super::replica::SimulatedReplica;
use super::world::{DEADLINE_MS, Meant, STEP_MS, SimulatedConversation, SimulatedJob, World};
use crate::ids::{ConversationId, ParticipantId};
use crate::jobs::{ItemInput, Plan, Submission, TargetInput};
use crate::selector::Selector;
use crate::store::{JobState, SharedDatabase, Start};
use crate::strict_json;

/// After this time, nothing goes wrong any more.
const QUIET_FROM: u64 = 12_000;
/// When every job must be done: after a minute of confirming, and the longest pauses between attempts.
const PATIENCE: u64 = QUIET_FROM + 240_000;

struct Happening {
    at: u64,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Crash(usize),
    Leave(usize),
    Start(usize),
    Freeze(usize, u64),
    Submit(usize),
    Control(usize, JobState),
}

pub(super) fn run(seed: u64) -> Result<(), String> {
    let world = Arc::new(Mutex::new(World::new(seed)));
    let database = SharedDatabase::new();
    let replicas = usize::try_from(world.lock().between(1, 3)).unwrap_or(1);
    let mut asked = people(&mut world.lock());
    let mut happenings = plan(&mut world.lock(), replicas, asked.len());
    happenings.sort_by_key(|happening| std::cmp::Reverse(happening.at));
    let ids: Arc<Mutex<BTreeMap<usize, String>>> = Arc::default();
    let mut running: Vec<Option<SimulatedReplica>> =
        (0..replicas).map(|number| Some(SimulatedReplica::start(&world, &database, number, 0))).collect();
    let mut now = 0;
    loop {
        while happenings.last().is_some_and(|happening| happening.at <= now) {
            let Some(happening) = happenings.pop() else { break };
            happen(happening.what, now, &world, &database, &mut running, &mut asked, &ids);
        }
        now += STEP_MS;
        for replica in running.iter_mut().flatten() {
            replica.run_until(now);
        }
        if now > QUIET_FROM && now % 1_000 == 0 {
            for (place, id) in ids.lock().iter() {
                asked[*place].id = Some(id.clone());
            }
            match check::finished(&database, &world.lock(), &asked, now)? {
                true => break,
                false if now > PATIENCE => return Err(check::left(&database, &asked)),
                false => {}
            }
        }
    }
    drop(running);
    let world = world.lock();
    if world.wrong.is_empty() { Ok(()) } else { Err(world.wrong.join("; ")) }
}

/// Conversations with people in them, and jobs that mean some of them.
fn people(world: &mut World) -> Vec<SimulatedJob> {
    let jobs = world.between(1, 2);
    let mut asked = Vec::new();
    for _ in 0..jobs {
        let mut job = SimulatedJob::default();
        for _ in 0..world.between(1, 6) {
            let mut people = vec![world.person("customer", 0), world.person("agent", 0)];
            if world.chance(40) {
                people.push(world.person("agent", 0));
            }
            for _ in 0..world.between(0, 2) {
                let joined = world.between(200, 15_000);
                people.push(world.person("agent", joined));
            }
            let meant = match world.between(0, 3) {
                0 | 1 => Meant::Person(people[1].id),
                2 => Meant::Agents,
                _ => Meant::All,
            };
            let id = world.uuid();
            let (forgotten, stubborn) = (world.chance(3), world.chance(1));
            world
                .conversations
                .insert(id, SimulatedConversation { id, people, first_touched: None, forgotten, stubborn });
            job.items.push((id, Some(meant)));
        }
        asked.push(job);
    }
    asked
}

/// What happens, and when.
fn plan(world: &mut World, replicas: usize, jobs: usize) -> Vec<Happening> {
    world.quiet_from = QUIET_FROM;
    world.upstream_trouble = u32::try_from(world.between(0, 4) * 10).unwrap_or(0);
    world.store_trouble = if world.chance(30) { 5 } else { 0 };
    if world.chance(25) {
        let from = world.between(0, 6_000);
        world.upstream_down = (from, from + world.between(500, 5_000));
    }
    if world.chance(25) {
        let from = world.between(0, 6_000);
        world.store_down = (from, from + world.between(300, 5_000));
        let (from, to) = world.store_down;
        world.disruptions.push((from, to, None));
    }
    let mut happenings = Vec::new();
    for job in 0..jobs {
        let mut at = world.between(0, 1_500);
        happenings.push(Happening { at, what: What::Submit(job) });
        if world.chance(25) {
            at += world.between(100, 3_000);
            happenings.push(Happening { at, what: What::Control(job, JobState::Paused) });
            at += world.between(100, 5_000);
            happenings.push(Happening { at, what: What::Control(job, JobState::Running) });
        }
        if world.chance(15) {
            at += world.between(100, 4_000);
            happenings.push(Happening { at, what: What::Control(job, JobState::Cancelled) });
        }
        // In case the resume before was refused.
        happenings.push(Happening { at: QUIET_FROM + 500, what: What::Control(job, JobState::Running) });
    }
    for number in 0..replicas {
        let (at, back) = (world.between(300, 8_000), world.between(500, 6_000));
        let (what, until) = match world.between(0, 9) {
            0..=3 => (What::Crash(number), (at + back).min(QUIET_FROM)),
            4 => (What::Leave(number), (at + back).min(QUIET_FROM)),
            5..=7 => (What::Freeze(number, at + back), at + back),
            _ => continue,
        };
        world.disruptions.push((at, until + DEADLINE_MS, Some(number)));
        happenings.push(Happening { at, what });
        if !matches!(what, What::Freeze(..)) {
            happenings.push(Happening { at: until, what: What::Start(number) });
        }
    }
    happenings
}

fn happen(
    what: What,
    now: u64,
    world: &Arc<Mutex<World>>,
    database: &SharedDatabase,
    running: &mut [Option<SimulatedReplica>],
    asked: &mut [SimulatedJob],
    ids: &Arc<Mutex<BTreeMap<usize, String>>>,
) {
    match what {
        What::Crash(number) => running[number] = None,
        What::Leave(number) => {
            if let Some(replica) = &running[number] {
                replica.ask_to_leave();
            }
        }
        What::Start(number) => running[number] = Some(SimulatedReplica::start(world, database, number, now)),
        What::Freeze(number, until) => {
            if let Some(replica) = &mut running[number] {
                replica.frozen_until = until;
            }
        }
        What::Submit(place) => {
            let Some(replica) = running.iter().flatten().find(|replica| replica.frozen_until <= now) else { return };
            let (jobs, ids, submission) = (replica.jobs.clone(), Arc::clone(ids), submission(&asked[place]));
            replica.spawn(async move {
                if let Ok(accepted) = jobs.submit(submission).await {
                    ids.lock().insert(place, accepted.job.id);
                }
            });
        }
        What::Control(place, to) => {
            let Some(id) = ids.lock().get(&place).cloned() else { return };
            let Some(replica) = running.iter().flatten().find(|replica| replica.frozen_until <= now) else { return };
            asked[place].cancelled |= to == JobState::Cancelled;
            let from: &'static [JobState] =
                if to == JobState::Running { &[JobState::Paused] } else { &[JobState::Running, JobState::Paused] };
            let jobs = replica.jobs.clone();
            replica.spawn(async move {
                let Ok(job) = jobs.find(&id, "anonymous", true).await else { return };
                let _ = jobs.change(&job, from, to, (to == JobState::Paused).then_some("paused by a caller")).await;
            });
        }
    }
}

fn submission(asked: &SimulatedJob) -> Submission {
    let items = (0..).zip(&asked.items).map(|(number, (conversation, meant))| {
        let target = match meant {
            Some(Meant::Person(id)) => ParticipantId::parse(&id.to_string()).map(TargetInput::Participant),
            Some(Meant::Agents) => strict_json::object(r#"{"purpose":"agent","max":8}"#)
                .and_then(|members| Some(TargetInput::selector(&Selector::read(&members).ok()?, members))),
            _ => Some(TargetInput::All),
        };
        let conversation = ConversationId::parse(&conversation.to_string()).expect("an id");
        (number, ItemInput { conversation, target: target.expect("a target") })
    });
    Submission {
        caller: "anonymous".to_owned(),
        name: None,
        plan: Plan::default(),
        items: items.collect(),
        hold: false,
        start: Start::Now,
        body: "simulated".to_owned(),
        request_key: None,
    }
}
