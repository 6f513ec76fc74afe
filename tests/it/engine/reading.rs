//! What is read of a conversation and of a login, however oddly it is written.

use serde_json::json;
use uuid::{Uuid, uuid};

use crate::support::{Asked, Kind, Reply, TestApp, s};

const WHO: Uuid = uuid!("22222222-2222-4222-8222-222222222222");

/// An oddity: what stands before the conversation, and the participant beside the one that is asked for.
type Oddity = (&'static str, &'static [u8], &'static [u8]);

const ODDITIES: [Oddity; 9] = [
    ("half of an emoji in a name", b"", br#"{"id":"x","name":"Ann \ud83d"}"#),
    ("Latin-1 in a name", b"", b"{\"id\":\"x\",\"name\":\"Andr\xe9\"}"),
    ("half of an emoji in a text that is not needed", b"", br#"{"id":"x","attributes":{"\ud83d":"\ude00"}}"#),
    ("Latin-1 in a text that is not needed", b"", b"{\"id\":\"x\",\"attributes\":{\"k\xe9y\":[\"\xff\"]}}"),
    ("a byte order mark", b"\xef\xbb\xbf", b"{}"),
    ("null among the calls", b"", br#"{"id":"x","calls":[null,{"state":"connected"}]}"#),
    ("calls that are no list", b"", br#"{"id":"x","calls":7,"chats":{"state":"connected"}}"#),
    ("a participant that is none", b"", b"null,7,\"x\",[[]]"),
    ("members of the wrong type", b"", br#"{"id":7,"name":[],"purpose":{},"endTime":false}"#),
];

/// The conversation of the path, with the odd participant and the one that is asked for.
fn conversation(asked: &Asked, (_, before, odd): Oddity, state: &str) -> Reply {
    let cid = asked.path.rsplit('/').next().unwrap_or_default();
    let who = json!({"id": WHO, "purpose": "customer", "name": "Cy", "calls": [{"state": state}]}).to_string();
    let body = [before, br#"{"id":""#, cid.as_bytes(), br#"","participants":["#, odd, b",", who.as_bytes(), b"]}"];
    Reply::Http { status: 200, headers: Vec::new(), body: body.concat().into() }
}

async fn upstream_with(oddity: Oddity, state: &'static str, patch: u16) -> TestApp {
    TestApp::patch()
        .script(move |asked| match asked.kind {
            Kind::Read => Some(conversation(asked, oddity, state)),
            Kind::Patch => Some(Reply::status(patch, "not.found")),
            _ => None,
        })
        .ready()
        .await
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_everybody_however_odd_one_of_them_is() {
    for oddity in ODDITIES {
        let answer = upstream_with(oddity, "connected", 202).await.list().send().await;
        assert_eq!(answer.status, 200, "{}: {}", oddity.0, answer.json);
        let people = answer.json["participants"].as_array().unwrap();
        assert!(people.iter().any(|p| p["name"] == "Cy" && p["state"] == "connected"), "{}: {people:?}", oddity.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_selector_finds_its_match_however_odd_the_others_are() {
    for oddity in ODDITIES {
        let service = upstream_with(oddity, "connected", 202).await;
        let answer = service.selector(&json!({"purpose": "customer"})).send().await;
        assert_eq!(answer.line(), "200 all", "{}: {}", oddity.0, answer.json);
        assert_eq!((answer.json["matched"].as_u64(), service.count(Kind::Patch)), (Some(1), 1), "{}", oddity.0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_left_is_seen_gone_however_odd_the_others_are() {
    for oddity in ODDITIES {
        let answer = upstream_with(oddity, "disconnected", 404).await.disconnect_id(WHO).send().await;
        assert_eq!(answer.line(), "200 already_disconnected, seen", "{}: {}", oddity.0, answer.json);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_what_was_seen_however_odd_the_others_are() {
    for oddity in ODDITIES {
        for (state, expected) in [("connected", "202 accepted"), ("disconnected", "200 disconnected, seen")] {
            let service = upstream_with(oddity, state, 202).await;
            let answer = service.disconnect_id(WHO).header("prefer", "wait=2").send().await;
            assert_eq!(answer.line(), expected, "{}: {}", oddity.0, answer.json);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_the_api_gets_one_day_counts_as_one() {
    let monitored = |state: &str| {
        json!({"id": "x", "name": "Mo", "screenMonitorings": [{"id": "m", "state": state}]})
            .to_string()
            .leak()
            .as_bytes()
    };
    for (state, media) in [("connected", json!(["screenMonitoring"])), ("disconnected", json!(["screenMonitoring"]))] {
        let service = upstream_with(("", b"", monitored(state)), "connected", 202).await;
        let answer = service.list().send().await;
        let people = answer.json["participants"].as_array().unwrap();
        let mo = people.iter().find(|p| p["name"] == "Mo").unwrap();
        assert_eq!((&mo["state"], &mo["media"]), (&json!(state), &media));
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_is_read_however_oddly_it_is_written() {
    for body in [
        &b"\xef\xbb\xbf{\"access_token\":\"abc\",\"expires_in\":3600}"[..],
        b"{\"access_token\":\"abc\",\"expires_in\":3600,\"org\":\"Caf\xe9 \\ud83d\"}",
    ] {
        let service = TestApp::patch()
            .script(move |asked| match asked.kind {
                Kind::Login => Some(Reply::Http { status: 200, headers: Vec::new(), body: body.into() }),
                Kind::Patch => Some(Reply::status(202, "accepted")),
                _ => None,
            })
            .start()
            .await;
        let answer = service.disconnect(0).send().await;
        assert_eq!((answer.line().as_str(), service.count(Kind::Login)), ("200 accepted", 1));
    }
    let refused = b"\xef\xbb\xbf{\"error\":\"invalid_request\",\"description\":\"rate limit exceeded\"}";
    let service = TestApp::patch()
        .script(move |asked| match (asked.kind, asked.nth) {
            (Kind::Login, 1) => Some(Reply::Http { status: 400, headers: Vec::new(), body: refused[..].into() }),
            _ => None,
        })
        .start()
        .await;
    tokio::time::sleep(s(5)).await;
    assert_eq!(service.disconnect(0).send().await.line(), "200 accepted", "throttled, not refused: tried again soon");
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_words_are_only_in_its_first_error_is_shown_with_them() {
    let body = json!({"status": 400, "errors": [{"code": "bad.request", "message": "so it is"}]}).to_string();
    let service = TestApp::patch()
        .script(move |asked| {
            let refusal = Reply::Http { status: 400, headers: Vec::new(), body: body.clone().into() };
            (asked.kind == Kind::Patch).then_some(refusal)
        })
        .ready()
        .await;
    let answer = service.disconnect(0).send().await;
    assert_eq!(answer.line(), "422 upstream_rejected");
    let upstream = &answer.json["upstream"];
    assert_eq!((&upstream["code"], &upstream["message"]), (&json!("bad.request"), &json!("so it is")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_in_another_coding() {
    let service = TestApp::patch().ready().await;
    service.disconnect(0).header("prefer", "wait=2").send().await;
    assert!(!service.seen().is_empty());
    for seen in service.seen() {
        assert_eq!(seen.asked.accept_encoding, "identity", "{:?}", seen.asked.kind);
    }
}
