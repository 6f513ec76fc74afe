//! Which job is served when more is due than can be under way, and how a job ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tower::util::BoxCloneSyncService;

use super::JOBS_AT_ONCE;
use crate::genesys::answer::Body;
use crate::genesys::error::CallError;
use crate::genesys::exchange::Exchange;
use crate::jobs::simulation::replica::jobs_over;
use crate::store::{ItemResult, JobState, NewItem, NewJob, Pick, SharedDatabase, Start, Store, StoreFault};

const ID: &str = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d";
/// Enough items to keep the runner busy for far longer than the test.
const ITEMS: i64 = 400;

async fn queue(store: &Store, id: &str, items: i64) {
    queue_with(store, id, items, "{}").await;
}

async fn queue_with(store: &Store, id: &str, items: i64, plan: &str) {
    let job = NewJob {
        id: id.to_owned(),
        caller: "anonymous".to_owned(),
        name: None,
        plan: plan.to_owned(),
        body: String::new(),
        request_key: None,
    };
    // A conversation each, whose id begins with the item's number.
    let conversation = |number| format!("{number:08}{}", &ID[8..]);
    let item =
        |number| NewItem { number, conversation: conversation(number), participant: Some(ID.to_owned()), target: None };
    store.begin_job(&job).await.unwrap();
    store.add_items(id, &(0..items).map(item).collect::<Vec<_>>()).await.unwrap();
    store.accept_job(id, JobState::Running, items, Start::Now).await.unwrap();
    sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn old_jobs_that_always_have_items_due_do_not_keep_a_younger_one_waiting() {
    let store = SharedDatabase::new().open(0, Arc::new(|| (Duration::from_millis(20), StoreFault::None)));
    // An item is put back when there was no answer, or no token.
    let exchange = BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()));
    let ids: Vec<String> = (0..JOBS_AT_ONCE + 5).map(|number| format!("job-{number:02}")).collect();
    for id in &ids {
        queue(&store, id, ITEMS).await;
    }
    let (jobs, stop) = (jobs_over(store.clone(), exchange), CancellationToken::new());
    let running = tokio::spawn({
        let (jobs, stop) = (jobs.clone(), stop.clone());
        async move { jobs.run(stop).await }
    });
    sleep(Duration::from_secs(10)).await;
    stop.cancel();
    running.await.unwrap();
    for id in ids {
        let items = store.items(&id, None, ITEMS).await.unwrap();
        let taken = items.iter().filter(|item| item.state != "pending" || item.result.detail.is_some()).count();
        assert!(taken > 0, "{id} was never served");
        assert!((taken as i64) < ITEMS, "{id} had nothing left to do, so that nothing was seen");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_with_the_last_of_twenty_items_that_fail_alike_pauses_itself_however_they_interleave() {
    let store = SharedDatabase::new().open(0, Arc::new(|| (Duration::from_millis(20), StoreFault::None)));
    let exchange = BoxCloneSyncService::new(tower::service_fn(|_| std::future::pending()));
    let (jobs, stop) = (jobs_over(store.clone(), exchange), CancellationToken::new());
    let ends = [
        ("twenty", 20, "upstream_forbidden"),
        ("nineteen", 19, "upstream_forbidden"),
        ("gone", 20, "participant_not_found"),
    ];
    for (id, number, code) in ends {
        queue(&store, id, number).await;
        let result = ItemResult { outcome: "failed".into(), code: Some(code.to_owned()), ..ItemResult::default() };
        // As if a replica stopped between the last result and the check whether the job is hopeless.
        for item in store.lease_items(id, Pick::All, number, Duration::from_secs(60), "other").await.unwrap() {
            assert!(store.finish_item(id, &item, &result).await.unwrap());
        }
    }
    let running = tokio::spawn({
        let (jobs, stop) = (jobs.clone(), stop.clone());
        async move { jobs.run(stop).await }
    });
    sleep(Duration::from_secs(5)).await;
    let job = async |id: &str| store.job(id).await.unwrap().unwrap();
    let paused = job("twenty").await;
    assert_eq!((paused.state, paused.ended), (JobState::Paused, None));
    assert!(
        paused.paused_because.as_deref().is_some_and(|because| because.contains("upstream_forbidden")),
        "{paused:?}"
    );
    for id in ["nineteen", "gone"] {
        assert_eq!(job(id).await.state, JobState::Done, "{id}");
    }
    jobs.change(&paused, &[JobState::Paused], JobState::Running, None).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(job("twenty").await.state, JobState::Done, "who resumes it has seen why");
    stop.cancel();
    running.await.unwrap();
}

/// Refuses each disconnect for the same reason; the first item answers last.
async fn refuses(request: Request<Bytes>) -> Result<Response<Body>, CallError> {
    let (status, body) = if request.uri().path() == "/oauth/token" {
        (200, r#"{"access_token":"token","token_type":"bearer","expires_in":86400}"#)
    } else {
        (422, r#"{"message":"no","code":"rejected","status":422}"#)
    };
    if request.uri().path().contains("/00000000-") {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(Response::builder().status(status).body(Body::complete(body.into())).unwrap())
}

#[tokio::test(start_paused = true)]
async fn no_item_beyond_the_first_twenty_is_tried_until_they_have_told_whether_the_job_is_hopeless() {
    let store = SharedDatabase::new().open(0, Arc::new(|| (Duration::from_millis(20), StoreFault::None)));
    let (jobs, stop) =
        (jobs_over(store.clone(), BoxCloneSyncService::new(tower::service_fn(refuses))), CancellationToken::new());
    queue(&store, "job", 40).await;
    // A caller has paused and resumed it before, which says nothing about its items.
    let paused = store.job("job").await.unwrap().unwrap();
    let paused = jobs.pause(&paused, &[JobState::Running], "anonymous").await.unwrap();
    jobs.change(&paused, &[JobState::Paused], JobState::Running, None).await.unwrap();
    let running = tokio::spawn({
        let (jobs, stop) = (jobs.clone(), stop.clone());
        async move { jobs.run(stop).await }
    });
    sleep(Duration::from_secs(10)).await;
    let job = store.job("job").await.unwrap().unwrap();
    assert_eq!(job.state, JobState::Paused, "{job:?}");
    assert_eq!(store.item_counts("job").await.unwrap().open, 20, "the others were never tried");
    for _ in 0..2 {
        let running = jobs.change(&job, &[JobState::Paused], JobState::Running, None).await.unwrap();
        let paused = jobs.pause(&running, &[JobState::Running], "anonymous").await.unwrap().paused_because.unwrap();
        assert_eq!(paused.matches("paused by").count(), 1, "{paused}");
    }
    jobs.change(&job, &[JobState::Paused], JobState::Running, None).await.unwrap();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(store.job("job").await.unwrap().unwrap().state, JobState::Done, "who resumes it has seen why");
    stop.cancel();
    running.await.unwrap();
}

/// An HTML page, as from a gateway, for everything but the login. Counts the disconnects.
fn in_between(sent: &Arc<AtomicUsize>) -> Exchange {
    let sent = Arc::clone(sent);
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Bytes>| {
        let is_login = request.uri().path() == "/oauth/token";
        sent.fetch_add(usize::from(!is_login && request.method() != Method::GET), Ordering::Relaxed);
        let (status, body) = if is_login {
            (200, r#"{"access_token":"token","token_type":"bearer","expires_in":86400}"#)
        } else {
            (403, "<html>not here</html>")
        };
        let answer = Response::builder().status(status).header("content-type", "text/html");
        std::future::ready(Ok(answer.body(Body::complete(body.into())).unwrap()))
    }))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_for_an_abandoned_item_of_a_cancelled_or_paused_job_that_cannot_be_looked_at() {
    let store = SharedDatabase::new().open(0, Arc::new(|| (Duration::from_millis(20), StoreFault::None)));
    let sent = Arc::default();
    let (jobs, stop) = (jobs_over(store.clone(), in_between(&sent)), CancellationToken::new());
    for (id, plan, to) in [
        ("cancelled", "{}", JobState::Cancelled),
        ("preview", r#"{"dryRun":true}"#, JobState::Cancelled),
        ("paused", "{}", JobState::Paused),
    ] {
        queue_with(&store, id, 1, plan).await;
        // As if a replica crashed while it had the lease.
        store.lease_items(id, Pick::All, 1, Duration::from_secs(1), "other").await.unwrap();
        let job = store.job(id).await.unwrap().unwrap();
        jobs.change(&job, &[JobState::Running], to, None).await.unwrap();
    }
    let running = tokio::spawn({
        let (jobs, stop) = (jobs.clone(), stop.clone());
        async move { jobs.run(stop).await }
    });
    let item = async |id: &str| store.items(id, None, 1).await.unwrap().remove(0);
    sleep(Duration::from_secs(10)).await;
    assert_eq!((item("paused").await.state, item("cancelled").await.state), ("pending".into(), "confirming".into()));
    assert_eq!(item("preview").await.result.outcome, "cancelled", "a preview sends nothing, so nothing is in doubt");
    sleep(Duration::from_secs(90)).await;
    let result = item("cancelled").await.result;
    assert_eq!(result.outcome, "unconfirmed");
    assert!(
        result.detail.is_some_and(|detail| detail.contains("may have been sent")),
        "no one knows that it was accepted"
    );
    assert_eq!(sent.load(Ordering::Relaxed), 0);
    stop.cancel();
    running.await.unwrap();
}
