//! Callers can do nothing but what they were allowed.

use std::io::Write as _;

use hangup::callers::new_key;
use hangup::config::Config;
use hangup::sandbox::{ConversationSpec, Medium, ParticipantSpec};
use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, NOBODY, TestApp};

/// A keys file with one key for each block of further members; the keys in the same order.
pub(crate) fn keys(blocks: &[(&str, &str)]) -> (tempfile::NamedTempFile, Vec<String>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut texts = Vec::new();
    for (name, members) in blocks {
        let made = new_key(name).unwrap();
        let block: String =
            made.toml.lines().filter(|line| !line.starts_with("permissions")).map(|l| format!("{l}\n")).collect();
        writeln!(file, "{block}{members}").unwrap();
        texts.push(made.text);
    }
    (file, texts)
}

async fn with_keys(blocks: &[(&str, &str)]) -> (TestApp, Vec<String>, tempfile::NamedTempFile) {
    with_keys_and(blocks, |_| {}).await
}

pub(crate) async fn with_keys_and(
    blocks: &[(&str, &str)],
    change: impl FnOnce(&mut Config),
) -> (TestApp, Vec<String>, tempfile::NamedTempFile) {
    let (file, texts) = keys(blocks);
    let path = file.path().to_owned();
    let service = TestApp::sockets()
        .config(|c| {
            c.auth.keys_file = Some(path);
            change(c);
        })
        .start();
    (service.await, texts, file)
}

impl TestApp {
    async fn disconnect_by(&self, key: &str, purpose: &str) -> Answer {
        self.post(&self.path_of(self.who(purpose))).header("x-api-key", key).send().await
    }
}

#[tokio::test]
async fn without_a_valid_key_nothing_happens() {
    let (service, keys, _file) = with_keys(&[("ivr", ""), ("old", "expires = \"2020-01-01\"")]).await;
    let path = service.path_of(service.who("agent"));
    for (header, value) in
        [("x-none", "x"), ("x-api-key", "hk_wrong"), ("authorization", "Bearer wrong"), ("x-api-key", &keys[1])]
    {
        let answer = service.post(&path).header(header, value).send().await;
        assert_eq!(answer.verdict(), "401 unauthenticated", "{header}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert!(!answer.text.contains(value), "the credential is not echoed");
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0);
    let by_bearer = service.post(&path).header("authorization", &format!("Bearer {}", keys[0])).send().await;
    assert_eq!(by_bearer.verdict(), "200 accepted");
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let (service, keys, _file) =
        with_keys(&[("reader", "permissions = [\"read\"]"), ("dropper", "permissions = [\"disconnect\"]")]).await;
    let refused = service.disconnect_by(&keys[0], "agent").await;
    assert_eq!(refused.verdict(), "403 forbidden_caller");
    assert!(refused.get("detail").as_str().unwrap().contains("\"disconnect\""));
    let list = format!("/conversations/{}/participants", service.conference.id);
    let read = |key: &str| service.request(Method::GET, &list).header("x-api-key", key).send();
    assert_eq!(read(&keys[0]).await.status, 200);
    assert_eq!(read(&keys[1]).await.verdict(), "403 forbidden_caller");
    let all =
        service.post(&format!("/conversations/{}/disconnect", service.conference.id)).header("x-api-key", &keys[1]);
    assert_eq!(all.json(&json!({"all": true})).send().await.verdict(), "403 forbidden_caller");
    assert_eq!(service.remain().await.len(), 4);
}

#[tokio::test]
async fn a_guarded_key_reaches_only_its_purposes() {
    let (service, keys, _file) =
        with_keys(&[("guarded", "purposes = [\"customer\"]\npermissions = [\"disconnect\", \"read\", \"teardown\"]")])
            .await;
    assert_eq!(service.disconnect_by(&keys[0], "agent").await.verdict(), "403 forbidden_participant");
    let path = format!("/conversations/{}/participants/disconnect", service.conference.id);
    let select = |selector: serde_json::Value| service.post(&path).header("x-api-key", &keys[0]).json(&selector).send();
    assert_eq!(select(json!({"purpose": "external"})).await.verdict(), "403 forbidden_participant");
    let teardown =
        service.post(&format!("/conversations/{}/disconnect", service.conference.id)).header("x-api-key", &keys[0]);
    assert_eq!(teardown.json(&json!({"all": true})).send().await.verdict(), "403 forbidden_participant");
    assert_eq!(service.sandbox.counts().disconnects(), 0);
    assert_eq!(service.disconnect_by(&keys[0], "customer").await.verdict(), "200 accepted");
    let nobody = service.post(&service.path_of(NOBODY)).header("x-api-key", &keys[0]).send().await;
    assert_eq!(nobody.verdict(), "404 participant_not_found");
}

#[tokio::test]
async fn a_guarded_key_ends_a_medium_for_all_who_have_it_or_for_nobody() {
    let (service, keys, _file) =
        with_keys(&[("guarded", "purposes = [\"customer\"]\npermissions = [\"disconnect\", \"teardown\"]")]).await;
    let mut people = ["customer", "agent", "customer"].map(ParticipantSpec::of);
    people[2].media = vec![Medium::Callbacks];
    let cid = service.sandbox.create_conference(ConversationSpec::with(people.to_vec())).id;
    for (medium, status) in [("calls", 403), ("callbacks", 200)] {
        let ask = service.request(Method::PATCH, &format!("/api/v2/conversations/{medium}/{cid}"));
        let ended = ask.header("x-api-key", &keys[0]).json(&json!({"state": "disconnected"})).send().await;
        assert_eq!(ended.status, status, "{}", ended.text);
        assert_eq!(service.sandbox.counts().disconnects(), u64::from(status == 200), "{medium}");
    }
}

#[tokio::test]
async fn a_guarded_key_reads_of_those_alone_whom_it_may_touch() {
    let (service, keys, _file) = with_keys(&[("guarded", "purposes = [\"customer\"]")]).await;
    let get = |path: String| service.request(Method::GET, &path).header("x-api-key", &keys[0]).send();
    let cid = service.conference.id;
    for path in [format!("/conversations/{cid}"), format!("/conversations/{cid}/participants")] {
        let list = get(path).await;
        assert_eq!((list.get("total"), list.get("hidden")), (json!(1), json!(4)));
        assert_eq!(list.json()["participants"][0]["purpose"], "customer");
        assert!(!list.text.contains("Agent"), "{}", list.text);
    }
    for path in [format!("/api/v2/conversations/{cid}"), format!("/api/v2/conversations/calls/{cid}")] {
        let raw = get(path).await;
        assert_eq!((raw.status, raw.get("id")), (200, json!(cid)));
        let people = raw.json()["participants"].clone();
        assert_eq!(people.as_array().map(Vec::len), Some(1), "{people}");
        assert_eq!(people[0]["purpose"], "customer");
    }
}

#[tokio::test]
async fn an_observing_key_touches_nobody_through_any_door() {
    let (service, keys, _file) =
        with_keys(&[("watcher", "mode = \"observe\"\npermissions = [\"disconnect\", \"read\", \"teardown\"]")]).await;
    assert_eq!(service.disconnect_by(&keys[0], "agent").await.verdict(), "200 would_disconnect");
    let api = format!("/api/v2/conversations/{}/participants/{}", service.conference.id, service.who("agent"));
    let patch =
        service.request(Method::PATCH, &api).header("x-api-key", &keys[0]).json(&json!({"state": "disconnected"}));
    let refused = patch.send().await;
    assert_eq!((refused.status, refused.get("code")), (403, json!("observe_mode")));
    let words = "hangup is in observe mode; nobody was disconnected; this is not a permission problem";
    assert_eq!(refused.get("message"), words);
    assert_eq!((refused.header("x-hangup-outcome"), refused.header("x-hangup-verified")), ("observe_mode", "false"));
    let post = service.post(&format!("{api}/disconnect")).header("x-api-key", &keys[0]).send().await;
    assert_eq!((post.status, post.get("code")), (403, json!("observe_mode")));
    let selector = service
        .post(&format!("/conversations/{}/participants/disconnect", service.conference.id))
        .header("x-api-key", &keys[0])
        .json(&json!({"purpose": "customer"}));
    assert_eq!(selector.send().await.verdict(), "200 would_disconnect", "at the top level");
    let teardown =
        service.post(&format!("/conversations/{}/disconnect", service.conference.id)).header("x-api-key", &keys[0]);
    assert_eq!(teardown.json(&json!({"all": true})).send().await.verdict(), "200 would_disconnect");
    assert_eq!(service.remain().await.len(), 4);
}

#[tokio::test]
async fn a_rate_that_is_used_up_is_answered_with_retry_after() {
    let (service, keys, _file) = with_keys(&[("slow", "rate = \"2/h\"")]).await;
    let mut verdicts = Vec::new();
    for _ in 0..3 {
        let answer = service.disconnect_by(&keys[0], "agent").await;
        verdicts.push((answer.verdict(), answer.header("retry-after").is_empty()));
    }
    assert_eq!(verdicts[2], ("429 caller_rate_limited".to_owned(), false));
    assert!(verdicts[1].1);
}

#[tokio::test]
async fn the_oauth_door_gives_back_the_key_when_name_and_key_match() {
    use base64::Engine as _;
    let (service, keys, _file) = with_keys(&[("sdk", "")]).await;
    let log_in = |name: &str, key: &str| {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{key}"));
        let request = service.post("/oauth/token").header("authorization", &format!("Basic {basic}"));
        request.header("content-type", "application/x-www-form-urlencoded").body("grant_type=client_credentials").send()
    };
    let granted = log_in("sdk", &keys[0]).await;
    assert_eq!(
        (granted.status, granted.get("access_token"), granted.get("token_type")),
        (200, json!(keys[0]), json!("bearer"))
    );
    for (name, key) in [("other", keys[0].as_str()), ("sdk", "hk_wrong")] {
        let refused = log_in(name, key).await;
        assert_eq!((refused.status, refused.get("error")), (401, json!("invalid_client")));
        assert!(refused.header("www-authenticate").starts_with("Basic"));
    }
    let api = format!("/api/v2/conversations/{}", service.conference.id);
    let read = service.request(Method::GET, &api).header("authorization", &format!("Bearer {}", keys[0])).send().await;
    assert_eq!(read.status, 200);
    assert_eq!(service.sandbox.counts().logins(), 1, "nothing but the service's own login went upstream");
}

#[tokio::test]
async fn pages_of_other_origins_are_kept_away_from_a_keyless_service() {
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("agent"));
    for (header, value) in
        [("origin", "https://evil.example"), ("host", "evil.example"), ("sec-fetch-site", "cross-site")]
    {
        let answer = service.post(&path).header(header, value).send().await;
        assert_eq!(answer.verdict(), "403 forbidden_origin", "{header}");
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn denials_are_charged_to_the_rate() {
    let (service, keys, _file) = with_keys(&[("reader", "permissions = [\"read\"]\nrate = \"2/h\"")]).await;
    let mut verdicts = Vec::new();
    for _ in 0..4 {
        verdicts.push(service.disconnect_by(&keys[0], "agent").await.verdict());
    }
    let (denied, charged) = ("403 forbidden_caller", "429 caller_rate_limited");
    assert_eq!(verdicts, [denied, denied, charged, charged]);
}

#[tokio::test]
async fn wrong_keys_of_an_address_lock_out_no_valid_one() {
    let (service, keys, _file) = with_keys(&[("ivr", "")]).await;
    let mut last = String::new();
    for _ in 0..20 {
        last = service.disconnect_by("hk_wrong", "agent").await.verdict();
    }
    assert_eq!(last, "429 caller_rate_limited");
    assert_eq!(service.disconnect_by(&keys[0], "agent").await.verdict(), "200 accepted");
}

#[tokio::test]
async fn a_key_is_refused_beyond_its_addresses() {
    let (service, keys, _file) =
        with_keys(&[("here", "addresses = [\"127.0.0.0/8\"]"), ("there", "addresses = [\"10.0.0.0/8\", \"::1\"]")])
            .await;
    assert_eq!(service.disconnect_by(&keys[0], "agent").await.verdict(), "200 accepted");
    let refused = service.disconnect_by(&keys[1], "customer").await;
    assert_eq!(refused.verdict(), "403 forbidden_caller");
    assert!(refused.get("detail").as_str().unwrap().contains("127.0.0.1"), "{}", refused.text);
}

#[tokio::test]
async fn a_key_that_comes_from_elsewhere_is_slowed_down_like_a_wrong_one_and_its_rate_is_left_to_its_owner() {
    let (service, keys, _file) = with_keys_and(&[("there", "addresses = [\"10.0.0.0/8\"]\nrate = \"1/m\"")], |c| {
        c.auth.wrong_key_rate = "3/m".parse().unwrap();
        c.server.trusted_proxies.0 = vec!["127.0.0.1".to_owned()];
    })
    .await;
    let from = |addr: &str| service.disconnect(0).header("x-api-key", &keys[0]).header("x-forwarded-for", addr);
    for _ in 0..3 {
        assert_eq!(from("203.0.113.9").send().await.verdict(), "403 forbidden_caller");
    }
    let slowed = from("203.0.113.9").send().await;
    assert_eq!(slowed.verdict(), "429 caller_rate_limited");
    assert!(slowed.retry_after().is_some());
    assert_eq!(from("10.1.2.3").send().await.verdict(), "200 accepted");
}

#[tokio::test]
async fn a_typo_in_a_key_is_recognised() {
    let (service, keys, _file) = with_keys(&[("ivr", "")]).await;
    let cut = service.disconnect_by(&keys[0][..keys[0].len() - 1], "agent").await;
    assert_eq!(cut.verdict(), "401 unauthenticated");
    assert!(cut.get("detail").as_str().unwrap().contains("mistyped or cut off"), "{}", cut.text);
}

#[tokio::test]
async fn on_loopback_pages_are_kept_away_whatever_callers_are_admitted() {
    let (service, keys, _file) = with_keys_and(&[("ivr", "")], |c| c.auth.anonymous = true).await;
    for (header, value) in
        [("origin", "https://evil.example"), ("host", "evil.example"), ("sec-fetch-site", "same-site")]
    {
        let path = service.path_of(service.who("agent"));
        let anonymous = service.post(&path).header(header, value).send().await;
        assert_eq!(anonymous.verdict(), "403 forbidden_origin", "{header}");
        let keyed = service.post(&path).header(header, value).header("x-api-key", &keys[0]).send().await;
        assert_eq!(keyed.verdict(), "403 forbidden_origin", "{header}");
    }
    assert_eq!(service.sandbox.counts().disconnects(), 0);
}

#[tokio::test]
async fn a_keyless_service_behind_a_local_proxy_serves_no_outsiders() {
    let forwarded = ("x-forwarded-for", "203.0.113.9");
    let service = TestApp::sockets().start().await;
    let path = service.path_of(service.who("agent"));
    assert_eq!(service.post(&path).header(forwarded.0, forwarded.1).send().await.verdict(), "403 forbidden_origin");
    let trusting =
        TestApp::sockets().config(|c| c.server.trusted_proxies.0 = vec!["127.0.0.1".to_owned()]).start().await;
    let path = trusting.path_of(trusting.who("agent"));
    assert_eq!(trusting.post(&path).header("host", "evil.example").send().await.verdict(), "403 forbidden_origin");
    assert_eq!(trusting.post(&path).header(forwarded.0, forwarded.1).send().await.verdict(), "200 accepted");
}

#[tokio::test]
async fn a_trusted_proxy_may_use_the_public_name_for_callers_with_keys() {
    let (service, keys, _file) =
        with_keys_and(&[("ivr", "")], |c| c.server.trusted_proxies.0 = vec!["127.0.0.1".to_owned()]).await;
    let path = service.path_of(service.who("agent"));
    let by = |origin: &str| {
        let request = service.post(&path).header("x-api-key", &keys[0]).header("host", "hangup.example");
        request.header("origin", origin).send()
    };
    assert_eq!(by("https://evil.example").await.verdict(), "403 forbidden_origin");
    assert_eq!(by("https://hangup.example").await.verdict(), "200 accepted");
}
