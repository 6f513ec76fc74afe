//! One resource that refuses everybody takes nothing from the others: not the token, not the gate.

use std::time::Duration;

use tokio::time::sleep;
use uuid::Uuid;

use crate::support::{Asked, Builder, Kind, Reply, TestApp, all_are, ms, s, tally};

/// A conversation that answers every call with 401, whatever the token.
const POISONED: Uuid = Uuid::from_u128(0x5eed);

fn poisoned(asked: &Asked) -> bool {
    asked.path.contains(&POISONED.to_string())
}

/// For this time, four callers disconnect participants of other conversations every 100 ms, and one of the poisoned one every 50 ms.
async fn four_good_and_one_poisoned(service: &TestApp, time: Duration) -> (Vec<String>, Vec<(String, usize)>) {
    let rounds = usize::try_from(time.as_millis() / 50).unwrap();
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // The good ones go on longer: they show whether the token is good.
        if round + 10 < rounds {
            bad.push(tokio::spawn(service.disconnect_in(POISONED, Uuid::from_u128(round as u128)).send()));
        }
        for n in 0..4 * usize::from(round % 2 == 0) {
            good.push(tokio::spawn(service.disconnect(round * 2 + n).send()));
        }
        sleep(ms(50)).await;
    }
    let (mut failed, mut answers) = (Vec::new(), Vec::new());
    for task in good {
        let answer = task.await.unwrap();
        if answer.line() != "200 accepted" || answer.took > s(1) {
            failed.push(format!("{} after {:?}", answer.line(), answer.took));
        }
    }
    for task in bad {
        answers.push(task.await.unwrap());
    }
    (failed, tally(&answers))
}

fn crowd_before(script: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Builder {
    TestApp::patch().crowd(400).script(script)
}

#[tokio::test(start_paused = true)]
async fn one_conversation_that_answers_401_costs_a_login_every_second_and_a_half_and_no_good_request() {
    // Some logins allow 20 a minute.
    for allowed in [20, 1_000_000] {
        let service = crowd_before(move |asked| match asked.kind {
            Kind::Login if asked.nth > allowed => Some(Reply::status(429, "x").with("retry-after", &60)),
            Kind::Login => Some(Reply::grant(&format!("t{}", asked.nth), 86_400).late(ms(100))),
            _ if poisoned(asked) => Some(Reply::status(401, "bad.credentials")),
            _ => Some(Reply::status(202, "")),
        })
        .ready()
        .await;
        let (failed, bad) = four_good_and_one_poisoned(&service, s(8)).await;
        assert!(failed.is_empty(), "{} good requests failed or waited: {:?}", failed.len(), failed.first());
        assert_eq!(bad, [("422 upstream_rejected".to_owned(), 150)]);
        let logins = service.times(Kind::Login);
        let most = 2 + service.elapsed().as_millis() / 1500;
        assert!(logins.len() as u128 <= most, "{} logins, at most {most}", logins.len());
        for pair in logins[1..].windows(2) {
            assert!(pair[1] - pair[0] >= ms(1500), "{pair:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_is_about_its_resource_as_soon_as_a_later_call_is_accepted_with_the_same_token() {
    let service = crowd_before(|asked| match (asked.kind, asked.nth) {
        (Kind::Login, 2..) => Some(Reply::Hang),
        _ if poisoned(asked) => Some(Reply::status(401, "bad.credentials")),
        _ => None,
    })
    .ready()
    .await;
    let refused = tokio::spawn(service.disconnect_in(POISONED, Uuid::nil()).send());
    sleep(ms(500)).await;
    assert!(!refused.is_finished(), "nothing shows yet whether the token is good");
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    let answer = refused.await.unwrap();
    assert_eq!((answer.line().as_str(), answer.effect()), ("422 upstream_rejected", "none"));
    assert_eq!(answer.json["upstream"]["status"], 401);
    assert!(answer.took < ms(600), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn a_conversation_that_refused_an_old_and_a_new_token_is_distinguished_from_a_revoked_one() {
    let service =
        crowd_before(|asked| poisoned(asked).then(|| Reply::status(401, "bad.credentials").late(s(1)))).ready().await;
    let refused = tokio::spawn(service.disconnect_in(POISONED, Uuid::nil()).send());
    sleep(ms(10)).await;
    // Accepted before the 401 comes, and then there is no more traffic.
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    assert_eq!(refused.await.unwrap().line(), "422 upstream_rejected");
    assert_eq!(service.count(Kind::Login), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_overtaken_when_its_token_was_revoked_is_replayed() {
    // The API checks the token when a call arrives. The first call arrives last.
    let service = crowd_before(|asked| match asked.kind {
        Kind::Login => Some(Reply::grant(&format!("t{}", asked.nth), 86_400)),
        _ if poisoned(asked) && asked.token == "t1" => Some(Reply::status(401, "bad.credentials").late(ms(300))),
        _ => Some(Reply::status(202, "")),
    })
    .ready()
    .await;
    let overtaken = tokio::spawn(service.disconnect_in(POISONED, Uuid::nil()).send());
    sleep(ms(100)).await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted");
    assert_eq!(overtaken.await.unwrap().line(), "200 accepted");
    assert_eq!(service.count(Kind::Login), 2);
}

#[tokio::test(start_paused = true)]
async fn the_old_token_serves_the_others_while_the_replay_waits_for_the_new_one() {
    let service = crowd_before(|asked| match (asked.kind, asked.nth) {
        (Kind::Login, 1) => Some(Reply::grant("old", 86_400)),
        (Kind::Login, _) => Some(Reply::grant("new", 86_400).late(s(2))),
        // Accepts only the new token, so nothing clears the old one.
        _ if poisoned(asked) && asked.token == "old" => Some(Reply::status(401, "bad.credentials")),
        _ if poisoned(asked) => Some(Reply::status(202, "")),
        // Slower than the 401: it proves nothing about the token that met the 401.
        _ => Some(Reply::status(404, "not.found")),
    })
    .ready()
    .await;
    let waiting = tokio::spawn(service.disconnect_in(POISONED, Uuid::nil()).send());
    sleep(ms(100)).await;
    let other = service.disconnect(0).send().await;
    assert!(other.took < ms(100), "no other request waits: {:?}", other.took);
    assert_eq!(service.seen().last().unwrap().asked.token, "old");
    let replayed = waiting.await.unwrap();
    assert_eq!(replayed.line(), "200 accepted");
    assert!((s(2)..ms(2200)).contains(&replayed.took), "{:?}", replayed.took);
    assert_eq!(service.count(Kind::Login), 2);
}

#[tokio::test(start_paused = true)]
async fn one_resource_that_answers_429_with_room_in_the_window_closes_the_gate_for_nobody_else() {
    let service = crowd_before(|asked| match asked.kind {
        Kind::Patch if poisoned(asked) => {
            Some(Reply::status(429, "too.many.requests").window(300, 12, 50).with("retry-after", &40))
        }
        Kind::Patch => Some(Reply::status(202, "").window(300, 12, 50)),
        _ => None,
    })
    .ready()
    .await;
    let (failed, bad) = four_good_and_one_poisoned(&service, s(2)).await;
    assert!(failed.is_empty(), "{} good requests failed or waited: {:?}", failed.len(), failed.first());
    assert_eq!(bad, [("429 upstream_rate_limited".to_owned(), 30)]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_another_limit_refused_waits_for_its_own_retry_after() {
    let service = crowd_before(|asked| match (asked.kind, asked.nth) {
        (Kind::Patch, 1) => Some(Reply::status(429, "x").window(300, 12, 50).with("retry-after", &2)),
        (Kind::Patch, _) => Some(Reply::status(202, "").window(300, 13, 50)),
        _ => None,
    })
    .ready()
    .await;
    let answer = service.disconnect(0).send().await;
    assert_eq!(answer.line(), "200 accepted");
    assert!((s(2)..ms(2400)).contains(&answer.took), "{:?}", answer.took);
}

#[tokio::test(start_paused = true)]
async fn a_token_revoked_while_others_were_accepted_fails_nobody() {
    let service = crowd_before(|_| None).ready().await;
    all_are(&service.disconnect_all(0..50).await, "200 accepted");
    service.sandbox.revoke_all_tokens();
    all_are(&service.disconnect_all(50..100).await, "200 accepted");
    assert_eq!(service.count(Kind::Login), 2);
}
