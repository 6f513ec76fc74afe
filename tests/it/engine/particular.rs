//! One medium, or a wrap-up: nothing wider than what was asked for is ever tried, and nothing is dropped silently.

use hangup::config::{OperationChoice, Surface};
use hangup::disconnect::{Request, Wrapup};
use hangup::medium::Medium;
use hangup::outcome::Settled;
use hangup::problem::{Code, Problem};
use serde_json::{Value, json};

use crate::support::{Asked, Kind, Reply, TestApp, origin, s};

/// The one person here, with communications in these states.
fn person(asked: &Asked, media: &[(&str, &str)]) -> Reply {
    let mut person = json!({"id": PERSON, "purpose": "customer"});
    for (medium, state) in media {
        person[*medium] = json!([{"state": state}]);
    }
    let id = asked.path.rsplit('/').next().unwrap();
    Reply::json(&json!({"id": id, "participants": [person]}))
}

const PERSON: &str = "22222222-2222-4222-8222-222222222222";

async fn before(media: &'static [(&'static str, &'static str)], patch: Reply) -> TestApp {
    TestApp::auto()
        .script(move |asked| match asked.kind {
            Kind::Read => Some(person(asked, media)),
            Kind::Patch | Kind::Post => Some(patch.clone()),
            Kind::Login => None,
        })
        .ready()
        .await
}

async fn ask(service: &TestApp, change: impl FnOnce(&mut Request)) -> Result<Settled, Problem> {
    let pid = PERSON.parse().unwrap();
    let mut request = Request::new(origin("ivr"), service.conference.id.into(), pid);
    change(&mut request);
    service.app.disconnector.disconnect(request).await
}

fn paths(service: &TestApp) -> Vec<String> {
    let about = |s: &crate::support::Seen| {
        let path = s.asked.path.replace("/api/v2/conversations/", "");
        let form = path.split('/').next().unwrap_or_default().to_owned();
        let form = if form.contains('-') { "any".to_owned() } else { form };
        format!("{:?} {form}", s.asked.kind).to_lowercase()
    };
    service.seen().iter().filter(|s| s.asked.kind != Kind::Login).map(about).collect()
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_was_asked_for_is_ended_by_its_own_path_alone() {
    let service = before(&[("calls", "connected"), ("callbacks", "connected")], Reply::status(202, "")).await;
    let settled = ask(&service, |r| r.media = Some(Medium::Calls)).await.unwrap();
    assert_eq!((settled.outcome.name(), settled.gone), ("accepted", None));
    assert_eq!(paths(&service), ["patch calls"]);
}

#[tokio::test(start_paused = true)]
async fn a_participant_without_the_medium_is_not_found_and_stays_as_it_is() {
    let service = before(&[("calls", "connected")], Reply::status(404, "not.found")).await;
    let problem = ask(&service, |r| r.media = Some(Medium::Emails)).await.unwrap_err();
    assert_eq!(problem.code, Code::ParticipantNotFound);
    assert!(problem.detail.contains("no email"), "{}", problem.detail);
    assert_eq!(paths(&service), ["patch emails", "read any"]);
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_is_over_is_gone_though_the_participant_is_not() {
    let service = before(&[("calls", "connected"), ("emails", "disconnected")], Reply::status(404, "not.found")).await;
    let settled = ask(&service, |r| r.media = Some(Medium::Emails)).await.unwrap();
    assert_eq!((settled.outcome.name(), settled.verified, settled.gone), ("already_disconnected", true, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_medium_that_is_refused_while_still_there_is_a_conflict_and_nothing_wider_is_tried() {
    let service = before(&[("calls", "connected"), ("emails", "connected")], Reply::status(404, "not.found")).await;
    let problem = ask(&service, |r| r.media = Some(Medium::Calls)).await.unwrap_err();
    assert_eq!((problem.code, problem.gone), (Code::UpstreamConflict, Some(false)));
    assert_eq!(paths(&service), ["patch calls", "read any"]);
}

#[tokio::test(start_paused = true)]
async fn a_medium_without_a_path_is_ended_only_where_it_is_all_that_is_live() {
    let service = before(&[("videos", "connected")], Reply::status(202, "")).await;
    assert_eq!(ask(&service, |r| r.media = Some(Medium::Videos)).await.unwrap().outcome.name(), "accepted");
    assert_eq!(paths(&service), ["read any", "patch any"]);
    let service = before(&[("videos", "connected"), ("calls", "connected")], Reply::status(202, "")).await;
    let problem = ask(&service, |r| r.media = Some(Medium::Videos)).await.unwrap_err();
    assert_eq!((problem.code, problem.gone), (Code::UpstreamRejected, Some(false)));
    assert!(problem.detail.contains("only the video"), "{}", problem.detail);
    assert_eq!(paths(&service), ["read any"], "nobody was touched");
    let service = before(&[("calls", "connected")], Reply::status(202, "")).await;
    let problem = ask(&service, |r| r.media = Some(Medium::Videos)).await.unwrap_err();
    assert_eq!(problem.code, Code::ParticipantNotFound);
    assert_eq!(service.disconnects(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_refuses_what_would_be_refused_before_anything_is_sent() {
    let two = &[("videos", "connected"), ("calls", "connected")];
    for (operation, change) in [
        (OperationChoice::Auto, (|r| r.media = Some(Medium::Videos)) as fn(&mut Request)),
        (OperationChoice::Post, |r| r.media = Some(Medium::Calls)),
        (OperationChoice::Post, |r| r.wrapup_skipped = Some(true)),
    ] {
        let mut said = Vec::new();
        for dry_run in [true, false] {
            let service = TestApp::auto().operation(operation);
            let service =
                service.script(move |asked| (asked.kind == Kind::Read).then(|| person(asked, two))).ready().await;
            let problem = ask(&service, |r| {
                change(r);
                r.dry_run = dry_run;
            });
            let problem = problem.await.unwrap_err();
            assert_eq!((problem.code, service.disconnects()), (Code::UpstreamRejected, 0));
            said.push(problem.detail);
        }
        assert_eq!(said[0], said[1]);
    }
    let dry = |r: &mut Request| {
        r.media = Some(Medium::Videos);
        r.dry_run = true;
    };
    let service = before(&[("videos", "connected"), ("calls", "disconnected")], Reply::status(202, "")).await;
    assert_eq!(ask(&service, dry).await.unwrap().outcome.name(), "would_disconnect");
}

#[tokio::test(start_paused = true)]
async fn gone_speaks_of_the_medium_that_was_asked_for() {
    let service = before(&[("calls", "disconnected"), ("emails", "connected")], Reply::status(202, "")).await;
    let settled = ask(&service, |r| {
        r.media = Some(Medium::Calls);
        r.wait = Some(s(2));
    });
    let settled = settled.await.unwrap();
    assert_eq!((settled.outcome.name(), settled.verified, settled.gone), ("disconnected", true, Some(true)));
}

#[tokio::test(start_paused = true)]
async fn a_wrap_up_goes_with_every_patch_and_never_by_the_post() {
    let wrapup = || Some(Wrapup { code: "c0de".to_owned(), notes: Some("angry".to_owned()) });
    let service = before(&[("calls", "connected")], Reply::status(409, "conflict")).await;
    assert_eq!(ask(&service, |r| r.wrapup = wrapup()).await.unwrap_err().code, Code::UpstreamConflict);
    assert_eq!(paths(&service), ["patch any", "read any", "patch calls"]);
    let expected = json!({"state": "disconnected", "wrapup": {"code": "c0de", "notes": "angry"}});
    for seen in service.seen().iter().filter(|s| s.asked.kind == Kind::Patch) {
        assert_eq!(serde_json::from_slice::<Value>(&seen.asked.body).unwrap(), expected);
    }
    for (operation, posts_before) in
        [(OperationChoice::Post, 0), (OperationChoice::Auto, 0), (OperationChoice::Auto, 1)]
    {
        let service = TestApp::auto().operation(operation).surface(Surface::Unpublished).crowd(2).ready().await;
        if posts_before > 0 {
            assert_eq!(service.disconnect(1).send().await.line(), "200 disconnected");
        }
        let mut request =
            Request::new(origin("ivr"), service.conference.id.into(), service.conference.participants[0].id.into());
        request.wrapup_skipped = Some(true);
        let problem = service.app.disconnector.disconnect(request).await.unwrap_err();
        assert_eq!(problem.code, Code::UpstreamRejected, "{operation:?}");
        assert!(problem.detail.contains("wrap-up"), "{}", problem.detail);
        assert_eq!(service.count(Kind::Post), posts_before, "{operation:?}");
        assert!(service.live(0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrap_up_that_only_a_post_could_take_is_refused_whether_or_not_the_post_is_known_to_work() {
    let service = TestApp::auto()
        .script(|asked| match asked.kind {
            Kind::Login => None,
            Kind::Post => Some(Reply::status(204, "")),
            _ => Some(Reply::foreign(404, r#"{"detail":"Not Found"}"#)),
        })
        .ready()
        .await;
    let skipped = |r: &mut Request| r.wrapup_skipped = Some(true);
    let problem = ask(&service, skipped).await.unwrap_err();
    assert_eq!((problem.code, problem.upstream.as_ref().map(|u| u.status)), (Code::UpstreamRejected, Some(404)));
    assert!(problem.detail.contains("wrap-up") && problem.detail.contains("genesys.api_url"), "{}", problem.detail);
    assert_eq!(paths(&service), ["patch any", "read any"]);
    assert_eq!(ask(&service, |_| {}).await.unwrap().outcome.name(), "disconnected");
    assert_eq!(ask(&service, skipped).await.unwrap_err().code, Code::UpstreamRejected);
    assert_eq!(service.count(Kind::Post), 1);
}

#[tokio::test(start_paused = true)]
async fn a_medium_without_a_path_in_a_conversation_that_may_not_be_read_names_the_permission() {
    let reads = [
        (Reply::status(403, "missing.permissions"), Code::UpstreamForbidden, "conversation:communication:view"),
        (Reply::foreign(404, "<html>"), Code::UpstreamInvalidResponse, "not Genesys Cloud"),
    ];
    for (read, code, words) in reads {
        let service =
            TestApp::auto().script(move |asked| (asked.kind == Kind::Read).then(|| read.clone())).ready().await;
        let problem = ask(&service, |r| r.media = Some(Medium::Chats)).await.unwrap_err();
        assert_eq!((problem.code, service.disconnects()), (code, 0));
        assert!(problem.detail.contains(words), "{}", problem.detail);
    }
}

#[tokio::test(start_paused = true)]
async fn every_word_that_a_list_shows_is_taken_as_the_medium() {
    let service = before(&[("screenMonitorings", "connected"), ("calls", "connected")], Reply::status(202, "")).await;
    let list = service.list().send().await;
    let shown = list.json["participants"][0]["media"].clone();
    assert_eq!(shown, json!(["call", "screenMonitoring"]));
    for word in shown.as_array().unwrap() {
        let answer = service.disconnect_id(PERSON.parse().unwrap()).json(&json!({"media": word})).send().await;
        assert_ne!(answer.status, 400, "{word}: {}", answer.json);
    }
    let alone = before(&[("screenMonitorings", "connected")], Reply::status(202, "")).await;
    let answer = alone.disconnect_id(PERSON.parse().unwrap()).json(&json!({"media": "screenMonitoring"})).send().await;
    assert_eq!(answer.line(), "200 accepted");
}
