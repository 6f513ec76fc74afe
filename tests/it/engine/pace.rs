//! Pace: a burst is spread over the upstream's windows instead of being refused by them.

use std::time::Duration;

use tokio::time::sleep;

use crate::support::{Kind, Reply, TestApp, all_are, ms, s};

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_meet_retry_after_two_and_are_all_served_outside_its_window() {
    let service = TestApp::patch()
        .crowd(200)
        .script(|asked| match asked.kind {
            Kind::Patch if asked.at < s(1) => Some(Reply::status(429, "too.many.requests").with("retry-after", &2)),
            _ => None,
        })
        .ready()
        .await;
    all_are(&service.disconnect_all(0..200).await, "200 accepted");
    let times = service.times(Kind::Patch);
    let refused = service.answered(429);
    assert!(refused <= 32, "{refused} refused: no more than may be under way at the start");
    let (early, late): (Vec<Duration>, Vec<Duration>) = times.into_iter().partition(|at| *at < ms(100));
    assert_eq!((early.len(), late.len()), (refused, 200));
    let (first, last) = (late[0], late[199]);
    assert!(first >= s(3), "2 s and the margin: {first:?}");
    assert!(first < ms(3500), "and not much more: {first:?}");
    assert!((ms(500)..=s(2)).contains(&(last - first)), "spread over {:?}", last - first);
    let busiest =
        late.iter().map(|from| late.iter().filter(|&&at| (*from..*from + ms(50)).contains(&at)).count()).max();
    assert!(busiest.unwrap() <= 40, "no burst when the gate reopens: {busiest:?} within 50 ms");
}

#[tokio::test(start_paused = true)]
async fn six_hundred_disconnects_at_once_against_300_a_minute_are_all_served_in_time() {
    let service = TestApp::auto().crowd(600).window(300).config(|c| c.disconnect.deadline = s(150)).ready().await;
    let answers = service.disconnect_all(0..600).await;
    all_are(&answers, "200 accepted");
    assert!(answers.iter().all(|a| a.took <= s(150)));
    let upstream = service.disconnects() + service.count(Kind::Read);
    let refused = service.answered(429);
    assert!(refused * 100 < upstream, "{refused} of {upstream} refused");
    let slowest = answers.iter().map(|a| a.took).max().unwrap();
    println!(
        "600 at once against 300 a minute: {upstream} calls, {refused} of them 429, the last answer after {slowest:?}"
    );
    assert_eq!(upstream - refused, 600, "one call each");
}

#[tokio::test(start_paused = true)]
async fn a_burst_within_the_window_is_not_delayed() {
    let service = TestApp::patch().crowd(290).window(300).ready().await;
    let answers = service.disconnect_all(0..290).await;
    all_are(&answers, "200 accepted");
    let slowest = answers.iter().map(|a| a.took).max().unwrap();
    assert!(slowest < ms(100), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_was_not_used_up_passes_into_the_next_without_delay() {
    // 60 a second at 900 ms of latency: more under way at any time than a gate that starts would let through.
    let service = TestApp::patch()
        .crowd(6000)
        .script(|asked| match asked.kind {
            Kind::Patch => {
                let left = 60 - asked.at.as_secs() % 60;
                let used = (asked.at.as_secs() % 60) * 60;
                Some(Reply::status(202, "").window(10_000, u32::try_from(used).unwrap(), left).late(ms(900)))
            }
            _ => None,
        })
        .ready()
        .await;
    let mut running = Vec::new();
    for n in 0..6000 {
        running.push(tokio::spawn(service.disconnect(n).send()));
        sleep(Duration::from_micros(16_667)).await;
    }
    let mut slowest = Duration::ZERO;
    for (n, task) in running.into_iter().enumerate() {
        let answer = task.await.unwrap();
        assert_eq!(answer.line(), "200 accepted");
        // The very first ones wait for the first good answer.
        slowest = slowest.max(if n < 200 { Duration::ZERO } else { answer.took });
    }
    assert!(slowest < ms(950), "{slowest:?}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_thirty_two_are_under_way_until_a_good_answer() {
    let service = TestApp::patch()
        .crowd(100)
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "").late(s(1))))
        .ready()
        .await;
    all_are(&service.disconnect_all(0..100).await, "200 accepted");
    let times = service.times(Kind::Patch);
    let at_first = times.iter().filter(|at| **at < times[0] + ms(500)).count();
    assert_eq!(at_first, 32);
    assert!(times[99] < times[0] + ms(1100), "then, without headers, no gate: {:?}", times[99] - times[0]);
}

#[tokio::test(start_paused = true)]
async fn behind_an_upstream_that_hangs_at_the_start_no_caller_hears_of_a_rate_limit() {
    let service =
        TestApp::patch().crowd(200).script(|asked| (asked.kind != Kind::Login).then_some(Reply::Hang)).ready().await;
    let answers = service.disconnect_all(0..200).await;
    all_are(&answers, "504 upstream_timeout");
    assert!(answers.iter().all(|a| a.took <= s(10)));
    let sent = service.disconnects();
    let unknown = answers.iter().filter(|a| a.effect() == "unknown").count();
    assert!(unknown < 200 && unknown <= sent, "{unknown} unknown of {sent} sent: what was never sent has no effect");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_slow_answers_after_reopening_takes_no_spinning() {
    // The paused clock moves only when every task is idle: a driver that spun would stop it for ever.
    let service = TestApp::patch()
        .crowd(120)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(429, "too.many.requests").with("retry-after", &1)),
            (Kind::Patch, _) => Some(Reply::status(202, "").late(s(2))),
            _ => None,
        })
        .ready()
        .await;
    let all = tokio::time::timeout(s(30), service.disconnect_all(0..120)).await.unwrap();
    all_are(&all, "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_cannot_go_before_its_deadline_is_refused_at_once() {
    let service = TestApp::patch()
        .crowd(3)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(202, "").window(300, 300, 40)),
            _ => None,
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    let answer = service.disconnect(1).send().await;
    assert_eq!(answer.line(), "429 upstream_rate_limited");
    assert_eq!(answer.took, Duration::ZERO);
    assert!((41..=42).contains(&answer.retry_after().unwrap()), "{:?}", answer.retry_after());
    assert_eq!(service.disconnects(), 1);
    sleep(s(42)).await;
    assert_eq!(service.disconnect(1).send().await.line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_already_are_refused_when_the_gate_closes_past_their_deadline() {
    let service = TestApp::patch()
        .crowd(100)
        .script(|asked| match asked.kind {
            Kind::Patch if asked.at < s(5) => {
                let pause = if asked.nth <= 32 { 1 } else { 60 };
                Some(Reply::status(429, "too.many.requests").with("retry-after", &pause))
            }
            _ => None,
        })
        .ready()
        .await;
    let answers = service.disconnect_all(0..100).await;
    all_are(&answers, "429 upstream_rate_limited");
    assert!(answers.iter().all(|a| a.took < s(3)), "refused at once");
    assert!(answers.iter().all(|a| a.retry_after().unwrap() >= 55));
    assert!(service.disconnects() < 100, "{}", service.disconnects());
}

#[tokio::test(start_paused = true)]
async fn the_gate_is_closed_for_no_longer_than_max_pause() {
    let service = TestApp::patch()
        .crowd(2)
        .config(|c| c.pace.max_pause = s(4))
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(202, "").window(300, 300, 3600)),
            _ => None,
        })
        .ready()
        .await;
    service.disconnect(0).send().await;
    let answer = service.disconnect(1).send().await;
    assert_eq!(answer.line(), "200 accepted");
    assert!((s(3)..=ms(4100)).contains(&answer.took), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_has_a_window_of_its_own() {
    let service = TestApp::patch()
        .crowd(20)
        .script(|asked| match (asked.kind, asked.token.as_str()) {
            (Kind::Login, _) => Some(Reply::grant(&format!("t{}", asked.nth), 400)),
            (Kind::Patch, "t1") => Some(Reply::status(202, "").window(5, 5, 3000)),
            (Kind::Patch, _) => Some(Reply::status(202, "").window(300, 1, 60)),
            _ => None,
        })
        .config(|c| c.pace.max_pause = s(3600))
        .ready()
        .await;
    service.disconnect(0).send().await;
    assert_eq!(service.disconnect(1).send().await.line(), "429 upstream_rate_limited");
    // Renewed after at most 320 s.
    sleep(s(321)).await;
    let answer = service.disconnect(2).send().await;
    assert_eq!(answer.line(), "200 accepted");
    assert!(answer.took < ms(100));
}

#[tokio::test(start_paused = true)]
async fn the_first_token_lets_no_more_through_than_the_start_allows() {
    let service = TestApp::patch()
        .crowd(200)
        .script(|asked| match asked.kind {
            Kind::Login => Some(Reply::grant("t", 4000).late(s(1))),
            Kind::Patch => Some(Reply::status(202, "").window(300, 10, 60).late(s(1))),
            _ => None,
        })
        .start()
        .await;
    all_are(&service.disconnect_all(0..200).await, "200 accepted");
    let times = service.times(Kind::Patch);
    assert_eq!(times.iter().filter(|at| **at < times[0] + ms(500)).count(), 32);
}

#[tokio::test(start_paused = true)]
async fn without_headers_there_is_no_gate() {
    let service = TestApp::patch()
        .crowd(1500)
        .config(|c| c.genesys.scope = None)
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "")))
        .ready()
        .await;
    service.disconnect(0).send().await;
    let answers = service.disconnect_all(1..1500).await;
    all_are(&answers, "200 accepted");
    assert!(answers.iter().all(|a| a.took < ms(50)));
}

#[tokio::test(start_paused = true)]
async fn renewed_refusals_after_the_pause_make_the_next_one_longer() {
    let service = TestApp::patch()
        .crowd(1)
        .config(|c| {
            c.disconnect.deadline = s(100);
            c.retry.max_attempts = 5;
        })
        .script(|asked| match asked.kind {
            Kind::Patch => Some(Reply::status(429, "too.many.requests").with("retry-after", &2)),
            _ => None,
        })
        .ready()
        .await;
    let answer = service.disconnect(0).send().await;
    assert_eq!(answer.line(), "429 upstream_rate_limited");
    let times = service.times(Kind::Patch);
    let gaps: Vec<_> = times.windows(2).map(|p| p[1] - p[0]).collect();
    assert_eq!(gaps.len(), 4);
    for (gap, least) in gaps.iter().zip([3, 4, 6, 10]) {
        assert!((s(least)..s(least) + ms(350)).contains(gap), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_headers_counts_as_sent() {
    let service = TestApp::patch()
        .crowd(10)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(202, "").window(5, 1, 7)),
            // Some gateways in between drop headers.
            (Kind::Patch, _) => Some(Reply::status(202, "")),
            _ => None,
        })
        .ready()
        .await;
    for n in 0..5 {
        assert!(service.disconnect(n).send().await.took < ms(100));
    }
    let sixth = service.disconnect(5).send().await;
    assert_eq!(sixth.line(), "200 accepted");
    assert!(sixth.took > s(7), "the window was used up: {:?}", sixth.took);
}
