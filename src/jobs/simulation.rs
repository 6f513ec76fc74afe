//! Runs thousands of seeded schedules of what can happen to jobs: replicas crash at any await point, or freeze for
//! longer than a lease and go on; the store fails before or after the commit; the upstream gives every answer; people
//! join meanwhile; callers pause, resume and cancel.
//!
//! Each replica is a runtime of its own with a paused clock. A crash drops the runtime, a freeze stops driving it, so
//! the code under test notices neither. `HANGUP_SIMULATION=SEED` runs one schedule again, `HANGUP_SIMULATION=A..B`
//! many.

mod check;
pub(super) mod replica;
mod schedule;
mod upstream;
mod world;

/// Schedules of an ordinary run, shared by two threads.
const SCHEDULES: u64 = 1_000;

fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("HANGUP_SIMULATION") else { return 0..SCHEDULES };
    let number = |text: &str| text.parse::<u64>().expect("HANGUP_SIMULATION is SEED or A..B");
    match asked.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&asked)..number(&asked) + 1,
    }
}

#[test]
fn whatever_happens_no_item_is_lost_and_nobody_else_is_reached() {
    let seeds = seeds();
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    let run = |range: std::ops::Range<u64>| -> Vec<String> {
        range.filter_map(|seed| schedule::run(seed).err().map(|why| format!("seed {seed}: {why}"))).take(5).collect()
    };
    let wrong = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(half..seeds.end));
        let mut wrong = run(seeds.start..half);
        wrong.extend(other.join().expect("a schedule panicked"));
        wrong
    });
    assert!(wrong.is_empty(), "run one again with HANGUP_SIMULATION=SEED:\n{}", wrong.join("\n"));
}
