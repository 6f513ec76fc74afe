//! Token: one login for everybody, renewed in time, never sent when it is dead.

use std::io::Write as _;

use tokio::time::sleep;

use crate::support::{Kind, Reply, TestApp, all_are, ms, s, tally};

#[tokio::test(start_paused = true)]
async fn five_hundred_callers_meet_a_revoked_token_and_one_login_heals_all() {
    let service = TestApp::patch().crowd(501).config(|c| c.pace.initial_in_flight = 1000).ready().await;
    all_are(&[service.disconnect(500).send().await], "200 accepted");
    service.sandbox.revoke_all_tokens();
    all_are(&service.disconnect_all(0..500).await, "200 accepted");
    assert_eq!(service.count(Kind::Login), 2, "the first, and one renewal");
    assert_eq!(service.count(Kind::Patch), 1001, "each replayed once");
}

#[tokio::test(start_paused = true)]
async fn five_hundred_callers_meet_a_revoked_token_that_the_api_never_accepted() {
    let service = TestApp::patch().crowd(500).ready().await;
    service.sandbox.revoke_all_tokens();
    all_are(&service.disconnect_all(0..500).await, "200 accepted");
    assert_eq!(service.count(Kind::Login), 2);
    assert!(service.answered(401) <= 500);
}

#[tokio::test(start_paused = true)]
async fn an_api_that_answers_401_for_ever_causes_a_login_every_second_and_a_half_at_most() {
    let service = TestApp::auto()
        .crowd(600)
        // Many gateways know no unknown path by its token.
        .script(|asked| match asked.kind {
            Kind::Login => None,
            Kind::Post => Some(Reply::status(404, "not.found")),
            _ => Some(Reply::status(401, "bad.credentials")),
        })
        .ready()
        .await;
    for n in 0..600 {
        let answer = service.disconnect(n).send().await;
        assert_eq!(answer.line(), "503 upstream_rejected_credentials");
        assert!(answer.retry_after().is_some());
        assert_eq!(answer.json["upstream"]["code"], "bad.credentials");
        sleep(ms(50)).await;
    }
    let logins = service.times(Kind::Login);
    let most = 2 + service.elapsed().as_millis() / 1500;
    assert!(logins.len() as u128 <= most, "{} logins, at most {most}", logins.len());
    assert!(logins.len() > 10, "it goes on trying: {}", logins.len());
    for pair in logins[1..].windows(2) {
        assert!(pair[1] - pair[0] >= ms(1500), "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_idled_out_costs_one_renewal_and_no_failed_request() {
    let service = TestApp::patch().crowd(41).ready().await;
    service.sandbox.change_tokens(&serde_json::json!({"idle_timeout": "15m"})).unwrap();
    all_are(&[service.disconnect(40).send().await], "200 accepted");
    sleep(s(16 * 60)).await;
    all_are(&service.disconnect_all(0..40).await, "200 accepted");
    assert_eq!(service.count(Kind::Login), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_at_four_fifths_of_its_life_in_the_background() {
    let service = TestApp::patch()
        .crowd(10)
        .script(|asked| (asked.kind == Kind::Login).then(|| Reply::grant(&format!("t{}", asked.nth), 1000)))
        .ready()
        .await;
    sleep(s(5000)).await;
    let logins = service.times(Kind::Login);
    assert!(logins.len() >= 6, "{logins:?}");
    for pair in logins.windows(2) {
        let share = (pair[1] - pair[0]).as_secs_f64() / 1000.0;
        assert!((0.74..=0.81).contains(&share), "renewed after {share} of its life");
    }
    let renewed: std::collections::BTreeSet<_> = logins.windows(2).map(|p| p[1] - p[0]).collect();
    assert!(renewed.len() > 1, "with jitter");
}

#[tokio::test(start_paused = true)]
async fn ten_failed_renewals_within_a_lifetime_fail_no_request() {
    let service = TestApp::patch()
        .crowd(200)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::grant("first", 300)),
            (Kind::Login, 2..=11) => Some(Reply::status(503, "server_error")),
            (Kind::Login, _) => Some(Reply::grant("second", 300)),
            _ => Some(Reply::status(202, "")),
        })
        .ready()
        .await;
    for n in 0..150 {
        sleep(s(2)).await;
        assert_eq!(service.disconnect(n).send().await.line(), "200 accepted");
    }
    assert_eq!(service.count(Kind::Login), 12);
    let failed: Vec<_> = service.times(Kind::Login)[1..12].to_vec();
    for pair in failed.windows(2) {
        assert!((ms(250)..=ms(1520)).contains(&(pair[1] - pair[0])), "{pair:?}");
    }
    assert_eq!(service.disconnects(), 150);
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_never_sent_and_requests_learn_at_once_when_to_come_back() {
    let service = TestApp::patch()
        .crowd(400)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::grant("first", 100)),
            (Kind::Login, _) => Some(Reply::status(503, "server_error")),
            _ => Some(Reply::status(202, "")),
        })
        .ready()
        .await;
    let granted = service.elapsed();
    for n in 0..240 {
        sleep(ms(500)).await;
        let answer = service.disconnect(n).send().await;
        if service.elapsed() < s(94) {
            assert_eq!(answer.line(), "200 accepted", "at {:?}", service.elapsed());
        } else if service.elapsed() > s(96) {
            assert_eq!(answer.line(), "503 upstream_unavailable", "at {:?}", service.elapsed());
            assert!(answer.took <= ms(20), "waited only for the login in flight: {:?}", answer.took);
            assert!((1..=2).contains(&answer.retry_after().unwrap()));
        }
    }
    let last = *service.times(Kind::Patch).last().unwrap();
    assert!(last <= granted + s(95), "sent at {last:?}, 5 s before its end it counts as expired");
}

#[tokio::test(start_paused = true)]
async fn the_life_of_a_token_counts_from_the_moment_it_was_asked_for() {
    let service = TestApp::patch()
        .crowd(100)
        .script(|asked| match (asked.kind, asked.nth) {
            // The login takes 2 s to tell of a token that was made at once.
            (Kind::Login, 1) => Some(Reply::grant("first", 20).late(s(2))),
            (Kind::Login, _) => Some(Reply::status(503, "server_error")),
            _ => Some(Reply::status(202, "")),
        })
        .ready()
        .await;
    for n in 0..60 {
        service.disconnect(n).send().await;
        sleep(ms(400)).await;
    }
    let last = *service.times(Kind::Patch).last().unwrap();
    assert!(last < s(19), "sent at {last:?}");
}

#[tokio::test(start_paused = true)]
async fn absurd_login_answers_never_replace_a_good_token() {
    let absurd: Vec<Reply> = vec![
        Reply::json(&serde_json::json!({"access_token": "x", "expires_in": 0})),
        Reply::json(&serde_json::json!({"access_token": "x", "expires_in": -1})),
        Reply::json(&serde_json::json!({"access_token": "x", "expires_in": 1e300})),
        Reply::json(&serde_json::json!({"access_token": "x", "expires_in": "3600"})),
        Reply::json(&serde_json::json!({"access_token": "a\r\nb: c", "expires_in": 60})),
        Reply::json(&serde_json::json!({"expires_in": 60})),
        Reply::Http { status: 200, headers: vec![], body: "<html>hi</html>".into() },
        Reply::Http { status: 200, headers: vec![], body: "".into() },
        Reply::Http { status: 302, headers: vec![("location", "http://evil.test".into())], body: "".into() },
        Reply::Cut(hangup::genesys::answer::BodyEnd::Broken),
        Reply::Cut(hangup::genesys::answer::BodyEnd::TooLarge),
        Reply::Hang,
    ];
    let many = absurd.len();
    let service = TestApp::patch()
        .crowd(120)
        .script(move |asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::grant("good", 600)),
            (Kind::Login, nth) => absurd.get(nth - 2).cloned().or_else(|| Some(Reply::grant("better", 600))),
            _ => Some(Reply::status(202, "")),
        })
        .ready()
        .await;
    for n in 0..100 {
        sleep(s(6)).await;
        assert_eq!(service.disconnect(n).send().await.line(), "200 accepted");
    }
    assert_eq!(service.count(Kind::Login), many + 2);
    let tokens: std::collections::BTreeSet<_> =
        service.seen().into_iter().filter(|s| s.asked.kind == Kind::Patch).map(|s| s.asked.token).collect();
    assert_eq!(tokens.into_iter().collect::<Vec<_>>(), ["better", "good"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_tried_once_a_minute_and_named_with_the_region() {
    let service = TestApp::patch()
        .crowd(1)
        .script(|asked| (asked.kind == Kind::Login).then(|| Reply::status(401, "x")))
        .start()
        .await;
    sleep(ms(100)).await;
    let answer = service.disconnect(0).send().await;
    assert_eq!(answer.line(), "503 upstream_rejected_credentials");
    assert!((59..=60).contains(&answer.retry_after().unwrap()));
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("genesys.region") && detail.contains("secret"), "{detail}");
    assert_eq!(answer.json["retryable"], false);
    sleep(s(599)).await;
    assert_eq!(service.count(Kind::Login), 10);
    assert_eq!(service.disconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_file_is_tried_at_once() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"wrong\n").unwrap();
    let path = file.path().to_owned();
    let service = TestApp::patch()
        .config(|c| {
            c.genesys.client_secret = None;
            c.genesys.client_secret_file = Some(path.clone());
        })
        .start()
        .await;
    sleep(s(30)).await;
    assert_eq!(service.count(Kind::Login), 1);
    std::fs::write(&path, "also wrong").unwrap();
    sleep(s(30)).await;
    assert_eq!(service.count(Kind::Login), 2, "another secret is another try");
    std::fs::write(&path, "sandbox-secret\n").unwrap();
    sleep(s(3)).await;
    assert_eq!(service.count(Kind::Login), 3);
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn a_throttled_login_is_no_refused_secret() {
    let service = TestApp::patch()
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::json(&serde_json::json!({
                "error": "invalid_request", "description": "rate limit exceeded; wait 2 seconds"
            })))
            .map(|reply| match reply {
                Reply::Http { headers, body, .. } => Reply::Http { status: 400, headers, body },
                other => other,
            }),
            (Kind::Login, 2) => Some(Reply::status(429, "x").with("retry-after", &3)),
            _ => None,
        })
        .start()
        .await;
    sleep(ms(100)).await;
    let answer = service.disconnect(0).send().await;
    assert_eq!(answer.line(), "503 upstream_unavailable");
    sleep(s(10)).await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    let logins = service.times(Kind::Login);
    assert_eq!(logins.len(), 3);
    assert!(logins[1] - logins[0] >= s(1) && logins[2] - logins[1] >= s(3), "{logins:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_the_login_in_flight_and_not_for_the_next_one() {
    let service = TestApp::patch()
        .crowd(60)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::status(503, "x").late(s(1))),
            (Kind::Login, _) => Some(Reply::grant("t", 600).late(s(1))),
            _ => Some(Reply::status(202, "")),
        })
        .start()
        .await;
    let first = service.disconnect_all(0..30).await;
    all_are(&first, "503 upstream_unavailable");
    assert!(first.iter().all(|a| a.took >= s(1) && a.took < ms(1100)), "{:?}", first[0].took);
    // Once the next login is in flight, it is waited for.
    sleep(ms(500)).await;
    let second = service.disconnect_all(30..60).await;
    assert_eq!(tally(&second), [("200 accepted".to_owned(), 30)]);
    assert_eq!(service.counts()[..3], [2, 0, 30]);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_never_answers_holds_a_request_to_its_time_out_only() {
    let service = TestApp::patch().script(|asked| (asked.kind == Kind::Login).then_some(Reply::Hang)).start().await;
    let answer = service.disconnect(0).send().await;
    assert_eq!(answer.line(), "503 upstream_unavailable");
    assert!(answer.took <= s(3) && answer.retry_after().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_page_of_something_in_between_accuses_no_secret_and_is_tried_again_soon() {
    for status in [403, 404, 405, 407] {
        let service = TestApp::patch()
            .script(move |asked| match (asked.kind, asked.nth) {
                (Kind::Login, 1..=3) => Some(Reply::Http {
                    status,
                    headers: vec![("content-type", "text/html".into())],
                    body: "<html><h1>nginx</h1></html>".into(),
                }),
                _ => None,
            })
            .start()
            .await;
        sleep(ms(50)).await;
        let answer = service.disconnect(0).send().await;
        assert_eq!(answer.line(), "503 upstream_unavailable", "{status}");
        assert!(answer.json["detail"].as_str().unwrap().contains("IP allow-list"), "{}", answer.json);
        assert_eq!(service.metric("hangup_login_failing{reason=\"invalid_answer\"}").await, 1.0);
        sleep(s(5)).await;
        assert_eq!(service.disconnect(0).send().await.line(), "200 accepted", "{status}: with ordinary backoff");
    }
}

#[tokio::test(start_paused = true)]
async fn blanks_line_ends_and_byte_order_marks_around_id_and_secret_do_not_matter() {
    let service = TestApp::patch()
        .config(|c| {
            c.genesys.client_id = Some("\u{feff}sandbox \n".to_owned());
            c.genesys.client_secret = Some("\t sandbox-secret\r\n".into());
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all("\u{feff}sandbox-secret\r\n\n".as_bytes()).unwrap();
    let path = file.path().to_owned();
    let service = TestApp::patch().config(|c| c.genesys.client_secret_file = Some(path)).ready().await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_answer_begins_with_a_byte_order_mark_succeeds() {
    let service = TestApp::patch()
        .script(|asked| match asked.kind {
            Kind::Login => Some(Reply::Http {
                status: 200,
                headers: vec![],
                body: "\u{feff}{\"access_token\":\"t\",\"expires_in\":600}".into(),
            }),
            _ => Some(Reply::status(202, "")),
        })
        .ready()
        .await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
}
