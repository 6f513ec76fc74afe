//! Confirm: all who wait in one conversation share the looks, and each has its own end.

use serde_json::json;
use tokio::join;
use tokio::time::sleep;

use super::teardown::after_a_newcomer;
use crate::support::{Kind, Reply, TestApp, ms, s};

#[tokio::test(start_paused = true)]
async fn fifty_participants_of_one_selector_share_the_looks() {
    for (effect, status) in [(ms(800), 200), (s(60), 202)] {
        let service = TestApp::patch()
            .crowd(50)
            .config(move |c| {
                c.auth.anonymous_permissions.0.push("teardown".to_owned());
                c.sandbox.effect_delay = effect;
            })
            // Their disconnects are accepted one after the other, within a second.
            .script(|asked| {
                let answer = || Reply::Served.late(ms(20 * asked.nth as u64));
                (asked.kind == Kind::Patch).then(answer)
            })
            .ready()
            .await;
        let answer = service.selector(&json!({"purpose": "customer", "max": 50})).query("wait=5").send().await;
        assert_eq!((answer.status, answer.json["matched"].as_u64()), (status, Some(50)), "{}", answer.json);
        let gone = answer.json["results"].as_array().unwrap().iter().all(|one| one["gone"] == (status == 200));
        assert!(gone, "{}", answer.json);
        assert!((1..=1 + 18).contains(&service.count(Kind::Read)), "{} reads", service.count(Kind::Read));
    }
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_ends_its_members_one_by_one_shares_the_looks() {
    let service = after_a_newcomer(TestApp::patch().crowd(30), |_| Some(Reply::status(202, ""))).await;
    let before = service.count(Kind::Read);
    let answer = service.teardown().query("wait=5").send().await;
    assert_eq!((answer.status, answer.attempts()), (202, 30), "{}", answer.json);
    let reads = service.count(Kind::Read) - before;
    assert!((2..=10).contains(&reads), "{reads} reads");
}

#[tokio::test(start_paused = true)]
async fn each_who_waits_in_a_conversation_has_its_own_end() {
    let service = TestApp::patch().crowd(2).config(|c| c.sandbox.effect_delay = s(5)).ready().await;
    let (short, long) =
        join!(service.disconnect(0).query("wait=2").send(), service.disconnect(1).query("wait=20").send());
    assert_eq!(short.line(), "202 accepted");
    assert!((ms(1500)..=ms(2050)).contains(&short.took), "{:?}", short.took);
    assert_eq!(long.line(), "200 disconnected, seen");
    assert_eq!(service.count(Kind::Read), 7, "at 250 and 500 ms, 1, 1.8 (the last of the short wait), 2, 4 and 8 s");
}

#[tokio::test(start_paused = true)]
async fn one_who_begins_to_wait_later_is_looked_for_as_soon_as_the_first_was() {
    let service = TestApp::patch()
        .crowd(2)
        // The first participant stays.
        .script(|asked| (asked.kind == Kind::Patch && asked.nth == 1).then(|| Reply::status(202, "")))
        .ready()
        .await;
    let late = async {
        sleep(ms(4500)).await;
        service.disconnect(1).query("wait=10").send().await
    };
    let (first, second) = join!(service.disconnect(0).query("wait=20").send(), late);
    assert_eq!((first.line().as_str(), second.line().as_str()), ("202 accepted", "200 disconnected, seen"));
    assert!(second.took < s(1), "{:?}", second.took);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_began_before_a_participant_was_disconnected_says_nothing_about_it() {
    let service = TestApp::patch()
        .crowd(2)
        .latency(ms(400))
        .config(|c| c.sandbox.effect_delay = s(60))
        .script(|asked| (asked.kind == Kind::Read && asked.nth > 1).then(|| Reply::status(403, "missing.permissions")))
        .ready()
        .await;
    let late = async {
        sleep(ms(500)).await;
        service.disconnect(1).query("wait=3").send().await
    };
    // Accepted at 400 ms, looked for from 650 to 1050 ms; the second is accepted at 900 ms.
    let (first, second) = join!(service.disconnect(0).query("wait=3").send(), late);
    assert_eq!((first.line().as_str(), second.line().as_str()), ("202 accepted", "200 accepted"));
    assert_eq!(second.json["gone"], json!(null));
}
