//! Failures that only PostgreSQL has: it refuses, is silent, is slow, or comes back empty.

use super::*;

/// A connection beside those of the stores.
async fn beside(place: &TestDatabase) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(place.settings.url.expose(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Waits until this many statements on the table are waiting for a lock.
async fn waiting(beside: &tokio_postgres::Client, count: i64) {
    let asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%claims%' \
                 AND backend_type = 'client backend' AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'claims'::regclass)";
    let all_wait = async { while beside.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) != count {} };
    tokio::time::timeout(Duration::from_secs(20), all_wait).await.expect("they wait, or have ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_simultaneous_claims_waits_and_gets_what_the_first_has_committed() {
    let Some(place) = TestDatabase::postgres().await else { return };
    let (store, first) = (place.open().await, beside(&place).await);
    let watching = beside(&place).await;
    for (key, end, winner) in [("k", "COMMIT", "theirs"), ("l", "ROLLBACK", "ours")] {
        let theirs = "INSERT INTO claims (key, caller, operation, conversation, body, targets, token, created, expires) \
                      SELECT $1, 'key:ivr', 'selector', 'c', 'b', '[1]', 'theirs', now, now + 60000 FROM \
                      (SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock";
        first.batch_execute("BEGIN").await.unwrap();
        first.execute(theirs, &[&key]).await.unwrap();
        let ours = new(key, "ours");
        let commit = async {
            waiting(&watching, 1).await;
            first.batch_execute(end).await.unwrap();
        };
        let (claim, ()) = tokio::join!(store.claim(&ours), commit);
        let claim = claim.unwrap();
        assert_eq!(claim.token, winner);
        assert_eq!(claim.targets, if winner == "ours" { "[]" } else { "[1]" });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_timed_out_end_in_the_database_as_well() {
    let Some(mut place) = TestDatabase::postgres().await else { return };
    place.settings.timeout = Duration::from_secs(1);
    let (store, operator) = (place.open().await, beside(&place).await);
    // A transaction sees the same activity until it ends.
    let watching = beside(&place).await;
    assert_eq!(store.find_claim("k", LIFE).await, Ok(None));
    operator.batch_execute("BEGIN; LOCK TABLE claims IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let claim = new("k", "t");
    let (find, claimed, ()) = tokio::join!(store.find_claim("k", LIFE), store.claim(&claim), waiting(&watching, 2));
    assert_eq!((find, claimed.map(drop)), (Err(StoreError::TimedOut), Err(StoreError::TimedOut)));
    // While the lock is still held.
    waiting(&watching, 0).await;
    operator.batch_execute("COMMIT").await.unwrap();
    assert_eq!(store.claim(&new("k", "second")).await.unwrap().token, "second", "nothing was written afterwards");
}

#[tokio::test]
async fn an_empty_database_in_place_of_the_old_one_gets_its_tables_and_is_noticed() {
    let Some(place) = TestDatabase::postgres().await else { return };
    let store = place.open().await;
    store.claim(&new("k", "old")).await.unwrap();
    run(&store, "DROP TABLE claims, audit, replicas, jobs, items, meta").await;
    let seen = store.read_fleet().await.unwrap();
    assert!(seen.replicas.is_empty());
    assert!(matches!(store.claim(&new("k", "new")).await, Err(StoreError::Replaced { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_postgres_that_refuses_connections_does_not_stop_the_start_and_is_reported_within_the_time_limit() {
    let mut settings = settings("postgres://hangup@127.0.0.1:1/none");
    settings.timeout = Duration::from_millis(300);
    let store = Store::open(&settings).await.unwrap();
    let begun = tokio::time::Instant::now();
    let error = store.claim(&new("k", "t")).await.unwrap_err();
    assert!(matches!(&error, StoreError::OutOfReach(_)), "{error:?}");
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
    assert!(!store.stats().up);
}

#[tokio::test(start_paused = true)]
async fn a_postgres_that_is_silent_is_reported_within_the_time_limit() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&format!("postgres://hangup@{}/none?sslmode=disable", listener.local_addr().unwrap()));
    settings.timeout = Duration::from_millis(300);
    let store = Store::open(&settings).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert!(store.claim(&new("k", "t")).await.is_err());
    assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_call_closes_its_own_connection_and_those_that_have_been_silent() {
    let Some(mut place) = TestDatabase::postgres().await else { return };
    place.settings.timeout = Duration::from_secs(1);
    let store = place.open().await;
    let backend = async || {
        let rows = store.run(Batch::read([sql("SELECT pg_backend_pid()")])).await.unwrap();
        rows[0][0].int(0)
    };
    // Twice, so that no statement alone is slow enough for PostgreSQL to end it.
    let nap = || sql("SELECT CAST(pg_sleep(0.6) AS TEXT)");
    let slow = async || assert_eq!(store.run(Batch::read([nap(), nap()])).await, Err(StoreError::TimedOut));
    let mut neighbours = std::collections::BTreeSet::new();
    let busy = async {
        for _ in 0..30 {
            neighbours.insert(backend().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(slow(), busy);
    assert_eq!(neighbours.len(), 1, "a connection that keeps answering is kept: {neighbours:?}");
    slow().await;
    assert!(!neighbours.contains(&backend().await), "it was silent during the slow call");
}
