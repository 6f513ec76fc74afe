use std::sync::atomic::AtomicUsize;

use tokio::time::advance;
use uuid::Uuid;

use super::*;
use crate::ids::ConversationId;
use crate::store::{SharedDatabase, StoreFault};

const WAITS: (Duration, Duration) = (Duration::from_secs(10), Duration::ZERO);

fn store() -> Store {
    Store::memory().unwrap()
}

fn cid(n: u128) -> ConversationId {
    Uuid::from_u128(n).into()
}

fn plain(body: &str) -> ClaimKey {
    ClaimKey::new(&"key:ivr".into(), "selector", cid(1), body, None, WAITS)
}

fn keyed(caller: &str, body: &str, idempotency_key: &str) -> ClaimKey {
    ClaimKey::new(&caller.into(), "selector", cid(1), body, Some(idempotency_key), WAITS)
}

fn people(n: u128) -> Vec<Target> {
    vec![Target { id: Uuid::from_u128(n).into(), name: Some("Ann".to_owned()), purpose: Some("agent".to_owned()) }]
}

/// Asks, with this one there now, and says who is reached.
async fn ask(claims: &Claims, key: &ClaimKey, now: u128) -> u128 {
    let claim = claims.targets(key, async { Ok(Some(people(now))) }).await.unwrap();
    (1..10).find(|n| *claim.targets == people(*n)).unwrap()
}

async fn refused(claims: &Claims, key: &ClaimKey) -> Code {
    claims.targets(key, async { Ok(Some(people(9))) }).await.unwrap_err().code
}

#[tokio::test(start_paused = true)]
async fn a_repeat_reaches_whom_the_first_reached_for_deadline_and_a_minute_on_every_replica_and_after_a_crash() {
    let store = store();
    let (here, there) = (Claims::new(store.clone()), Claims::new(store.clone()));
    assert_eq!(ask(&here, &plain("agent"), 1).await, 1);
    assert_eq!(ask(&here, &plain("customer"), 2).await, 2, "another body is another request");
    advance(Duration::from_secs(69)).await;
    assert_eq!(ask(&here, &plain("agent"), 3).await, 1);
    assert_eq!(ask(&there, &plain("agent"), 3).await, 1);
    assert_eq!(ask(&Claims::new(store), &plain("agent"), 3).await, 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(ask(&there, &plain("agent"), 4).await, 4);
    assert_eq!(ask(&here, &plain("agent"), 5).await, 4, "the first writer wins again");
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_a_caller_waits_is_added_to_the_life_of_its_claim() {
    let claims = Claims::new(store());
    let waits = ClaimKey::new(&"key:ivr".into(), "selector", cid(1), "agent", None, (WAITS.0, Duration::from_secs(50)));
    assert_eq!(ask(&claims, &waits, 1).await, 1);
    advance(Duration::from_secs(119)).await;
    assert_eq!(ask(&claims, &plain("agent"), 2).await, 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(ask(&claims, &plain("agent"), 3).await, 3);
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_holds_for_an_hour_and_is_refused_with_another_body_or_conversation() {
    let store = store();
    let (here, there) = (Claims::new(store.clone()), Claims::new(store));
    assert_eq!(ask(&here, &keyed("key:ivr", "agent", "k1"), 1).await, 1);
    assert_eq!(ask(&here, &keyed("key:ivr", "agent", "k2"), 2).await, 2, "another key is another request");
    assert_eq!(ask(&here, &keyed("jwt:ivr", "agent", "k1"), 3).await, 3, "another caller's keys are its own");
    advance(Duration::from_secs(3_590)).await;
    for claims in [&here, &there] {
        assert_eq!(ask(claims, &keyed("key:ivr", "agent", "k1"), 4).await, 1);
        assert_eq!(refused(claims, &keyed("key:ivr", "customer", "k1")).await, Code::IdempotencyKeyReused);
        let elsewhere = ClaimKey::new(&"key:ivr".into(), "selector", cid(2), "agent", Some("k1"), WAITS);
        assert_eq!(refused(claims, &elsewhere).await, Code::IdempotencyKeyReused);
    }
    advance(Duration::from_secs(11)).await;
    assert_eq!(ask(&there, &keyed("key:ivr", "customer", "k1"), 5).await, 5);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_claim_and_a_failure_are_no_decisions_and_take_no_room() {
    let claims = Claims::new(store());
    let claim = claims.targets(&plain("agent"), async { Ok(None) }).await.unwrap();
    assert!(claim.targets.is_empty());
    let failed = claims.targets(&plain("agent"), async { Err(Problem::new(Code::UpstreamTimeout, "")) }).await;
    assert_eq!(failed.unwrap_err().code, Code::UpstreamTimeout);
    assert_eq!(claims.stats(), ClaimStats::default());
    assert_eq!(ask(&claims, &plain("agent"), 2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn that_there_is_no_one_to_reach_is_a_decision_which_holds_on_every_replica() {
    let store = store();
    let here = Claims::new(store.clone());
    for (claims, first) in [(&here, true), (&here, false), (&Claims::new(store), false)] {
        let now = if first { Vec::new() } else { people(1) };
        let claim = claims.targets(&plain("all"), async { Ok(Some(now)) }).await.unwrap();
        assert_eq!((claim.targets.len(), claim.first), (0, first));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_come_together_make_one_decision() {
    let claims = Claims::new(store());
    let resolved = AtomicUsize::new(0);
    let key = plain("agent");
    let asks = (0..20).map(|_| {
        claims.targets(&key, async {
            resolved.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Some(people(1)))
        })
    });
    let decided = futures_util::future::join_all(asks).await;
    assert_eq!(decided.iter().filter(|claim| claim.as_ref().unwrap().first).count(), 1);
    assert_eq!(resolved.load(Ordering::Relaxed), 1);
    assert_eq!(claims.stats(), ClaimStats { made: 1, repeated: 19, refused: 0, held: 1 });
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_selectors_with_keys_of_their_own_never_evict_anothers_set() {
    let claims = Claims::new(store());
    assert_eq!(ask(&claims, &keyed("key:victim", "agent", "v"), 1).await, 1);
    for n in 0..10_100 {
        ask(&claims, &keyed("key:attacker", "agent", &n.to_string()), 2).await;
    }
    assert_eq!(ask(&claims, &keyed("key:victim", "agent", "v"), 3).await, 1);
    assert_eq!(ask(&claims, &keyed("key:attacker", "agent", "0"), 3).await, 2, "nor one's own");
}

#[tokio::test(start_paused = true)]
async fn at_its_bound_a_caller_has_to_wait_and_others_are_served() {
    let claims = Claims::new(store());
    let crowd = || -> Vec<Target> {
        let one = |n| Target { id: Uuid::from_u128(n).into(), name: Some("x".repeat(10_000)), purpose: None };
        (0..100).map(one).collect()
    };
    let attack = async |n: usize| {
        let key = keyed("key:attacker", &"b".repeat(16_000), &n.to_string());
        claims.targets(&key, async { Ok(Some(crowd())) }).await
    };
    let mut made = 0;
    let problem = loop {
        match attack(made).await {
            Ok(_) => made += 1,
            Err(problem) => break problem,
        }
        assert!(made < 100, "there is no bound");
    };
    assert_eq!(problem.code, Code::CallerRateLimited);
    assert!(problem.retry_after.is_some());
    assert!((5..=12).contains(&made), "{made} megabytes were kept");
    assert_eq!(ask(&claims, &keyed("key:victim", "agent", "v"), 1).await, 1);
    assert!(attack(0).await.is_ok(), "what was claimed is kept, and serves its repeat");
    advance(Duration::from_secs(3_601)).await;
    assert!(attack(made).await.is_ok(), "what has ended makes room");
}

#[tokio::test(start_paused = true)]
async fn the_number_of_claims_of_a_caller_is_bounded() {
    let claims = Claims::new(store());
    for n in 0..MOST_CLAIMS {
        ask(&claims, &keyed("key:attacker", "agent", &n.to_string()), 2).await;
    }
    assert_eq!(refused(&claims, &keyed("key:attacker", "agent", "one more")).await, Code::CallerRateLimited);
    assert_eq!(claims.stats().held, MOST_CLAIMS);
}

#[tokio::test(start_paused = true)]
async fn a_claim_costs_two_calls_of_the_store_also_where_an_expired_one_is_in_the_way_and_three_where_another_came_first()
 {
    let (database, calls) = (SharedDatabase::new(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    let store = database.open(
        0,
        Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            (Duration::from_millis(400), StoreFault::None)
        }),
    );
    let claims = Claims::new(store.clone());
    for (agent, life) in [(1, Duration::from_secs(71)), (2, Duration::from_secs(71)), (3, Duration::ZERO)] {
        assert_eq!(ask(&claims, &plain("agent"), agent).await, agent);
        assert_eq!(calls.swap(0, Ordering::Relaxed), 2, "for {agent}");
        advance(life).await;
    }
    let (other, key) = (Claims::new(store), plain("customer"));
    let first = claims.targets(&key, async {
        assert_eq!(ask(&other, &key, 4).await, 4);
        Ok(Some(people(5)))
    });
    let claim = first.await.unwrap();
    assert_eq!((&*claim.targets, claim.first), (&people(4), false));
    assert_eq!(calls.load(Ordering::Relaxed), 5, "two of the one that came first");
}

#[tokio::test(start_paused = true)]
async fn without_the_store_a_claim_is_refused_before_anybody_is_looked_for() {
    let mut settings = crate::config::Config::defaults().store;
    settings.url = serde_json::from_value("postgres://hangup@127.0.0.1:1/none".into()).unwrap();
    settings.timeout = Duration::from_millis(200);
    let claims = Claims::new(Store::open(&settings).await.unwrap());
    let begun = Instant::now();
    let problem = claims.targets(&plain("agent"), async { panic!("looked for") }).await.unwrap_err();
    assert_eq!((problem.code, problem.effect), (Code::StoreUnavailable, crate::problem::Effect::None));
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    assert_eq!(claims.stats().refused, 1);
}

mod schedules {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        /// One of the requests below is sent to a replica while this participant is the agent.
        Ask {
            replica: usize,
            request: usize,
            agent: u128,
        },
        /// The same at two replicas at once.
        AskTwice {
            request: usize,
            agents: (u128, u128),
        },
        /// The conversation could not be read.
        Fail {
            replica: usize,
            request: usize,
        },
        Wait {
            ms: u64,
        },
        /// A replica is killed and starts again, knowing nothing.
        Crash {
            replica: usize,
        },
    }

    fn step() -> impl Strategy<Value = Act> {
        let (replica, request, agent) = (0..3_usize, 0..4_usize, 1..9_u128);
        prop_oneof![
            4 => (replica.clone(), request.clone(), agent.clone())
                .prop_map(|(replica, request, agent)| Act::Ask { replica, request, agent }),
            1 => (request.clone(), (agent.clone(), agent)).prop_map(|(request, agents)| Act::AskTwice { request, agents }),
            1 => (replica.clone(), request).prop_map(|(replica, request)| Act::Fail { replica, request }),
            2 => (1..40_000_u64).prop_map(|ms| Act::Wait { ms }),
            1 => replica.prop_map(|replica| Act::Crash { replica }),
        ]
    }

    /// Two by their bodies, which live 70 s, and two by an `Idempotency-Key`, which live an hour.
    fn requests() -> [(ClaimKey, Duration); 4] {
        let (short, long) = (Duration::from_secs(70), Duration::from_secs(3_600));
        [
            (plain("agent"), short),
            (plain("customer"), short),
            (keyed("key:ivr", "agent", "1"), long),
            (keyed("key:app", "agent", "1"), long),
        ]
    }

    async fn run(steps: Vec<Act>) -> Result<(), TestCaseError> {
        let store = store();
        let mut replicas: Vec<Claims> = (0..3).map(|_| Claims::new(store.clone())).collect();
        let requests = requests();
        // Whom each request has reached first, and when.
        let mut first: HashMap<usize, (u128, tokio::time::Instant)> = HashMap::new();
        for step in steps {
            match step {
                Act::Ask { replica, request, agent } => {
                    let (key, life) = &requests[request];
                    let reached = ask(&replicas[replica], key, agent).await;
                    check(&mut first, request, reached, *life)?;
                }
                Act::AskTwice { request, agents } => {
                    let (key, life) = &requests[request];
                    let (one, two) = tokio::join!(ask(&replicas[0], key, agents.0), ask(&replicas[1], key, agents.1));
                    prop_assert_eq!(one, two, "two people were reached");
                    check(&mut first, request, one, *life)?;
                }
                Act::Fail { replica, request } => {
                    let problem = async { Err(Problem::new(Code::UpstreamTimeout, "")) };
                    let _ = replicas[replica].targets(&requests[request].0, problem).await;
                }
                Act::Wait { ms } => advance(Duration::from_millis(ms)).await,
                Act::Crash { replica } => replicas[replica] = Claims::new(store.clone()),
            }
        }
        Ok(())
    }

    fn check(
        first: &mut HashMap<usize, (u128, tokio::time::Instant)>,
        request: usize,
        reached: u128,
        life: Duration,
    ) -> Result<(), TestCaseError> {
        match first.get(&request) {
            Some((who, at)) if at.elapsed() < life => {
                prop_assert_eq!(reached, *who, "a repeat reached somebody else after {:?}", at.elapsed());
            }
            _ => {
                first.insert(request, (reached, tokio::time::Instant::now()));
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn no_repeat_ever_reaches_anybody_outside_the_first_set(steps in prop::collection::vec(step(), 1..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(run(steps))?;
        }
    }
}
