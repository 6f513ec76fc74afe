//! The line at the gate: fair between callers, and bounded.

use std::time::Duration;

use hangup::config::Config;
use tokio::time::sleep;

use crate::support::{Kind, Reply, TestApp, all_are, ms, s, tally, together};

#[tokio::test(start_paused = true)]
async fn a_caller_with_few_requests_is_not_held_up_by_one_with_many() {
    let keys = [("many", 0), ("few", 1)].map(|(name, _)| hangup::callers::new_key(name).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n{}", keys[0].toml, keys[1].toml)).unwrap();
    let path = file.path().to_owned();
    let spread = |c: &mut Config| {
        c.auth.keys_file = Some(path);
        c.pace.spread = ms(20);
    };
    let service = TestApp::patch()
        .crowd(220)
        .config(spread)
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(429, "too.many.requests").with("retry-after", &2)),
            _ => None,
        })
        .ready()
        .await;
    let ask = |n: usize, key: &str| service.disconnect(n).header("x-api-key", key);
    let blocker = tokio::spawn(ask(219, &keys[0].text).send());
    sleep(ms(50)).await;
    let many: Vec<_> = (0..200).map(|n| tokio::spawn(ask(n, &keys[0].text).send())).collect();
    sleep(ms(50)).await;
    let few = together((200..210).map(|n| ask(n, &keys[1].text))).await;
    all_are(&few, "200 accepted");
    let slowest_few = few.iter().map(|a| a.took).max().unwrap();
    let mut slowest_many = Duration::ZERO;
    for task in many {
        let answer = task.await.unwrap();
        assert_eq!(answer.line(), "200 accepted");
        slowest_many = slowest_many.max(answer.took);
    }
    blocker.await.unwrap();
    // The gate reopens after 3 s; one by one, ten of theirs and ten of ours take 0.4 s, not the 4 s of all.
    assert!(slowest_few < ms(4300), "{slowest_few:?}");
    assert!(slowest_many > ms(5500), "{slowest_many:?}");
}

#[tokio::test(start_paused = true)]
async fn no_caller_takes_more_than_half_of_the_places_while_others_wait() {
    let keys = ["many", "few"].map(|name| hangup::callers::new_key(name).unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n{}", keys[0].toml, keys[1].toml)).unwrap();
    let path = file.path().to_owned();
    let service = TestApp::patch()
        .crowd(60)
        .config(|c| {
            c.auth.keys_file = Some(path);
            c.limits.max_in_flight = 40;
        })
        .script(|asked| match (asked.kind, asked.nth) {
            (Kind::Patch, 1) => Some(Reply::status(202, "").window(300, 300, 3)),
            _ => None,
        })
        .ready()
        .await;
    let ask = |n: usize, key: usize| service.disconnect(n).header("x-api-key", &keys[key].text);
    ask(59, 0).send().await;
    let few = tokio::spawn(ask(50, 1).send());
    sleep(ms(10)).await;
    let many = together((0..30).map(|n| ask(n, 0))).await;
    assert_eq!(tally(&many), [("200 accepted".to_owned(), 20), ("429 caller_rate_limited".to_owned(), 10)]);
    assert_eq!(few.await.unwrap().line(), "200 accepted");
}

#[tokio::test(start_paused = true)]
async fn what_has_no_place_is_refused_as_overloaded_and_nothing_is_sent_for_it() {
    let service = TestApp::patch()
        .crowd(50)
        .config(|c| c.limits.max_in_flight = 20)
        .script(|asked| (asked.kind == Kind::Patch).then(|| Reply::status(202, "").late(s(1))))
        .ready()
        .await;
    let answers = service.disconnect_all(0..50).await;
    assert_eq!(tally(&answers), [("200 accepted".to_owned(), 20), ("503 overloaded".to_owned(), 30)]);
    assert!(answers.iter().all(|a| a.status == 200 || a.retry_after() == Some(1)));
    assert_eq!(service.disconnects(), 20);
    assert_eq!(service.disconnect(49).send().await.line(), "200 accepted", "places are given back");
}
