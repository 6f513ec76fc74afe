//! The drop-in before upstreams that answer oddly.

use http::Method;
use serde_json::{Value, json};

use super::org::{PERSON, word};
use crate::api::callers::keys;
use crate::support::{Answer, Ask, Asked, Kind, Reply, TestApp};

/// An org in the words of [`super::org`], of which `reads` are the answers to reads, in turn.
async fn org(patch: &'static str, reads: &'static [&'static str]) -> TestApp {
    TestApp::auto()
        .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .script(move |asked| match asked.kind {
            Kind::Login => None,
            Kind::Read if asked.path.starts_with("/api/v2/analytics/") => Some(word("closed", asked)),
            Kind::Read => Some(word(reads[(asked.nth - 1).min(reads.len() - 1)], asked)),
            _ => Some(word(patch, asked)),
        })
        .ready()
        .await
}

fn ask(service: &TestApp, path: &str) -> Ask {
    let path = path.replace("CID", &service.conference.id.to_string());
    service.request(Method::PATCH, &path).json(&json!({"state": "disconnected"}))
}

async fn patch(service: &TestApp) -> Answer {
    ask(service, &format!("/api/v2/conversations/CID/participants/{PERSON}")).send().await
}

#[tokio::test(start_paused = true)]
async fn the_upstreams_words_are_never_told_beside_another_status_than_theirs() {
    for (said, read, status, code, words) in [
        ("404", "live", 409, "conflict", "still there"),
        ("inactive", "live", 409, "conflict", "still there"),
        ("409", "absent", 404, "conversation.error.not.conversation.participant", "no participant with this id"),
        ("409", "live", 409, "conflict", "about conflict"),
        ("perm", "live", 403, "missing.any.permissions", "about missing"),
        ("grant", "live", 403, "not.a.user", "about not.a.user"),
        ("bad", "live", 400, "bad.request", "about bad"),
    ] {
        let service = org(said, vec![read].leak()).await;
        let answer = patch(&service).await;
        assert_eq!((answer.status, answer.get("code")), (status, json!(code)), "{said} {read}: {}", answer.json);
        assert!(answer.get("message").as_str().unwrap().contains(words), "{said} {read}: {}", answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateways_status_and_words_are_never_told_as_the_upstreams() {
    for (path, body, said, read, status, code) in [
        ("", json!({"state": "disconnected", "wrapupSkipped": true}), "404nginx", "404nginx", 400, "bad.request"),
        ("calls/", json!({"state": "disconnected", "wrapupSkipped": true}), "404nginx", "404nginx", 502, "bad.gateway"),
        ("calls/", json!({"state": "disconnected", "wrapupSkipped": true}), "404nginx", "live", 409, "conflict"),
        ("", json!({"state": "disconnected"}), "409gateway", "live", 409, "conflict"),
    ] {
        let service = org(said, vec![read].leak()).await;
        let path = format!("/api/v2/conversations/{path}CID/participants/{PERSON}");
        let answer = ask(&service, &path).body(body.to_string()).send().await;
        assert_eq!((answer.status, answer.get("code")), (status, json!(code)), "{said} {read}: {}", answer.json);
        assert!(answer.get("message").as_str().unwrap().contains("not Genesys Cloud"), "{}", answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn a_401_about_one_conversation_is_no_word_about_the_callers_own_key() {
    let of_others = |asked: &Asked| match asked.kind {
        Kind::Login => None,
        _ if asked.path.contains(PERSON) => Some(Reply::status(401, "bad.credentials")),
        _ => Some(Reply::status(202, "")),
    };
    let service = TestApp::auto().crowd(3).script(of_others).ready().await;
    let refused = tokio::spawn({
        let ask = ask(&service, &format!("/api/v2/conversations/CID/participants/{PERSON}"));
        ask.send()
    });
    for n in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(service.disconnect(n).send().await.line(), "200 accepted");
    }
    let answer = refused.await.unwrap();
    assert_eq!((answer.status, answer.header("x-hangup-outcome")), (400, "upstream_rejected"), "{}", answer.json);
    assert_eq!(answer.get("code"), "bad.request");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_medium_in_a_conversation_that_only_analytics_remembers_is_a_success() {
    let service = org("404", &["unknown"]).await;
    let answer = ask(&service, "/api/v2/conversations/calls/CID").send().await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    assert_eq!((answer.header("x-hangup-outcome"), answer.header("x-hangup-verified")), ("conversation_ended", "true"));
    assert_eq!(service.disconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_medium_is_no_success_while_it_has_a_participant_whom_nobody_can_name() {
    let odd = |asked: &Asked| {
        let id = asked.path.rsplit('/').next().unwrap();
        let call = |id: Value| json!({"id": id, "calls": [{"state": "connected"}]});
        let chat = json!({"id": uuid::Uuid::new_v4(), "chats": [{"state": "connected"}]});
        Some(Reply::json(&json!({"id": id, "participants": [call(json!("p1")), call(json!(PERSON)), chat]})))
    };
    let service = TestApp::auto()
        .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .script(move |asked| if asked.kind == Kind::Read { odd(asked) } else { None })
        .ready()
        .await;
    let answer = ask(&service, "/api/v2/conversations/calls/CID").send().await;
    assert_eq!((answer.status, answer.header("x-hangup-outcome")), (502, "upstream_invalid_response"));
    assert_eq!(service.disconnects(), 0, "nobody was touched");
}

#[tokio::test(start_paused = true)]
async fn half_of_an_emoji_or_latin_1_in_a_name_hides_the_conversation_from_no_key() {
    let guarded = "purposes = [\"customer\"]\npermissions = [\"read\"]";
    let (file, keys) = keys(&[("guarded", guarded), ("plain", "permissions = [\"read\"]")]);
    let path = file.path().to_owned();
    let body = |asked: &Asked| {
        let id = asked.path.rsplit('/').next().unwrap();
        let mut body = format!("\u{feff}{{\"id\":\"{id}\",\"participants\":[").into_bytes();
        body.extend_from_slice(
            b"{\"id\":\"a\",\"purpose\":\"customer\",\"name\":\"\\ud83d Andr\xe9\"},{\"id\":\"b\"}]}",
        );
        Some(Reply::Http { status: 200, headers: vec![], body: body.into() })
    };
    let service = TestApp::auto()
        .config(|c| c.auth.keys_file = Some(path))
        .script(move |asked| if asked.kind == Kind::Read { body(asked) } else { None })
        .ready()
        .await;
    let path = format!("/api/v2/conversations/{}", service.conference.id);
    for (key, seen) in [(&keys[0], 1), (&keys[1], 2)] {
        let read = service.request(Method::GET, &path).header("x-api-key", key).send().await;
        let people = read.json()["participants"].as_array().unwrap().clone();
        assert_eq!((read.status, people.len()), (200, seen), "{read:?}");
        assert_eq!(people[0]["name"], "\u{fffd} Andr\u{fffd}", "in UTF-8, as JSON must be");
    }
}
