//! The same suite for each database; for PostgreSQL if `HANGUP_TEST_POSTGRES` names one (`scripts/with-postgres`).

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::engine::{Batch, Row, sql};
use super::*;
use crate::config::{Config, Mode};

const LIFE: Duration = Duration::from_secs(60);

mod audit;
mod files;
mod jobs;
mod lost;
mod postgres;

/// A database that is empty at first and can be opened several times.
pub(super) struct TestDatabase {
    settings: config::Store,
    folder: Option<tempfile::TempDir>,
}

impl TestDatabase {
    fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&format!("sqlite:{}/state/hangup.db", folder.path().display()));
        Self { settings, folder: Some(folder) }
    }

    /// A schema of its own in the database that the environment names, if it does.
    async fn postgres() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let url = std::env::var("HANGUP_TEST_POSTGRES").ok()?;
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
        let mut settings = settings(&format!("{url}?sslmode=disable&options=-csearch_path%3D{name}"));
        settings.timeout = Duration::from_secs(5);
        Some(Self { settings, folder: None })
    }

    pub(super) async fn open(&self) -> Store {
        Store::open(&self.settings).await.unwrap()
    }
}

fn settings(url: &str) -> config::Store {
    let mut settings = Config::defaults().store;
    settings.url = serde_json::from_value(url.into()).unwrap();
    settings.timeout = Duration::from_secs(5);
    settings
}

/// Runs a test on each database.
pub(super) async fn on_each(test: impl AsyncFn(&TestDatabase)) {
    test(&TestDatabase::file()).await;
    if let Some(postgres) = TestDatabase::postgres().await {
        test(&postgres).await;
    }
}

fn new<'a>(key: &'a str, token: &'a str) -> NewClaim<'a> {
    let targets = "[]";
    let (caller, operation) = ("key:ivr", "selector");
    NewClaim { key, caller, operation, conversation: "c", body: "b", targets, token, life: LIFE, refused_for: LIFE }
}

async fn run(store: &Store, text: &str) {
    store.run(Batch::write([sql(text.to_owned())])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_writer_of_a_claim_wins_and_every_repeat_gets_what_it_wrote() {
    on_each(async |place| {
        let (one, two) = (place.open().await, place.open().await);
        assert_eq!(one.find_claim("k", LIFE).await, Ok(None));
        let tokens: Vec<String> = (0..64).map(|n| n.to_string()).collect();
        let claims = tokens.iter().enumerate().map(|(n, token)| {
            let store = if n % 2 == 0 { &one } else { &two };
            async move { store.claim(&NewClaim { targets: token, body: token, ..new("k", token) }).await.unwrap() }
        });
        let claims = futures_util::future::join_all(claims).await;
        let winner = &claims[0].token;
        let wrote =
            |claim: &StoredClaim| [&claim.token, &claim.targets, &claim.body].iter().all(|text| *text == winner);
        assert!(claims.iter().all(wrote), "{claims:?}");
        let found = two.find_claim("k", LIFE).await.unwrap().unwrap();
        assert!(wrote(&found), "{found:?}");
        assert!(found.left <= LIFE && found.left > LIFE / 2, "{found:?}");
        assert_eq!(one.claim(&new("another", "a")).await.unwrap().token, "a");
    })
    .await;
}

#[tokio::test]
async fn an_expired_claim_makes_room_for_the_next() {
    on_each(async |place| {
        let store = place.open().await;
        store.claim(&new("k", "first")).await.unwrap();
        store.purge_claims().await.unwrap();
        assert_eq!(store.claim(&new("k", "second")).await.unwrap().token, "first", "it is alive");
        run(&store, "UPDATE claims SET expires = expires - 60000").await;
        assert_eq!(store.find_claim("k", LIFE).await, Ok(None));
        let third = NewClaim { body: "other", targets: "[1]", ..new("k", "third") };
        let third = store.claim(&third).await.unwrap();
        assert_eq!([&*third.token, &*third.body, &*third.targets], ["third", "other", "[1]"]);
        let found = store.find_claim("k", LIFE).await.unwrap().unwrap();
        assert_eq!(StoredClaim { left: third.left, ..found }, third, "nothing of the one before is left");
        run(&store, "UPDATE claims SET expires = expires - 60000").await;
        store.purge_claims().await.unwrap();
        let left = store.run(Batch::read([sql("SELECT count(*) FROM claims")])).await.unwrap();
        assert_eq!(left[0][0].int(0), 0);
    })
    .await;
}

#[tokio::test]
async fn claims_outlive_the_process() {
    on_each(async |place| {
        place.open().await.claim(&new("k", "before")).await.unwrap();
        assert_eq!(place.open().await.claim(&new("k", "after")).await.unwrap().token, "before");
    })
    .await;
}

#[tokio::test]
async fn a_store_that_was_replaced_refuses_claims_of_all_callers_for_as_long_as_one_may_live() {
    on_each(async |place| {
        let (witness, other) = (place.open().await, place.open().await);
        witness.claim(&new("k", "old")).await.unwrap();
        run(&witness, "UPDATE meta SET value = 'another' WHERE key = 'store_id'").await;
        let refused = |result| matches!(result, Err(StoreError::Replaced { .. }));
        assert!(refused(witness.claim(&new("k2", "new")).await.map(drop)));
        let stored = witness.run(Batch::read([sql("SELECT key FROM claims")])).await.unwrap();
        assert_eq!(stored[0], [Row(vec!["k".into()])], "nothing was written into a store that we do not know");
        // It was noted in the store, so a process that never saw the old one refuses, too.
        assert!(refused(other.find_claim("k", LIFE).await.map(drop)));
        assert!(refused(place.open().await.claim(&new("k3", "new")).await.map(drop)));
        run(&witness, "UPDATE meta SET value = CAST(CAST(value AS BIGINT) - 60000 AS TEXT) WHERE key = 'replaced'")
            .await;
        assert_eq!(witness.claim(&new("k4", "t")).await.unwrap().token, "t");
        let hour = Duration::from_secs(3600);
        assert!(
            refused(witness.claim(&NewClaim { refused_for: hour, ..new("k5", "t") }).await.map(drop)),
            "a longer one may live"
        );
    })
    .await;
}

#[tokio::test]
async fn the_previous_version_runs_on_a_newer_schema_unless_that_forbids_it() {
    on_each(async |place| {
        let store = place.open().await;
        run(&store, "UPDATE meta SET value = '99' WHERE key = 'schema_version'").await;
        assert_eq!(place.open().await.claim(&new("k", "t")).await.unwrap().token, "t");
        run(&store, "UPDATE meta SET value = '99' WHERE key = 'schema_oldest'").await;
        let error = Store::open(&place.settings).await.unwrap_err();
        assert!(error.contains("the store's schema is version 99 and this program knows versions up to"), "{error}");
        assert!(error.starts_with("store.url = "), "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_processes_that_start_at_once_create_the_tables_once() {
    on_each(async |place| {
        let stores = futures_util::future::join_all((0..8).map(|_| place.open())).await;
        for store in &stores {
            store.beat("same").await.unwrap();
            assert_eq!(store.read_fleet().await.unwrap().replicas.len(), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn replicas_are_alive_until_they_leave_or_are_silent_for_long() {
    on_each(async |place| {
        let store = place.open().await;
        for name in ["a", "b", "c"] {
            store.beat(name).await.unwrap();
        }
        let names = async || {
            let seen = store.read_fleet().await.unwrap();
            seen.replicas.into_iter().map(|replica| replica.instance).collect::<Vec<_>>()
        };
        assert_eq!(names().await, ["a", "b", "c"]);
        let age = async || store.read_fleet().await.unwrap().replicas[0].age;
        run(&store, "UPDATE replicas SET started = started - 3600000 WHERE instance = 'a'").await;
        store.beat("a").await.unwrap();
        assert!(age().await >= Duration::from_secs(3_600), "a heartbeat is not a start");
        store.enter("a").await.unwrap();
        assert!(age().await < Duration::from_secs(3_600), "after a crash it is as old as its new process");
        run(&store, "UPDATE replicas SET seen = seen - 10000 WHERE instance = 'b'").await;
        store.leave("c").await.unwrap();
        assert_eq!(names().await, ["a"]);
        store.beat("b").await.unwrap();
        assert_eq!(names().await, ["a", "b"]);
        run(&store, "UPDATE replicas SET seen = seen - 90000000").await;
        store.purge_replicas().await.unwrap();
        let left = store.run(Batch::read([sql("SELECT count(*) FROM replicas")])).await.unwrap();
        assert_eq!(left[0][0].int(0), 0);
    })
    .await;
}

#[tokio::test]
async fn the_mode_is_unset_at_first_and_then_the_same_for_every_replica() {
    on_each(async |place| {
        let store = place.open().await;
        assert_eq!(store.read_fleet().await.unwrap().mode, None);
        store.set_mode(Mode::Observe).await.unwrap();
        assert_eq!(place.open().await.read_fleet().await.unwrap().mode, Some(Mode::Observe));
        store.set_mode(Mode::Enforce).await.unwrap();
        assert_eq!(place.open().await.read_fleet().await.unwrap().mode, Some(Mode::Enforce));
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_fails_undoes_no_other_batch_of_the_same_commit() {
    on_each(async |place| {
        let store = place.open().await;
        let batches = (0..40).map(|n| {
            let insert = |value: &str| sql("INSERT INTO meta (key, value) VALUES ($1, $2)").bind(value).bind("x");
            // The second statement of every fourth batch fails, which must undo the first.
            let wrong =
                if n % 4 == 0 { sql("INSERT INTO meta (key) VALUES ('no value')") } else { insert(&format!("b{n}")) };
            store.run(Batch::write([insert(&format!("a{n}")), wrong]))
        });
        let results = futures_util::future::join_all(batches).await;
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 10);
        let counted = "SELECT count(*) FROM meta WHERE value = 'x'";
        assert_eq!(store.run(Batch::read([sql(counted)])).await.unwrap()[0][0].int(0), 60);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_byte_from_a_caller_is_not_a_failure_of_the_store() {
    on_each(async |place| {
        let store = place.open().await;
        assert_eq!(store.job("a\0b").await, Ok(None));
        let query = AuditQuery { conversation: Some("a\0b".to_owned()), limit: 10, ..AuditQuery::default() };
        assert_eq!(store.read_audit(&query).await.unwrap().records.len(), 0);
        let job = NewJob {
            id: "j".to_owned(),
            caller: "key:ivr".to_owned(),
            name: Some("a\0b".to_owned()),
            plan: "{}".to_owned(),
            body: String::new(),
            request_key: None,
        };
        assert_eq!(store.begin_job(&job).await.unwrap().name.as_deref(), Some("a\u{fffd}b"));
        assert_eq!((store.stats().up, store.stats().failures), (true, 0));
    })
    .await;
}
