//! Retry: what is worth another attempt, when, and how many a storm is allowed.

use std::time::{Duration, SystemTime};

use hangup::genesys::answer::BodyEnd;
use tokio::time::sleep;

use crate::support::{Answer, Kind, Reply, TestApp, all_are, ms, s};

/// Answers the PATCHes with these, one after the other; the sandbox serves the rest.
async fn after(replies: &[Reply]) -> (TestApp, Answer) {
    let replies = replies.to_vec();
    let service = TestApp::patch()
        .script(move |asked| match asked.kind {
            Kind::Patch => replies.get(asked.nth - 1).cloned(),
            _ => None,
        })
        .ready()
        .await;
    let answer = service.disconnect(0).send().await;
    (service, answer)
}

fn gaps(service: &TestApp, kind: Kind) -> Vec<Duration> {
    service.times(kind).windows(2).map(|p| p[1] - p[0]).collect()
}

#[tokio::test(start_paused = true)]
async fn transient_answers_are_repeated_up_to_four_attempts() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (service, answer) = after(&vec![Reply::status(status, "x"); 3]).await;
        assert_eq!((answer.line().as_str(), answer.attempts()), ("200 accepted", 4), "{status}");
        assert_eq!(service.disconnects(), 4);
        let (service, answer) = after(&vec![Reply::status(status, "x"); 9]).await;
        let expected = if status == 429 { "429 upstream_rate_limited" } else { "503 upstream_unavailable" };
        assert_eq!(answer.line(), expected, "{status}");
        assert!(answer.retry_after().is_some());
        assert_eq!(service.disconnects(), 4, "{status}");
        assert_eq!(answer.json["upstream"]["status"], status);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_are_not_repeated() {
    for status in [400, 402, 413, 422] {
        let (service, answer) = after(&[Reply::status(status, "bad.request")]).await;
        assert_eq!(answer.line(), "422 upstream_rejected");
        assert_eq!(service.disconnects(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_that_says_try_again_is_believed_whatever_its_status() {
    let (service, answer) = after(&[Reply::status(400, "request.timeout")]).await;
    assert_eq!((answer.line().as_str(), service.disconnects()), ("200 accepted", 2));
}

#[tokio::test(start_paused = true)]
async fn connection_errors_and_time_outs_are_repeated() {
    let (service, answer) = after(&[Reply::Refused, Reply::Hang]).await;
    assert_eq!((answer.line().as_str(), answer.attempts()), ("200 accepted", 3));
    assert!(gaps(&service, Kind::Patch)[1] >= s(3), "the attempt time-out");
    let (service, answer) = after(&vec![Reply::Refused; 9]).await;
    assert_eq!((answer.line().as_str(), answer.effect()), ("503 upstream_unavailable", "none"), "nothing was sent");
    assert_eq!((service.disconnects(), service.count(Kind::Read)), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_last_pause_that_ends_at_the_deadline_still_says_that_nothing_was_sent() {
    // Pauses of up to 8 ms before a deadline of 10 ms: some of 200 end within its last millisecond.
    let service = TestApp::patch()
        .crowd(200)
        .latency(Duration::ZERO)
        .config(|c| {
            c.disconnect.deadline = ms(10);
            (c.retry.backoff_min, c.retry.budget_floor) = (ms(8), 1000);
        })
        .script(|asked| (asked.kind == Kind::Patch).then_some(Reply::Refused))
        .ready()
        .await;
    let answers = service.disconnect_all(0..200).await;
    all_are(&answers, "503 upstream_unavailable");
    assert!(answers.iter().all(|answer| answer.effect() == "none"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_repeated_twice_at_once_and_then_as_usual() {
    let (service, answer) = after(&vec![Reply::Lost; 5]).await;
    assert_eq!((answer.line().as_str(), answer.attempts()), ("200 accepted", 6), "two at once, three with backoff");
    let gaps = gaps(&service, Kind::Patch);
    assert!(gaps[0] < ms(15) && gaps[1] < ms(15), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn immediate_repeats_cost_no_budget() {
    // Each first attempt finds its connection closed: no more retries than the budget would allow, if they counted.
    let lost = std::sync::Mutex::new(std::collections::HashSet::new());
    let service = TestApp::patch()
        .crowd(200)
        .script(move |asked| match asked.kind {
            Kind::Patch => lost.lock().unwrap().insert(asked.path.clone()).then_some(Reply::Lost),
            _ => None,
        })
        .ready()
        .await;
    all_are(&service.disconnect_all(0..200).await, "200 accepted");
    assert_eq!(service.disconnects(), 400);
    assert!(service.metric("hangup_retry_budget_exhausted_total").await.abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn retry_after_outranks_the_backoff_in_all_its_forms() {
    let date = httpdate::fmt_http_date(SystemTime::now() + s(6));
    for (value, least, most) in [("2", 2000, 2400), ("1.5", 1500, 1900), ("0", 0, 400), (date.as_str(), 2000, 6500)] {
        for status in [429, 503] {
            let (service, answer) = after(&[Reply::status(status, "x").with("retry-after", &value)]).await;
            assert_eq!(answer.line(), "200 accepted", "{status} {value}");
            let gap = gaps(&service, Kind::Patch)[0];
            // After a 429 the gate adds its margin of 1 s.
            let margin = if status == 429 { s(1) } else { Duration::ZERO };
            let range = ms(least) + margin..=ms(most) + margin + ms(50);
            assert!(range.contains(&gap), "{status} Retry-After: {value}: {gap:?}");
            assert!(gap > ms(least), "grown by some jitter");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reset_of_the_window_outranks_the_backoff_after_a_429() {
    let (service, answer) = after(&[Reply::status(429, "x").window(300, 301, 5)]).await;
    assert_eq!(answer.line(), "200 accepted");
    let gap = gaps(&service, Kind::Patch)[0];
    assert!((s(6)..=ms(6400)).contains(&gap), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_answered_at_once() {
    let (service, answer) = after(&[Reply::status(429, "x").with("retry-after", &30)]).await;
    assert_eq!(answer.line(), "429 upstream_rate_limited");
    assert!(answer.took < ms(100), "{:?}", answer.took);
    assert!((30..=32).contains(&answer.retry_after().unwrap()));
    assert_eq!((service.disconnects(), answer.effect()), (1, "none"));

    let (service, answer) = after(&[Reply::status(503, "x").with("retry-after", &30)]).await;
    assert_eq!(answer.line(), "503 upstream_unavailable");
    assert!(answer.took < ms(100), "{:?}", answer.took);
    assert_eq!(answer.retry_after(), Some(30));
    assert_eq!((service.disconnects(), service.count(Kind::Read), answer.effect()), (1, 1, "unknown"));
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_too_and_its_rubbish_is_not() {
    let broken = |end: BodyEnd, times: usize| async move {
        let service = TestApp::patch()
            .script(move |asked| match asked.kind {
                Kind::Read if asked.nth <= times => Some(Reply::Cut(end)),
                Kind::Patch => Some(Reply::status(404, "not.found")),
                _ => None,
            })
            .ready()
            .await;
        let answer = service.disconnect(1).send().await;
        (answer.line(), service.count(Kind::Read))
    };
    assert_eq!(broken(BodyEnd::Broken, 2).await, ("200 already_disconnected, seen".to_owned(), 3));
    assert_eq!(broken(BodyEnd::Broken, 99).await, ("502 upstream_invalid_response".to_owned(), 4));
    assert_eq!(broken(BodyEnd::TooLarge, 99).await, ("502 upstream_invalid_response".to_owned(), 1));
    assert_eq!(broken(BodyEnd::Complete, 99).await, ("502 upstream_invalid_response".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_503_costs_no_more_than_the_budget_allows() {
    let service = TestApp::patch()
        .crowd(1200)
        .script(|asked| match asked.kind {
            Kind::Login => None,
            Kind::Read => Some(Reply::status(403, "missing.permissions")),
            _ => Some(Reply::status(503, "service.unavailable")),
        })
        .ready()
        .await;
    // 20 a second, steadily.
    let mut running = Vec::new();
    for n in 0..1200 {
        running.push(tokio::spawn(service.disconnect(n).send()));
        sleep(ms(50)).await;
    }
    for task in running {
        let answer = task.await.unwrap();
        assert_eq!(answer.line(), "503 upstream_unavailable");
        assert!(answer.took <= s(10));
    }
    let calls = service.disconnects();
    let allowed = 1200 * 12 / 10 + 60 + 10;
    assert!(calls <= allowed, "{calls} calls, {allowed} allowed");
    assert!(calls > 1200 * 115 / 100, "the budget is used: {calls}");
    assert!(service.metric("hangup_retry_budget_exhausted_total").await > 500.0, "and it is exhausted");
    println!("a minute of 503 at 20 a second: {calls} disconnect calls for 1200 disconnects, {allowed} allowed");
}

#[tokio::test(start_paused = true)]
async fn reads_after_a_minute_of_503_stay_within_the_budget_too() {
    let service = TestApp::patch()
        .crowd(600)
        .script(|asked| (asked.kind != Kind::Login).then(|| Reply::status(503, "service.unavailable")))
        .ready()
        .await;
    let mut running = Vec::new();
    for n in 0..600 {
        running.push(tokio::spawn(service.disconnect(n).send()));
        sleep(ms(100)).await;
    }
    for task in running {
        assert_eq!(task.await.unwrap().effect(), "unknown");
    }
    // One disconnect and one look per disconnect, and over both a fifth of the disconnects, the floor and the initial stock.
    let calls = service.disconnects() + service.count(Kind::Read);
    let allowed = 600 * 2 + 600 / 5 + 60 + 10;
    assert!(calls <= allowed, "{calls} calls, {allowed} allowed");
}

#[tokio::test(start_paused = true)]
async fn an_exhausted_budget_recovers_with_the_upstream() {
    let service = TestApp::patch()
        .crowd(500)
        .script(|asked| match asked.kind {
            Kind::Patch if asked.at < s(5) => Some(Reply::status(503, "service.unavailable")),
            // Later one in ten fails.
            Kind::Patch if asked.nth % 10 == 0 => Some(Reply::status(503, "service.unavailable")),
            Kind::Read => Some(Reply::status(403, "missing.permissions")),
            _ => None,
        })
        .ready()
        .await;
    service.disconnect_all(0..200).await;
    assert!(service.metric("hangup_retry_budget_exhausted_total").await > 0.0);
    sleep(s(25)).await;
    for n in 200..500 {
        assert_eq!(service.disconnect(n).send().await.line(), "200 accepted");
        sleep(ms(50)).await;
    }
}
