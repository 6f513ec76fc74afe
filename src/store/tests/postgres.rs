//! What only PostgreSQL can do wrong: it refuses, is silent, is slow, or comes back empty.

use super::*;

#[tokio::test]
async fn an_empty_database_in_place_of_the_old_one_gets_its_tables_and_is_noticed() {
    let Some(place) = TestDatabase::postgres().await else { return };
    let store = place.open().await;
    store.claim(&new("k", "old")).await.unwrap();
    run(&store, "DROP TABLE claims, audit, replicas, jobs, items, meta").await;
    let seen = store.look_around().await.unwrap();
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
async fn a_slow_call_costs_its_own_connection_and_those_that_have_been_silent_as_well() {
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
    assert_eq!(neighbours.len(), 1, "one that answers all the while is kept: {neighbours:?}");
    slow().await;
    assert!(!neighbours.contains(&backend().await), "nothing was heard from it while the slow call went on");
}
