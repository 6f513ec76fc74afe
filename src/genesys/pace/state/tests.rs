//! A call that waits goes in the end: the gate always says when to look again, whatever keeps it closed.

use http::HeaderValue;
use proptest::prelude::*;
use tokio::sync::oneshot;

use super::*;
use crate::genesys::answer::RateLimit;

const LIFE: Duration = Duration::from_secs(3600);

/// A gate with a token, and one call of this rank that waits.
fn waited_at(
    rank: Rank,
    start: Instant,
) -> (GateState, oneshot::Receiver<Result<Turn, crate::genesys::error::CallError>>) {
    let mut state = GateState::new();
    let token = Token::new(None, HeaderValue::from_static("Bearer t"), start, start + LIFE, start + LIFE);
    state.take_token(&Arc::new(token));
    let (turn, given) = oneshot::channel();
    state.line.join((rank, 1, 1), Waiter { caller: "key:a".into(), deadline: start + LIFE, turn });
    (state, given)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

proptest! {
    // The driver once read the clock twice: a call whose moment passed in between was forgotten, and ended in a 504.
    #[test]
    fn a_call_that_waits_with_none_under_way_has_a_moment_at_which_it_goes(
        rank in 0..Rank::ALL.len(), closed in proptest::option::of(0..5_000u64), spreading in proptest::option::of(0..5_000u64),
        window in proptest::option::of((1..50u32, 0..60u32, 0..5u64)), steps in proptest::collection::vec(0..3_000u64, 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _guard = runtime.enter();
        let settings = config::Config::defaults().pace;
        let start = Instant::now();
        let (mut state, mut given) = waited_at(Rank::ALL[rank], start);
        state.phase = closed.map_or(Phase::Open, |until| Phase::Closed(start + ms(until)));
        state.spreading = spreading.map(|until| start + ms(until));
        state.window = window.map(|(allowed, count, reset)| {
            Window::new(RateLimit { allowed, count, reset: Duration::from_secs(reset) }, start, start)
        });
        state.note(Rank::Disconnect, start);
        let mut now = start;
        let mut moment = state.release(now, &settings);
        // Looked at too early now and then, as after each answer, and then at the moments that it names.
        for early in steps {
            now += ms(early);
            moment = state.release(now, &settings);
        }
        for _ in 0..20 {
            if given.try_recv().is_ok_and(|turn| turn.is_ok()) {
                return Ok(());
            }
            let next = moment.expect("it waits, none is under way, and there is no moment to look again");
            prop_assert!(next > now, "that moment is over");
            now = next;
            moment = state.release(now, &settings);
        }
        prop_assert!(given.try_recv().is_ok_and(|turn| turn.is_ok()), "it never goes");
    }
}
