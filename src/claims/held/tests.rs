use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::advance;
use uuid::Uuid;

use super::*;
use crate::ids::ConversationId;

fn key(caller: &str, idempotency_key: &str) -> ClaimKey {
    let conversation: ConversationId = Uuid::from_u128(1).into();
    let waits = (Duration::from_secs(10), Duration::ZERO);
    ClaimKey::new(&caller.into(), "selector", conversation, "all", Some(idempotency_key), waits)
}

/// A decision that lives for so many seconds and whose target has a name of so many bytes.
async fn decide(claims: &HeldClaims, key: &ClaimKey, seconds: u64, bytes: usize) {
    let target = Target { id: Uuid::from_u128(1).into(), name: Some("x".repeat(bytes)), purpose: None };
    let until = Instant::now() + Duration::from_secs(seconds);
    let decided = HeldClaim { targets: Arc::new(vec![target]), body: String::new(), until };
    let place = claims.place(key).unwrap();
    place.keep(place.cell().get_or_init(|| async { decided }).await);
}

fn wait(claims: &HeldClaims, caller: &str) -> Option<u64> {
    claims.place(&key(caller, "one more")).err().map(|full| full.wait.as_secs())
}

#[test]
fn requests_that_give_up_at_the_same_moment_leave_no_place_behind() {
    let (claims, key, arrived) = (HeldClaims::default(), key("key:ivr", "k"), AtomicUsize::new(0));
    // Both spin, so that they go on within nanoseconds of each other, unless one of them has no core.
    let meet = |times: usize| {
        arrived.fetch_add(1, Ordering::SeqCst);
        for spins in 1_u64.. {
            if arrived.load(Ordering::SeqCst) >= times * 2 {
                break;
            }
            if spins % 1_000 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    let give_up = || {
        let mut left_behind = 0;
        for round in 0..20_000 {
            let place = claims.place(&key).unwrap();
            meet(round * 3 + 1);
            drop(place);
            meet(round * 3 + 2);
            left_behind += claims.len();
            meet(round * 3 + 3);
        }
        left_behind
    };
    let left_behind = std::thread::scope(|scope| {
        let other = scope.spawn(give_up);
        give_up() + other.join().unwrap()
    });
    assert_eq!(left_behind, 0);
}

#[tokio::test]
async fn a_place_is_kept_while_one_request_waits_for_it() {
    let (claims, key) = (HeldClaims::default(), key("key:ivr", "k"));
    let (one, other) = (claims.place(&key).unwrap(), claims.place(&key).unwrap());
    drop(one);
    assert_eq!(claims.len(), 1);
    drop(other);
    assert_eq!(claims.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_at_its_bound_waits_for_the_next_end_of_its_own_claims() {
    let claims = HeldClaims::default();
    decide(&claims, &key("key:other", "1"), 20, 1).await;
    decide(&claims, &key("key:ivr", "1"), 300, MOST_BYTES).await;
    assert_eq!(wait(&claims, "key:ivr"), Some(300), "the end of another caller's claim makes no room for this one");
    assert_eq!(wait(&claims, "key:other"), None);
    advance(Duration::from_secs(299)).await;
    assert_eq!(wait(&claims, "key:ivr"), Some(1));
    advance(Duration::from_secs(1)).await;
    assert_eq!(wait(&claims, "key:ivr"), None);
}

#[tokio::test(start_paused = true)]
async fn what_has_ended_is_forgotten_whatever_the_order_in_which_it_came() {
    let claims = HeldClaims::default();
    for (n, seconds) in [("1", 400), ("2", 100), ("3", 200)] {
        decide(&claims, &key("key:ivr", n), seconds, MOST_BYTES / 2).await;
        if n == "2" {
            assert_eq!(wait(&claims, "key:ivr"), Some(100));
            advance(Duration::from_secs(100)).await;
        }
    }
    assert_eq!(wait(&claims, "key:ivr"), Some(200));
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_of_all_callers_the_next_end_of_any_claim_makes_room() {
    let claims = HeldClaims::default();
    let callers = u64::try_from(MOST_BYTES_OF_ALL / MOST_BYTES).unwrap();
    for n in 0..callers {
        decide(&claims, &key(&format!("key:{n}"), "1"), 300 + n, MOST_BYTES).await;
    }
    assert_eq!(wait(&claims, "key:new"), Some(300));
    assert_eq!(wait(&claims, "key:5"), Some(305), "which has a bound of its own");
}
