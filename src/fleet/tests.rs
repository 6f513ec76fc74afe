//! Fleets over one database, each on the runtime's clock.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::captured_log::CapturedLog;
use crate::config::Config;
use crate::store::{SharedDatabase, StoreFault};

/// A replica that enters and goes on until its token is cancelled.
async fn replica(database: &SharedDatabase, instance: &str, start: Instant) -> CancellationToken {
    let now_ms = 1_700_000_000_000 + i64::try_from(start.elapsed().as_millis()).unwrap();
    let store = database.open(now_ms, Arc::new(|| (Duration::from_millis(3), StoreFault::None)));
    let fleet = Fleet::new(store, &config::Store { instance: Some(instance.to_owned()), ..Config::defaults().store });
    fleet.enter().await;
    let stop = CancellationToken::new();
    let ended = stop.clone();
    tokio::spawn(async move { fleet.run(ended, |_| {}).await });
    stop
}

#[tokio::test(start_paused = true)]
async fn each_of_two_processes_with_one_name_warns_of_the_other_once() {
    let ((log, _guard), database, start) = (CapturedLog::here(), SharedDatabase::new(), Instant::now());
    let _one = replica(&database, "same", start).await;
    sleep(Duration::from_millis(31_400)).await;
    assert_eq!(log.count("instance_twice"), 0, "alone");
    let _two = replica(&database, "same", start).await;
    sleep(Duration::from_secs(9)).await;
    assert_eq!(log.count("instance_twice"), 2);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(log.count("instance_twice"), 2, "not again and again");
}

#[tokio::test(start_paused = true)]
async fn neither_other_names_nor_a_restart_are_warned_of() {
    let ((log, _guard), database, start) = (CapturedLog::here(), SharedDatabase::new(), Instant::now());
    let _other = replica(&database, "other", start).await;
    for pause_ms in [0, 700, 4_000, 30_000] {
        // One that ends in order, and takes its row with it.
        let ended = replica(&database, "same", start).await;
        sleep(Duration::from_millis(10_300)).await;
        ended.cancel();
        sleep(Duration::from_millis(pause_ms)).await;
    }
    let _last = replica(&database, "same", start).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(log.count("instance_twice"), 0);
}
