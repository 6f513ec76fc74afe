//! Lookups: a conversation in short, and its participants.

use hangup::sandbox::{ConversationSpec, ParticipantSpec};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Kind, NOBODY, Reply, TestApp};

fn purposes(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|p| p["purpose"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_list_has_every_member_and_live_participants_first() {
    let service = TestApp::sockets().start().await;
    let cid = service.conference.id;
    let answer = service.get(&format!("/conversations/{cid}/participants")).await;
    let json = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!((json["ok"].clone(), json["conversationId"].clone()), (true.into(), cid.to_string().into()));
    assert_eq!(
        (json["state"].clone(), json["total"].clone(), json["truncated"].clone()),
        ("active".into(), 5.into(), false.into())
    );
    assert_eq!(json["hidden"], 0);
    assert_eq!(purposes(&json["participants"]), ["customer", "agent", "agent", "external", "acd"]);
    let mut members: Vec<_> = json["participants"][0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "address",
            "connectedTime",
            "endTime",
            "id",
            "media",
            "name",
            "purpose",
            "queueId",
            "startTime",
            "state",
            "userId"
        ]
    );
    assert_eq!(json["participants"][0]["media"], json!(["call"]));
}

#[tokio::test]
async fn filters_combine() {
    let service = TestApp::sockets().start().await;
    let list = |query: &'static str| service.get_list(query);
    assert_eq!(list("?purpose=agent").await, ["agent", "agent"]);
    assert_eq!(list("?purpose=Agent,customer").await, ["customer", "agent", "agent"]);
    assert_eq!(list("?state=disconnected").await, ["acd"]);
    assert_eq!(list("?purpose=agent&state=disconnected").await, [""; 0]);
}

impl TestApp {
    async fn get_list(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/conversations/{}/participants{query}", self.conference.id)).await;
        purposes(&answer.json()["participants"]).into_iter().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn a_conversation_is_answered_in_short() {
    let service = TestApp::sockets().start().await;
    let path = format!("/conversations/{}", service.conference.id);
    let active = service.get(&path).await.json();
    assert_eq!((active["state"].clone(), active["endTime"].clone()), ("active".into(), Value::Null));
    service.sandbox.end_conversation(service.conference.id);
    let ended = service.get(&path).await.json();
    assert_eq!(ended["state"], "ended");
    assert!(ended["startTime"].is_string() && ended["endTime"].is_string());
}

#[tokio::test]
async fn an_unknown_conversation_is_not_found() {
    let service = TestApp::sockets().start().await;
    for path in [format!("/conversations/{NOBODY}"), format!("/conversations/{NOBODY}/participants")] {
        assert_eq!(service.get(&path).await.verdict(), "404 conversation_not_found");
    }
}

#[tokio::test]
async fn a_long_list_is_cut_under_32_kb_and_says_so() {
    let service = TestApp::sockets().start().await;
    let many = (0..300).map(|_| ParticipantSpec::of("agent")).collect();
    let large = service.sandbox.create_conference(ConversationSpec::with(many));
    let answer = service.get(&format!("/conversations/{}/participants", large.id)).await;
    assert!(answer.text.len() < 32 * 1024, "{} bytes", answer.text.len());
    let json = answer.json();
    assert_eq!((json["total"].clone(), json["truncated"].clone()), (300.into(), true.into()));
    assert!(json["participants"].as_array().unwrap().len() > 50);
}

#[tokio::test]
async fn a_disconnect_of_a_participant_who_has_changed_since_the_list_is_refused() {
    let service = TestApp::sockets().start().await;
    let (customer, agent) = (service.who("customer"), service.who("agent"));
    let list = service.get(&format!("/conversations/{}/participants", service.conference.id)).await;
    let tag = list.header("etag").to_owned();
    let disconnect = |who, tag: &str| service.post(&service.path_of(who)).header("if-match", tag).send();

    let nonsense = disconnect(agent, "\"nonsense\"").await;
    assert_eq!((nonsense.verdict(), nonsense.get("gone")), ("412 changed".to_owned(), false.into()));
    let dry =
        service.post(&format!("{}?dryRun=true", service.path_of(agent))).header("if-match", "\"nonsense\"").send();
    assert_eq!(dry.await.verdict(), "412 changed");
    assert_eq!(service.sandbox.counts().disconnects(), 0);

    assert_eq!(disconnect(customer, &tag).await.verdict(), "200 accepted");
    service.settled().await;
    let left = disconnect(customer, &tag).await;
    assert_eq!((left.verdict(), left.get("gone")), ("412 changed".to_owned(), true.into()));
    assert_eq!(disconnect(agent, &tag).await.verdict(), "200 accepted", "that another one has left is no change");
    let sent = service.sandbox.counts().disconnects();
    assert_eq!(disconnect(service.who("external"), "*").await.verdict(), "200 accepted");
    assert_eq!(service.sandbox.counts().disconnects(), sent + 1);
}

#[tokio::test(start_paused = true)]
async fn who_has_changed_because_the_conversation_has_ended_is_told_to_be_gone() {
    let service = TestApp::patch()
        .script(|asked| {
            let id = asked.path.rsplit('/').next().unwrap();
            let person = json!({"id": PERSON, "calls": [{"state": "connected"}]});
            let ended = json!({"id": id, "endTime": "2026-01-01T00:00:00Z", "participants": [person]});
            (asked.kind == Kind::Read).then(|| Reply::json(&ended))
        })
        .ready()
        .await;
    let answer = service.disconnect_id(PERSON.parse().unwrap()).header("if-match", "\"nonsense\"").send().await;
    assert_eq!((answer.verdict(), answer.get("gone")), ("412 changed".to_owned(), true.into()));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_touched_by_a_selector_or_teardown_when_one_of_them_is_not_as_listed() {
    let service = TestApp::patch().config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned())).ready().await;
    let cid = service.conference.id;
    let list = service.get(&format!("/conversations/{cid}/participants")).await;
    let tag = list.header("etag").to_owned();
    service.sandbox.add_participant(cid, ParticipantSpec::of("agent")).unwrap();
    let both = json!({"purpose": "agent", "max": 5});
    let patch = |tag: &str| {
        let path = format!("/api/v2/conversations/calls/{cid}");
        service.request(Method::PATCH, &path).json(&json!({"state": "disconnected"})).header("if-match", tag).send()
    };
    for query in ["dryRun=true", "wait=1"] {
        for ask in [service.selector(&both), service.teardown()] {
            let answer = ask.query(query).header("if-match", &tag).send().await;
            assert_eq!((answer.verdict().as_str(), answer.get("gone")), ("412 changed", false.into()));
        }
    }
    assert_eq!((patch(&tag).await.status, service.disconnects()), (412, 0));

    let list = service.get(&format!("/conversations/{cid}/participants")).await;
    let tag = list.header("etag").to_owned();
    let reads = service.counts()[3];
    let selected = service.selector(&both).header("if-match", &tag).send().await;
    assert_eq!((selected.verdict().as_str(), service.disconnects()), ("200 all", 3));
    assert_eq!(service.counts()[3] - reads, 1, "no further read for each of them");
    service.settled().await;
    let repeated = service.selector(&both).header("if-match", &tag).send().await;
    assert_eq!((repeated.verdict().as_str(), repeated.get("failed")), ("200 all", 0.into()), "they have left by it");
    let ended = service.teardown().header("if-match", &tag).send().await;
    assert_eq!(ended.verdict(), "200 accepted", "that others have left is no change");
}

#[tokio::test]
async fn teardowns_at_once_keep_to_what_each_caller_has_seen_and_a_repeat_to_what_was_claimed() {
    let service = TestApp::patch().config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned())).ready().await;
    let cid = service.conference.id;
    let list = service.get(&format!("/conversations/{cid}/participants")).await;
    let stale = service.teardown().header("if-match", "\"AAAAAAAA\"");
    let (stale, seen) = tokio::join!(stale.send(), service.teardown().header("if-match", list.header("etag")).send());
    assert_eq!((stale.verdict().as_str(), seen.verdict().as_str()), ("412 changed", "200 accepted"));
    service.sandbox.add_participant(cid, ParticipantSpec::of("customer")).unwrap();
    let repeated = service.teardown().header("if-match", list.header("etag")).send().await;
    assert_eq!(repeated.verdict(), "200 accepted", "one who came later is no change of those who are meant");
}

const PERSON: &str = "22222222-2222-4222-8222-222222222222";
