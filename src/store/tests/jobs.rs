//! Jobs and their items, on each database.

use std::time::Duration;

use super::*;

const LEASE: Duration = Duration::from_secs(60);

fn new(id: &str, key: Option<&str>) -> NewJob {
    NewJob {
        id: id.to_owned(),
        caller: "key:ivr".to_owned(),
        name: None,
        plan: "{}".to_owned(),
        body: "b".to_owned(),
        request_key: key.map(|key| (key.to_owned(), KeyKind::Given)),
    }
}

fn items(number: i64) -> Vec<NewItem> {
    (0..number)
        .map(|number| NewItem {
            number,
            conversation: "c".to_owned(),
            participant: Some(number.to_string()),
            target: None,
        })
        .collect()
}

async fn queue(store: &Store, id: &str, number: i64) {
    store.begin_job(&new(id, None)).await.unwrap();
    store.add_items(id, &items(number)).await.unwrap();
    store.accept_job(id, JobState::Running, number, Start::Now).await.unwrap();
}

/// Ends jobs that are over, and returns those with items to work on.
async fn due(store: &Store, served_last: &ServedLast, limit: i64) -> Vec<StoredJob> {
    let due = store.due_jobs(served_last, limit).await.unwrap();
    for job in due.over {
        store.end_job(&job.id).await.unwrap();
    }
    due.to_work_on
}

/// Makes jobs and items older by this much, because tests cannot move the database's clock.
async fn later(store: &Store, by: Duration) {
    let (by, never) = (by.as_millis(), crate::store::jobs::NEVER);
    run(store, &format!("UPDATE jobs SET created = created - {by}, due = due - {by}, ended = ended - {by}")).await;
    run(store, &format!("UPDATE items SET due = due - {by} WHERE due > 0 AND due < {never}")).await;
}

fn result(outcome: &str) -> ItemResult {
    ItemResult { outcome: outcome.to_owned(), attempts: 1, ..ItemResult::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_invisible_until_the_last_commit_and_a_repeat_of_its_key_finds_it() {
    on_each(async |place| {
        let store = place.open().await;
        assert_eq!(store.begin_job(&new("a", Some("k"))).await.unwrap().id, "a");
        store.add_items("a", &items(1_201)).await.unwrap();
        assert_eq!(store.job("a").await.unwrap(), None);
        assert_eq!(due(&store, &ServedLast::default(), 10).await, []);
        store.accept_job("a", JobState::Running, 1_201, Start::Now).await.unwrap();
        assert_eq!(store.job("a").await.unwrap().unwrap().total, 1_201);
        assert_eq!(store.begin_job(&new("b", Some("k"))).await.unwrap().id, "a", "the key is taken");
        assert_eq!(due(&store, &ServedLast::default(), 10).await.len(), 1);
        assert_eq!(store.item_counts("a").await.unwrap().open, 1_201);
        store.begin_job(&new("c", None)).await.unwrap();
        store.add_items("c", &items(3)).await.unwrap();
        store.abandon_job("c").await.unwrap();
        assert_eq!(store.items("c", None, 10).await.unwrap(), []);
        assert_eq!(store.jobs(&JobQuery { limit: 10, ..JobQuery::default() }).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_is_leased_once_and_taken_over_when_the_lease_has_expired() {
    on_each(async |place| {
        let (one, two) = (place.open().await, place.open().await);
        queue(&one, "a", 10).await;
        let (first, second) =
            (one.lease_items("a", Pick::All, 6, LEASE, "t1"), two.lease_items("a", Pick::All, 6, LEASE, "t2"));
        let (first, second) = tokio::join!(first, second);
        let (first, second) = (first.unwrap(), second.unwrap());
        let mut numbers: Vec<i64> = first.iter().chain(&second).map(|item| item.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(first.len() + second.len(), numbers.len(), "each item once");
        let rest = one.lease_items("a", Pick::All, 100, LEASE, "t3").await.unwrap();
        assert_eq!(numbers.len() + rest.len(), 10);
        later(&one, LEASE).await;
        let again = two.lease_items("a", Pick::All, 100, LEASE, "t4").await.unwrap();
        assert_eq!(again.len(), 10);
        assert!(again.iter().all(|item| item.tried));
        let stale = first.first().or(second.first()).unwrap();
        assert!(!one.finish_item("a", stale, &result("disconnected")).await.unwrap(), "the old lease writes nothing");
        let held = again.iter().find(|item| item.number == stale.number).unwrap();
        assert!(two.finish_item("a", held, &result("disconnected")).await.unwrap());
        assert!(!two.finish_item("a", held, &result("disconnected")).await.unwrap(), "once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_confirmed_before_more_is_started() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 10).await;
        let leased = store.lease_items("a", Pick::All, 2, LEASE, "t1").await.unwrap();
        for item in &leased {
            store.put_back("a", item, true, Duration::ZERO, &result("accepted")).await.unwrap();
        }
        let next = store.lease_items("a", Pick::All, 3, LEASE, "t2").await.unwrap();
        let seen: Vec<_> = next.iter().map(|item| (item.number, item.confirming)).collect();
        assert_eq!(seen, [(0, true), (1, true), (2, false)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_item_waits_to_be_confirmed_and_the_job_ends_with_its_last_item() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 2).await;
        let leased = store.lease_items("a", Pick::All, 10, LEASE, "t1").await.unwrap();
        store.put_back("a", &leased[0], true, Duration::ZERO, &result("accepted")).await.unwrap();
        store
            .finish_item("a", &leased[1], &ItemResult { code: Some("upstream_conflict".into()), ..result("failed") })
            .await
            .unwrap();
        let confirming = store.lease_items("a", Pick::All, 10, LEASE, "t2").await.unwrap();
        assert_eq!(confirming.len(), 1);
        assert!(confirming[0].confirming && confirming[0].since_accepted.is_some() && confirming[0].attempts == 1);
        assert_eq!(due(&store, &ServedLast::default(), 10).await, []);
        assert_eq!(store.job("a").await.unwrap().unwrap().state, JobState::Running);
        store.finish_item("a", &confirming[0], &result("disconnected")).await.unwrap();
        due(&store, &ServedLast::default(), 10).await;
        let job = store.job("a").await.unwrap().unwrap();
        assert_eq!((job.state, job.ended.is_some()), (JobState::Done, true));
        let counts = store.item_counts("a").await.unwrap().by_word;
        assert_eq!(counts, [("disconnected".to_owned(), 1), ("upstream_conflict".to_owned(), 1)].into());
        let first = |code: Option<&str>| FirstItem { on_first_attempt: false, code: code.map(str::to_owned) };
        assert_eq!(store.first_items("a", 5).await.unwrap(), [first(None), first(Some("upstream_conflict"))]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_items_can_be_leased_alone_and_are_waited_for_during_their_first_attempt_only() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 10).await;
        let leased = store.lease_items("a", Pick::First(4), 2, LEASE, "t1").await.unwrap();
        let rest = store.lease_items("a", Pick::First(4), 100, LEASE, "t2").await.unwrap();
        assert_eq!((leased.len(), rest.len()), (2, 2));
        assert_eq!(store.lease_items("a", Pick::First(4), 100, LEASE, "t3").await.unwrap(), []);
        let waited_for = async || -> Vec<bool> {
            store.first_items("a", 5).await.unwrap().iter().map(|item| item.on_first_attempt).collect()
        };
        assert_eq!(waited_for().await, [true, true, true, true, true]);
        store.put_back("a", &leased[0], false, Duration::ZERO, &ItemResult::default()).await.unwrap();
        store.put_back("a", &leased[1], true, LEASE * 2, &result("accepted")).await.unwrap();
        later(&store, LEASE).await;
        assert_eq!(waited_for().await, [false, false, false, false, true], "those whose lease expired are retried");
        let again = store.lease_items("a", Pick::First(4), 100, LEASE, "t4").await.unwrap();
        assert_eq!(again.len(), 3, "retries and expired leases");
        assert_eq!(waited_for().await, [false, false, false, false, true], "a second attempt is not waited for");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_job_gives_out_only_what_is_under_way_and_a_cancelled_one_gives_up_the_rest() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 3).await;
        let leased = store.lease_items("a", Pick::All, 1, LEASE, "t1").await.unwrap();
        assert_eq!(leased.len(), 1);
        assert!(store.move_job("a", &[JobState::Running], JobState::Paused, Some("why")).await.unwrap());
        assert!(!store.move_job("a", &[JobState::Running], JobState::Paused, None).await.unwrap());
        later(&store, LEASE).await;
        assert_eq!(due(&store, &ServedLast::default(), 10).await.len(), 1);
        assert_eq!(store.lease_items("a", Pick::All, 10, LEASE, "t2").await.unwrap(), [], "it was paused meanwhile");
        let under_way = store.lease_items("a", Pick::UnderWay, 10, LEASE, "t2").await.unwrap();
        assert_eq!(under_way.len(), 1, "the one that was under way");
        assert!(under_way[0].taken_over);
        assert!(store.move_job("a", &[JobState::Paused], JobState::Cancelled, None).await.unwrap());
        assert_eq!(due(&store, &ServedLast::default(), 10).await.len(), 1, "there is something to give up");
        assert_eq!(store.give_up_items("a", 10).await.unwrap(), 2);
        let counts = store.item_counts("a").await.unwrap();
        assert_eq!((counts.by_word, counts.open), ([("cancelled".to_owned(), 2)].into(), 1));
        let depth = store.queue_depth().await.unwrap();
        assert_eq!((depth.pending, depth.under_way, depth.running, depth.paused), (0, 1, 0, 0));
        // The attempt under way ends with an unknown effect, so the item is read once more before it is given up.
        let unknown = ItemResult { attempts: 1, ..ItemResult::default() };
        assert!(store.put_back("a", &under_way[0], false, Duration::from_secs(60), &unknown).await.unwrap());
        assert_eq!(store.give_up_items("a", 10).await.unwrap(), 0);
        assert_eq!(store.lease_items("a", Pick::UnderWay, 10, LEASE, "t3").await.unwrap().len(), 1, "one more look");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_ended_long_ago_are_deleted() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 3).await;
        store.move_job("a", &[JobState::Running], JobState::Cancelled, None).await.unwrap();
        assert!(!store.purge_jobs(Duration::from_secs(60)).await.unwrap());
        assert!(store.job("a").await.unwrap().is_some());
        later(&store, Duration::from_secs(60)).await;
        store.purge_jobs(Duration::from_secs(60)).await.unwrap();
        assert_eq!((store.job("a").await.unwrap(), store.items("a", None, 9).await.unwrap()), (None, vec![]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_for_work_writes_only_where_a_job_starts_or_ends() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 1).await;
        store.begin_job(&new("later", None)).await.unwrap();
        store.add_items("later", &items(1)).await.unwrap();
        store.accept_job("later", JobState::Scheduled, 1, Start::After(Duration::from_secs(60))).await.unwrap();
        let writes = store.stats().writes;
        assert_eq!(due(&store, &ServedLast::default(), 10).await.len(), 1);
        assert_eq!(store.stats().writes, writes, "nothing starts and nothing ends");
        let leased = store.lease_items("a", Pick::All, 1, LEASE, "t").await.unwrap();
        store.finish_item("a", &leased[0], &result("disconnected")).await.unwrap();
        assert_eq!(due(&store, &ServedLast::default(), 10).await, []);
        assert_eq!(store.job("a").await.unwrap().unwrap().state, JobState::Done);
        let writes = store.stats().writes;
        assert_eq!(due(&store, &ServedLast::default(), 10).await, []);
        assert_eq!(store.stats().writes, writes, "the queue is idle");
        later(&store, Duration::from_secs(60)).await;
        assert_eq!(due(&store, &ServedLast::default(), 10).await.len(), 1);
        assert_eq!(store.job("later").await.unwrap().unwrap().state, JobState::Running);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stores_clock_decides_whether_the_time_of_a_job_has_come() {
    on_each(async |place| {
        let store = place.open().await;
        store.begin_job(&new("clock", None)).await.unwrap();
        let now = store.begin_job(&new("other", None)).await.unwrap().now;
        for (id, start, state) in [
            ("now", Start::After(Duration::ZERO), JobState::Running),
            ("past", Start::NotBefore(now - 3_600_000), JobState::Running),
            ("ahead", Start::NotBefore(now + 3_600_000), JobState::Scheduled),
            ("later", Start::After(Duration::from_secs(60)), JobState::Scheduled),
        ] {
            store.begin_job(&new(id, None)).await.unwrap();
            store.add_items(id, &items(1)).await.unwrap();
            store.accept_job(id, JobState::Scheduled, 1, start).await.unwrap();
            let job = store.job(id).await.unwrap().unwrap();
            assert_eq!((job.state, job.started.is_some()), (state, state == JobState::Running), "{id}");
            assert_eq!(job.due > job.now, state == JobState::Scheduled, "{id}");
        }
        assert_eq!(store.job("ahead").await.unwrap().unwrap().due, now + 3_600_000, "to the millisecond");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_was_ever_taken_over_is_not_given_up_without_a_look() {
    on_each(async |place| {
        let store = place.open().await;
        queue(&store, "a", 1).await;
        store.lease_items("a", Pick::All, 1, Duration::ZERO, "dies").await.unwrap();
        let next = store.lease_items("a", Pick::All, 1, LEASE, "t2").await.unwrap();
        assert!(next[0].taken_over);
        store.put_back("a", &next[0], false, Duration::ZERO, &ItemResult::default()).await.unwrap();
        let again = store.lease_items("a", Pick::All, 1, LEASE, "t3").await.unwrap();
        assert!(!again[0].taken_over, "the lease before this one was given back");
        store.put_back("a", &again[0], false, Duration::from_secs(60), &ItemResult::default()).await.unwrap();
        store.move_job("a", &[JobState::Running], JobState::Cancelled, None).await.unwrap();
        assert_eq!(store.give_up_items("a", 10).await.unwrap(), 0);
        assert_eq!(store.lease_items("a", Pick::UnderWay, 1, LEASE, "t4").await.unwrap().len(), 1, "one more look");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_due_come_in_turn_after_the_one_that_was_served_last() {
    on_each(async |place| {
        let store = place.open().await;
        for id in ["a", "b", "c", "d", "e"] {
            later(&store, Duration::from_secs(1)).await;
            queue(&store, id, 1).await;
        }
        let (mut served_last, mut order) = (ServedLast::default(), String::new());
        for _ in 0..4 {
            for job in due(&store, &served_last, 2).await {
                served_last = ServedLast::of(&job);
                order.push_str(&job.id);
            }
        }
        assert_eq!(order, "abcdeabc");
        store.move_job("d", &[JobState::Running], JobState::Paused, None).await.unwrap();
        assert_eq!(due(&store, &served_last, 1).await[0].id, "e", "one that is not due is passed over");
    })
    .await;
}
