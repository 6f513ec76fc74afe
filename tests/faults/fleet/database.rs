//! Troubles of the database: disconnects that name their participant go on, everything else is refused in time.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use super::super::shared::until;
use super::super::table::Row;
use super::{Fleet, IN_TIME};

const THEME: &str = "A fleet and its store";

/// Selectors and teardowns at all replicas are refused in time, no one is disconnected, and named disconnects go on.
async fn refused_in_time(fleet: &mut Fleet) -> Duration {
    let mut slowest = Duration::ZERO;
    for n in 0..6 {
        let target = fleet.stand_in.target();
        let answer = if n % 2 == 0 { fleet.select(&target, None).await } else { fleet.tear_down(&target).await };
        assert_eq!((answer.status, answer.word()), (503, "store_unavailable".to_owned()), "{}", answer.text());
        assert!(answer.took < IN_TIME, "{:?}", answer.took);
        assert!(fleet.stand_in.is_live(&target), "a target was reached");
        slowest = slowest.max(answer.took);
    }
    fleet.named_go_on(30).await;
    for replica in &fleet.replicas {
        assert_eq!(
            replica.readiness().await.expect("an answer").status,
            200,
            "it is ready, and says that it is degraded"
        );
    }
    slowest
}

/// Selectors are served again, without a restart.
async fn serves_again(fleet: &mut Fleet) {
    for _ in 0..3 {
        let target = fleet.stand_in.target();
        let mut last = None;
        let there = async || {
            let answer = fleet.select(&target, None).await;
            let done = answer.status == 200;
            last = Some(answer);
            done
        };
        assert!(until(Duration::from_secs(10), there).await.is_some(), "{:?}", last.map(|answer| answer.text()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_costs_selectors_only_and_claims_hold_when_it_is_back() {
    const TEST: &str = "fleet::a_database_that_dies_costs_selectors_only_and_claims_hold_when_it_is_back";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    let before = fleet.stand_in.target();
    assert_eq!(fleet.select(&before, Some("k")).await.status, 200);
    fleet.cluster.run("kill");
    let slowest = refused_in_time(&mut fleet).await;
    let started = fleet.stand_in.start(fleet.plan()).await;
    assert!(started.readiness().await.expect("an answer").text().contains("degraded"), "it starts without the store");
    fleet.replicas.push(started);
    fleet.cluster.run("start");
    serves_again(&mut fleet).await;
    let next = fleet.another_agent(&before);
    for _ in 0..4 {
        assert_eq!(fleet.select(&before, Some("k")).await.status, 200);
    }
    assert!(fleet.stand_in.sandbox.is_live(before.conversation, next), "the next agent");
    Row {
        theme: THEME,
        fault: "PostgreSQL is killed, and started again later",
        callers_see: "Named disconnects: nothing. Selectors and teardowns: 503 `store_unavailable`, `effect` `none`",
        figure: "Refused within `store.timeout` + 100 ms, 0 of 30 named ones fail, a replica starts without it; earlier claims hold afterwards",
        measured: format!("slowest refusal {} ms", slowest.as_millis()),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_freezes_holds_up_nobody() {
    const TEST: &str = "fleet::a_database_that_freezes_holds_up_nobody";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    fleet.cluster.signal("STOP");
    let slowest = refused_in_time(&mut fleet).await;
    fleet.cluster.signal("CONT");
    serves_again(&mut fleet).await;
    Row {
        theme: THEME,
        fault: "PostgreSQL is stopped (SIGSTOP) and continued",
        callers_see: "Named disconnects: nothing. Selectors and teardowns: 503 `store_unavailable`",
        figure: "Refused within `store.timeout` + 100 ms, 0 of 30 named ones fail; served again without a restart",
        measured: format!("slowest refusal {} ms", slowest.as_millis()),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_in_place_of_the_old_one_is_noticed_by_all() {
    const TEST: &str = "fleet::an_empty_database_in_place_of_the_old_one_is_noticed_by_all";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    let target = fleet.stand_in.target();
    assert_eq!(fleet.select(&target, Some("k")).await.status, 200);
    fleet.cluster.replace();
    // One that never saw the old store learns it from those who did.
    let noted = async || fleet.replacement_is_noted();
    assert!(until(Duration::from_secs(10), noted).await.is_some(), "no replica notices");
    let fresh = fleet.stand_in.start(fleet.plan()).await;
    fleet.replicas.push(fresh);
    let next = fleet.another_agent(&target);
    for _ in 0..8 {
        let answer = fleet.select(&target, Some("k")).await;
        // A replica that holds the claim in its memory serves its repeat; the others refuse.
        let kept =
            answer.status == 200 && answer.json()["results"][0]["participantId"] == target.participant.to_string();
        assert!(kept || answer.word() == "store_unavailable", "{}", answer.text());
    }
    assert!(fleet.stand_in.sandbox.is_live(target.conversation, next), "the next agent");
    refused_in_time(&mut fleet).await;
    fleet.cluster.sql("app", "DELETE FROM meta WHERE key = 'replaced'");
    serves_again(&mut fleet).await;
    Row {
        theme: THEME,
        fault: "PostgreSQL is replaced by an empty one, as after a failover that lost everything",
        callers_see: "503 `store_unavailable` for selectors and teardowns at all replicas, also at one that starts afterwards",
        figure: "0 of 8 repeats reach the next agent; 0 of 30 named disconnects fail",
        measured: "noticed by the next look".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_read_only_or_has_no_connections_left_is_one_out_of_reach() {
    const TEST: &str = "fleet::a_database_that_is_read_only_or_has_no_connections_left_is_one_out_of_reach";
    let Some(mut fleet) = Fleet::start(TEST, 3).await else { return };
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'";
    for (harm, repair) in [
        ("ALTER ROLE app SET default_transaction_read_only = on", "ALTER ROLE app RESET default_transaction_read_only"),
        ("ALTER ROLE app CONNECTION LIMIT 0", "ALTER ROLE app CONNECTION LIMIT -1"),
    ] {
        for sql in [harm, cut] {
            fleet.cluster.sql("postgres", sql);
        }
        refused_in_time(&mut fleet).await;
        for sql in [repair, cut] {
            fleet.cluster.sql("postgres", sql);
        }
        serves_again(&mut fleet).await;
    }
    Row {
        theme: THEME,
        fault: "PostgreSQL becomes read-only, then accepts no connections",
        callers_see: "Named disconnects: nothing. Selectors and teardowns: 503 `store_unavailable`",
        figure: "Refused within `store.timeout` + 100 ms, 0 of 60 named ones fail; served again without a restart",
        measured: "both".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_does_not_stop_the_start_and_a_right_one_is_taken_over() {
    const TEST: &str = "fleet::a_wrong_password_does_not_stop_the_start_and_a_right_one_is_taken_over";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "wrong\n").expect("a file");
    let Some(mut fleet) = Fleet::start(TEST, 0).await else { return };
    fleet.cluster.want_passwords();
    let plan = fleet.plan().set("store.password_file", file.to_str().expect("a path"));
    let replica = fleet.stand_in.start(plan).await;
    fleet.replicas.push(replica);
    refused_in_time(&mut fleet).await;
    assert!(fleet.replicas[0].log().contains("password authentication failed"), "the cause is logged");
    std::fs::write(&file, "first\n").expect("a file");
    serves_again(&mut fleet).await;
    assert!(!fleet.replicas[0].log().contains("wrong"), "a password was logged");
    Row {
        theme: THEME,
        fault: "The password of the store is wrong at the start, and corrected later",
        callers_see: "Named disconnects: nothing. Selectors and teardowns: 503 `store_unavailable` until then",
        figure: "It starts; the file is read again, and no restart is needed",
        measured: "served again".to_owned(),
        test: TEST,
        long_half: true,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_200_ms_away_slows_selectors_and_nothing_else() {
    const TEST: &str = "fleet::a_database_200_ms_away_slows_selectors_and_nothing_else";
    let Some(mut fleet) = Fleet::start(TEST, 0).await else { return };
    let (far, near) = (TcpListener::bind("127.0.0.1:0").await.expect("a port"), fleet.cluster.addr());
    let url = fleet.cluster.url().replace(&near, &far.local_addr().expect("an address").to_string());
    tokio::spawn(async move {
        while let Ok((caller, _)) = far.accept().await {
            if let Ok(database) = TcpStream::connect(&near).await {
                let ((from, to), (back_from, back_to)) = (caller.into_split(), database.into_split());
                tokio::spawn(delayed(from, back_to, Duration::from_millis(200)));
                tokio::spawn(delayed(back_from, to, Duration::ZERO));
            }
        }
    });
    // Its connections are made at the start: several round trips take longer than one call may.
    let plan = fleet.plan().set("store.url", &url).set("store.timeout", "3s");
    let replica = fleet.stand_in.start(plan).await;
    fleet.replicas.push(replica);
    let target = fleet.stand_in.target();
    let first = fleet.select(&target, None).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let target = fleet.stand_in.target();
    let answer = fleet.select(&target, None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.took > Duration::from_millis(350) && answer.took < Duration::from_millis(1200), "{:?}", answer.took);
    let mut slowest = Duration::ZERO;
    for _ in 0..30 {
        let target = fleet.stand_in.target();
        let named = fleet.caller().post(&target.path()).await.expect("an answer");
        assert_eq!(named.status, 200);
        slowest = slowest.max(named.took);
    }
    assert!(slowest < Duration::from_millis(200), "{slowest:?}");
    Row {
        theme: THEME,
        fault: "PostgreSQL is 200 ms away",
        callers_see: "Selectors take two round trips longer: a look and a commit",
        figure: "A selector under 1.2 s; 30 named disconnects each under 200 ms",
        measured: format!("selector {} ms, slowest named one {} ms", answer.took.as_millis(), slowest.as_millis()),
        test: TEST,
        long_half: true,
    }
    .write();
}

/// Hands bytes on after this time.
async fn delayed(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    time: Duration,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 65_536];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        sleep(time).await;
        to.write_all(&bytes[..count]).await?;
    }
}
