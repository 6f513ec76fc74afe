//! What a caller may not do is neither offered nor done.

use reqwest::Method;
use uuid::Uuid;

use crate::api::callers::with_keys_and;
use crate::support::{Answer, NOBODY, TestApp};

/// The fragments that carry data or do something.
fn fragments(conversation: Uuid, participant: Uuid) -> Vec<(Method, String)> {
    let one = format!("/console/conversations/{conversation}");
    let gets = [
        "/console/session".to_owned(),
        "/console/search".to_owned(),
        "/console/conversations".to_owned(),
        one.clone(),
        format!("{one}/live"),
        format!("{one}/timeline"),
        format!("{one}/disconnect"),
        format!("{one}/participants/{participant}"),
        format!("{one}/participants/{participant}/gone"),
        "/console/jobs".to_owned(),
        "/console/jobs/list".to_owned(),
        "/console/jobs/new".to_owned(),
        format!("/console/jobs/{NOBODY}"),
        format!("/console/jobs/{NOBODY}/progress"),
        format!("/console/jobs/{NOBODY}/items"),
        format!("/console/jobs/{NOBODY}/start"),
        "/console/status".to_owned(),
        "/console/status/now".to_owned(),
        "/console/mode?mode=observe".to_owned(),
    ];
    let posts = [
        format!("{one}/disconnect"),
        format!("{one}/participants/{participant}"),
        format!("/console/jobs/{NOBODY}/start"),
        format!("/console/jobs/{NOBODY}/cancel"),
        "/console/mode".to_owned(),
    ];
    let with = |method: Method| move |path| (method.clone(), path);
    gets.into_iter().map(with(Method::GET)).chain(posts.into_iter().map(with(Method::POST))).collect()
}

impl TestApp {
    async fn send_form(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.request(method.clone(), path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if method == Method::POST {
            let form = "seen=%22abcdefgh%22&name=x&word=everyone&mode=observe&total=3&typed=3";
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        }
        request.send().await
    }
}

#[tokio::test]
async fn without_a_key_or_with_a_wrong_one_no_fragment_shows_or_does_anything() {
    let (service, _, _file) =
        with_keys_and(&[("desk", "")], |c| c.auth.wrong_key_rate = "1000/s".parse().unwrap()).await;
    for (method, path) in fragments(service.conference.id, service.who("agent")) {
        for headers in [&[][..], &[("x-api-key", "hk_wrong")], &[("authorization", "Bearer wrong")]] {
            let answer = service.send_form(method.clone(), &path, headers).await;
            assert_eq!(answer.status, 401, "{method} {path}");
            assert!(answer.text.contains("data-detail") && !answer.text.contains("Anna"), "{method} {path}");
        }
    }
    assert_eq!(service.remain().await.len(), 4);
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_fragment_of_a_service_without_keys() {
    let service = TestApp::sockets().start().await;
    for (method, path) in fragments(service.conference.id, service.who("agent")) {
        for headers in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("origin", "https://evil.example")],
            &[("host", "evil.example")],
            &[("x-forwarded-for", "192.0.2.1")],
        ] {
            let answer = service.send_form(method.clone(), &path, headers).await;
            assert_eq!(answer.status, 403, "{method} {path} {headers:?}");
        }
    }
    assert_eq!(service.remain().await.len(), 4);
}

#[tokio::test]
async fn what_a_key_may_not_do_is_neither_offered_nor_done() {
    let keys =
        [("reader", "permissions = [\"read\"]"), ("dropper", "permissions = [\"read\", \"disconnect\", \"teardown\"]")];
    let (service, keys, _file) = with_keys_and(&keys, |_| {}).await;
    let (reader, dropper) = ([("x-api-key", keys[0].as_str())], [("x-api-key", keys[1].as_str())]);
    let one = format!("/console/conversations/{}", service.conference.id);
    let shown = service.get_with(&format!("{one}/live"), &keys[0]).await;
    assert!(shown.text.contains("Anna Agent") && !shown.text.contains("Disconnect Anna Agent"), "{}", shown.text);
    let shown = service.get_with(&format!("{one}/live"), &keys[1]).await;
    assert!(shown.text.contains("Disconnect Anna Agent"));
    for (key, offered) in [(&keys[0], false), (&keys[1], true)] {
        assert_eq!(service.get_with(&one, key).await.text.contains("Disconnect everyone"), offered);
    }
    assert!(!service.get_with("/console/session", &keys[0]).await.text.contains("#status"));
    for (method, path) in
        [(Method::GET, "/console/status/now"), (Method::GET, "/console/mode"), (Method::POST, "/console/mode")]
    {
        let refused = service.send_form(method, path, &reader).await;
        assert!(refused.status == 403 && refused.text.contains("operate"), "{path}: {}", refused.text);
    }
    assert!(!service.get_with("/console/search", &keys[0]).await.text.contains("hx-trigger=\"load\""));

    for path in [format!("{one}/participants/{}", service.who("agent")), format!("{one}/disconnect")] {
        let refused = service.send_form(Method::POST, &path, &reader).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text.contains("lacks the permission"), "{}", refused.text);
    }
    assert_eq!(service.remain().await.len(), 4);
    let ended = service.send_form(Method::POST, &format!("{one}/disconnect"), &dropper).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
}

#[tokio::test]
async fn a_guarded_key_sees_and_reaches_only_its_own() {
    let keys = [("agents", "permissions = [\"read\", \"disconnect\"]\npurposes = [\"agent\"]")];
    let (service, keys, _file) = with_keys_and(&keys, |_| {}).await;
    let one = format!("/console/conversations/{}", service.conference.id);
    let customer = service.who("customer");
    let live = service.get_with(&format!("{one}/live"), &keys[0]).await;
    assert!(live.text.contains("Disconnect Ben Agent") && live.text.contains("whom your key may not touch"));
    let dialog = service.get_with(&format!("{one}/participants/{customer}"), &keys[0]).await;
    for answer in [&live, &dialog] {
        assert!(!answer.text.contains("Carla") && !answer.text.contains("Eve"), "{}", answer.text);
    }
    let path = format!("{one}/participants/{customer}");
    let refused = service.send_form(Method::POST, &path, &[("x-api-key", &keys[0])]).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert_eq!(service.remain().await.len(), 4);
    assert_eq!(service.get_with(&format!("{one}/participants/{NOBODY}"), &keys[0]).await.status, 200);
}

#[tokio::test]
async fn the_rate_of_a_key_holds_for_fragments() {
    let (service, keys, _file) = with_keys_and(&[("slow", "permissions = [\"read\"]\nrate = \"2/m\"")], |_| {}).await;
    let path = format!("/console/conversations/{}/live", service.conference.id);
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(service.get_with(&path, &keys[0]).await.status);
    }
    assert_eq!((statuses[0], statuses[3]), (200, 429), "{statuses:?}");
}
