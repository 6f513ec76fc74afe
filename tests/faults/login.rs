//! The login is down, tokens idle out, are refused, are revoked.

use std::time::Duration;

use hangup::sandbox::{Action, Fault, FaultAnswer, On};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::callers::{Traffic, disconnects};
use super::shared::stand_in::StandIn;
use super::shared::until;
use super::table::Row;

const THEME: &str = "The login and its tokens";

fn login_down() -> Fault {
    Fault::new(On::Login, Action::Answer(FaultAnswer { status: Some(503), ..FaultAnswer::default() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_login_is_down_the_old_token_serves_and_after_it_nobody_waits() {
    let stand_in = StandIn::new();
    stand_in.sandbox.change_tokens(&json!({"lifetime": "20s"})).unwrap();
    let service = stand_in.start(stand_in.plan().set("token.renew_at", "0.1")).await;
    let granted = Instant::now();
    stand_in.fault(login_down());

    let traffic = Traffic::start(&service, &stand_in, 20);
    let failed_logins = || stand_in.sandbox.counts().of_with_status(hangup::sandbox::Kind::Login, 503);
    let mut unready = 0;
    while failed_logins() < 10 {
        assert!(granted.elapsed() < Duration::from_secs(18), "{} failed renewals", failed_logins());
        unready += u32::from(service.readiness().await.expect("an answer").status != 200);
        sleep(Duration::from_millis(100)).await;
    }
    let seen = traffic.end().await;
    seen.none_failed();
    assert_eq!(unready, 0);

    // After the token's end no request waits.
    let expired = until(Duration::from_secs(20), async || service.readiness().await.unwrap().status == 503).await;
    assert!(expired.is_some(), "it stays ready without a token");
    let sent_before = stand_in.sandbox.counts().disconnects();
    // Some meet the login attempt under way, which a sandbox that is down answers at once.
    let refused = disconnects(&service, &stand_in.targets(200), 10).await;
    assert_eq!(refused.account(), [("503 upstream_unavailable".to_owned(), 200)].into(), "{:?}", refused.failures);
    assert!(refused.answers.iter().all(|(_, a)| a.retry_after().is_some_and(|s| (1..=2).contains(&s))));
    assert!(refused.slowest() < Duration::from_millis(500), "{:?}", refused.slowest());
    let counts = stand_in.sandbox.counts();
    assert_eq!(counts.disconnects(), sent_before);
    assert_eq!(counts.refused.get("expired").copied().unwrap_or(0), 0);

    stand_in.sandbox.clear_faults();
    let mut caller = service.caller();
    let back = Instant::now();
    loop {
        let answer = caller.post(&stand_in.target().path()).await.expect("an answer");
        if answer.status == 200 {
            break;
        }
        assert!(back.elapsed() < Duration::from_secs(2), "{}", answer.text());
        sleep(Duration::from_millis(50)).await;
    }
    Row {
        theme: THEME,
        fault: "The login answers 503",
        callers_see: "Nothing while the token lives; then 503 `upstream_unavailable` with `Retry-After` at once",
        figure: "10 failed renewals in one lifetime: 0 failed requests, ready throughout. After expiry: 200 of 200 refused within 500 ms, \
                 0 uses of the expired token. First success within 2 s of the login's return",
        measured: format!(
            "{} disconnects, 0 failed; refusals within {} ms; back after {} ms",
            seen.total(),
            refused.slowest().as_millis(),
            back.elapsed().as_millis()
        ),
        test: "login::while_the_login_is_down_the_old_token_serves_and_after_it_nobody_waits",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_call_after_a_quiet_time_succeeds_after_one_renewal() {
    let stand_in = StandIn::new();
    stand_in.sandbox.change_tokens(&json!({"idle_timeout": "500ms"})).unwrap();
    let service = stand_in.start(stand_in.plan()).await;
    for _ in 0..3 {
        sleep(Duration::from_millis(900)).await;
        stand_in.sandbox.clear_journal();
        disconnects(&service, &[stand_in.target()], 1).await.none_failed();
        let counts = stand_in.sandbox.counts();
        assert_eq!((counts.logins(), counts.refused.get("idled_out")), (1, Some(&1)));
    }
    Row {
        theme: THEME,
        fault: "The org idles tokens out (HIPAA)",
        callers_see: "Nothing",
        figure: "The first call after each of 3 quiet times succeeds: one 401, one renewal, one replay",
        measured: "3 of 3".to_owned(),
        test: "login::the_first_call_after_a_quiet_time_succeeds_after_one_renewal",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_answers_401_for_ever_causes_no_login_storm() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan()).await;
    stand_in.fault(Fault::new(On::Api, Action::Unauthorized));
    stand_in.sandbox.clear_journal();
    let began = Instant::now();
    let mut seen = Vec::new();
    while began.elapsed() < Duration::from_secs(5) {
        let wave = disconnects(&service, &stand_in.targets(50), 50).await;
        assert_eq!(wave.account(), [("503 upstream_rejected_credentials".to_owned(), 50)].into());
        assert!(wave.answers.iter().all(|(_, a)| a.retry_after().is_some()));
        seen.push(wave.slowest());
        sleep(Duration::from_millis(50)).await;
    }
    let logins = stand_in.sandbox.counts().logins();
    // The accepted token is renewed once at once; those never accepted at most every 1.5 s.
    assert!((1..=5).contains(&logins), "{logins} logins in {:?}", began.elapsed());

    stand_in.sandbox.clear_faults();
    let mut caller = service.caller();
    let target = stand_in.target();
    let back = until(Duration::from_secs(3), async || caller.post(&target.path()).await.unwrap().status == 200).await;
    assert!(back.is_some(), "no success after the API accepts the token again");
    Row {
        theme: THEME,
        fault: "The API answers 401 forever",
        callers_see: "503 `upstream_rejected_credentials` with `Retry-After`, not retryable",
        figure: "At most 5 logins in 5 s with 50 callers at once; the first success within 3 s of the end",
        measured: format!("{} requests, {logins} logins", seen.len() * 50),
        test: "login::an_api_that_answers_401_for_ever_causes_no_login_storm",
        long_half: false,
    }
    .write();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_revoked_under_500_concurrent_requests_costs_one_login_and_no_failure() {
    let stand_in = StandIn::new();
    let service = stand_in.start(stand_in.plan()).await;
    stand_in.fault(Fault::latency(On::Api, Duration::from_millis(100)));
    let targets = stand_in.targets(1_000);
    stand_in.sandbox.clear_journal();
    let revoked = async {
        until(Duration::from_secs(10), async || {
            let counts = stand_in.sandbox.counts();
            counts.requests + counts.in_flight >= 300
        })
        .await;
        stand_in.sandbox.revoke_all_tokens()
    };
    let (seen, revoked) = tokio::join!(disconnects(&service, &targets, 500), revoked);
    assert_eq!(revoked, 1);
    seen.none_failed();
    assert_eq!(seen.total(), 1_000);
    let counts = stand_in.sandbox.counts();
    assert_eq!(counts.logins(), 1, "{counts:?}");
    let met = counts.refused.get("revoked").copied().unwrap_or(0);
    assert!(met > 0, "no request met the revoked token");
    Row {
        theme: THEME,
        fault: "The token is revoked under 500 concurrent requests",
        callers_see: "Nothing",
        figure: "1,000 disconnects from 500 callers: 0 failures, 1 login",
        measured: format!("{met} requests met the 401"),
        test: "login::a_token_revoked_under_500_concurrent_requests_costs_one_login_and_no_failure",
        long_half: false,
    }
    .write();
}
