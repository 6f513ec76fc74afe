//! The dialog: it disconnects the participant that it showed, or no one.

use hangup::sandbox::{ConversationSpec, ParticipantSpec};
use reqwest::Method;
use uuid::Uuid;

use crate::support::{Answer, TestApp};

/// The hidden field of the dialog.
fn seen(dialog: &str) -> String {
    let after = dialog.split_once("name=\"seen\" value=\"").unwrap().1;
    after.split_once("\">").or_else(|| after.split_once("\" ")).unwrap().0.replace("&quot;", "\"")
}

impl TestApp {
    fn one(&self, participant: Uuid) -> String {
        format!("/console/conversations/{}/participants/{participant}", self.conference.id)
    }

    async fn send_dialog(&self, participant: Uuid, fields: &[(&str, &str)]) -> Answer {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.request(Method::POST, &self.one(participant));
        request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await
    }
}

#[tokio::test]
async fn the_dialog_shows_whom_and_disconnects_exactly_that_one() {
    let service = TestApp::sockets().start().await;
    let agent = service.who("agent");
    let dialog = service.get(&service.one(agent)).await.text;
    for shown in
        ["Disconnect Anna Agent?", "agent", "call", "Support", "connected", "Carla Customer, Ben Agent, Eve Consultant"]
    {
        assert!(dialog.contains(shown), "{shown} in {dialog}");
    }
    let seen = seen(&dialog);
    let answer = service.send_dialog(agent, &[("seen", &seen), ("name", "Anna Agent"), ("reason", "shift over")]).await;
    assert_eq!((answer.status, answer.header("hx-trigger")), (200, "done"), "{}", answer.text);
    assert!(answer.text.contains("is gone: confirmed"), "{}", answer.text);
    assert_eq!(service.there(), ["customer", "agent", "external"]);
}

#[tokio::test]
async fn a_participant_that_changed_since_the_dialog_is_left_alone() {
    let service = TestApp::sockets().start().await;
    let (agent, customer) = (service.who("agent"), service.who("customer"));
    let of_another = seen(&service.get(&service.one(agent)).await.text);
    service.post(&service.path_of(agent)).send().await;
    service.settled().await;
    let answer = service.send_dialog(agent, &[("seen", &of_another)]).await;
    assert_eq!(answer.status, 412, "{}", answer.text);
    assert!(answer.text.contains("<code>changed</code>"), "{}", answer.text);
    assert!(service.get(&service.one(agent)).await.text.contains("Anna Agent has left already"));
    let unknown = service.get(&service.one(uuid::Uuid::new_v4())).await.text;
    assert!(unknown.contains("is not listed") && !unknown.contains("has left"), "{unknown}");
    for blind in [vec![("reason", "x")], vec![("seen", "a\nb"), ("reason", "x")]] {
        let answer = service.send_dialog(customer, &blind).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert_eq!(service.remain().await, ["customer", "agent", "external"]);
}

#[tokio::test]
async fn a_dry_run_and_a_word_that_was_not_typed_disconnect_nobody() {
    let service = TestApp::sockets()
        .config(|config| config.auth.anonymous_permissions.0.push("teardown".to_owned()))
        .start()
        .await;
    let agent = service.who("agent");
    let tag = seen(&service.get(&service.one(agent)).await.text);
    let answer = service.send_dialog(agent, &[("seen", &tag), ("name", "Anna Agent"), ("dryRun", "true")]).await;
    assert!(answer.status == 200 && answer.text.contains("would be disconnected"), "{}", answer.text);
    let everyone = format!("/console/conversations/{}/disconnect", service.conference.id);
    let form = |word: &str| {
        let request =
            service.request(Method::POST, &everyone).header("content-type", "application/x-www-form-urlencoded");
        request.body(format!("word={word}")).send()
    };
    assert_eq!(form("no").await.status, 400);
    assert_eq!(service.sandbox.counts().disconnects(), 0);
    let ended = form("everyone").await;
    assert!(ended.text.contains("The conversation has ended: confirmed."), "{}", ended.text);
}

#[tokio::test]
async fn names_from_outside_are_text_and_never_markup() {
    const NAME: &str = "<img src=x onerror=alert(1)>\"'&\u{202e}a\u{200d}b";
    let service = TestApp::sockets().start().await;
    let spec = ParticipantSpec { name: Some(NAME.to_owned()), ..ParticipantSpec::of("customer") };
    let conversation = service.sandbox.create_conference(ConversationSpec::with(vec![spec]));
    let (cid, pid) = (conversation.id, conversation.participants[0].id);
    let one = format!("/console/conversations/{cid}");
    for path in [format!("{one}/live"), format!("{one}/participants/{pid}"), format!("{one}/disconnect")] {
        let answer = service.get(&path).await;
        let refused = answer.status == 403;
        assert!(refused || answer.text.contains("&lt;img src=x"), "{path}: {}", answer.text);
        assert!(!answer.text.contains("<img"), "{path}");
        assert!(!answer.text.contains('\u{202e}'), "{path}: it would turn the words after it round");
        assert!(refused || answer.text.contains("\u{fffd}a\u{200d}b"), "{path}: {}", answer.text);
    }
    let echoed = service.get("/console/conversations/%3Cimg%3E").await;
    assert!(!echoed.text.contains("<img>") && echoed.text.contains("&lt;img&gt;"), "{}", echoed.text);
}
