//! Fault rules in-process, on a paused clock.

use std::time::Duration;

use hangup::config::Surface;
use hangup::sandbox::{Action, BodyFault, BodyKind, Broken, Cut, Fault, FaultAnswer, Forbidden, Kind, On, TokenFault};
use serde_json::json;
use tokio::time::Instant;

use crate::sandbox::helpers::{Org, pass};

fn body(kind: BodyKind) -> Action {
    Action::Body(BodyFault { kind, status: None, bytes: 100_000 })
}

fn org_with(faults: Vec<Fault>) -> Org {
    let org = Org::new(Surface::Both);
    org.sandbox.set_faults(faults).expect("rules that can be carried out");
    org
}

#[tokio::test(start_paused = true)]
async fn a_status_is_answered_so_many_times_in_the_upstreams_form_and_nothing_happens() {
    let answer = FaultAnswer { status: Some(503), retry_after: Some("2".to_owned()), ..FaultAnswer::default() };
    let org = org_with(vec![Fault::new(On::Disconnect, Action::Answer(answer)).times(2)]);
    for _ in 0..2 {
        let answer = org.patch(org.agent()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "service.unavailable"));
        assert_eq!(answer.header("retry-after"), Some("2"));
        assert!(answer.header("inin-correlation-id").is_some());
    }
    assert!(org.sandbox.conference(org.conference.id).expect("one").participants.iter().all(|p| p.disconnects == 0));
    assert_eq!(org.patch(org.agent()).await.status, 202);
    assert_eq!(org.sandbox.counts().of_with_status(Kind::Patch, 503), 2);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_of_statuses_is_used_up_once_and_a_good_one_lets_the_request_through() {
    let answer = FaultAnswer { statuses: vec![500, 204, 429], ..FaultAnswer::default() };
    let org = org_with(vec![Fault::new(On::Read, Action::Answer(answer))]);
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(org.read().await.status.as_u16());
    }
    assert_eq!(seen, [500, 200, 429, 200, 200]);
}

#[tokio::test(start_paused = true)]
async fn headers_and_body_of_an_answer_can_be_anything() {
    let answer = FaultAnswer {
        status: Some(429),
        headers: [("Retry-After".to_owned(), "soon".to_owned()), ("x-a".to_owned(), "b".to_owned())].into(),
        body: Some("<nothing>".to_owned()),
        ..FaultAnswer::default()
    };
    let org = org_with(vec![Fault::new(On::Any, Action::Answer(answer))]);
    let seen = org.read().await;
    assert_eq!((seen.header("retry-after"), seen.header("x-a")), (Some("soon"), Some("b")));
    assert_eq!(seen.body, "<nothing>");
}

#[tokio::test(start_paused = true)]
async fn latency_and_jitter_add_up_over_rules_and_the_action_comes_after() {
    let mut slow = Fault::latency(On::Api, Duration::from_secs(2));
    slow.jitter = Some(Duration::from_secs(1));
    let org = org_with(vec![slow, Fault { latency: Some(Duration::from_secs(3)), ..Fault::status(On::Read, 504) }]);
    let began = Instant::now();
    assert_eq!(org.read().await.status, 504);
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(6), "{took:?}");
    assert_eq!(org.good_login().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_rule_can_be_for_one_conversation_one_participant_some_requests_and_some_time() {
    let org = Org::new(Surface::Both);
    let customer = org.conference.first("customer").expect("a customer");
    let timed = Fault { lasts: Some(Duration::from_secs(5)), ..Fault::status(On::Login, 500) };
    org.sandbox
        .set_faults(vec![
            Fault { participant: Some(customer), ..Fault::status(On::Patch, 500) },
            Fault { conversation: Some(uuid::Uuid::new_v4()), ..Fault::status(On::Any, 500) },
            Fault { skip: 1, ..Fault::status(On::Read, 500).times(1) },
            Fault { reused: true, ..Fault::status(On::Any, 500) },
            timed,
        ])
        .expect("rules");
    assert_eq!(org.patch(customer).await.status, 500);
    assert_eq!(org.patch(org.agent()).await.status, 202);
    let reads = [org.read().await.status, org.read().await.status, org.read().await.status];
    assert_eq!(reads.map(|s| s.as_u16()), [200, 500, 200]);
    assert_eq!(org.good_login().await.status, 500);
    pass(Duration::from_secs(5)).await;
    assert_eq!(org.good_login().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn chance_is_seeded_and_can_be_repeated() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let org = org_with(vec![Fault { probability: Some(0.5), seed, ..Fault::status(On::Read, 500) }]);
        let mut run = Vec::new();
        for _ in 0..64 {
            run.push(org.read().await.status.as_u16());
        }
        runs.push(run);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
    assert!(runs[0].contains(&500) && runs[0].contains(&200));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_has_its_effect_and_in_process_it_is_marked_as_broken() {
    let org =
        org_with(vec![Fault::new(On::Patch, Action::LostAnswer(Cut::Close)), Fault::new(On::Read, Action::Reset)]);
    assert_eq!(org.patch(org.agent()).await.broken, Some(Broken(Cut::Close)));
    assert_eq!(org.read().await.broken, Some(Broken(Cut::Reset)));
    pass(Duration::from_millis(301)).await;
    assert!(!org.live(org.agent()));
    let counts = org.sandbox.counts();
    assert_eq!((counts.status(0), counts.effects, counts.faults), (2, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn half_open_never_answers_and_stays_in_flight_until_the_caller_gives_up() {
    let org = org_with(vec![Fault::new(On::Read, Action::HalfOpen)]);
    tokio::time::timeout(Duration::from_secs(3_600), org.read()).await.err().expect("no answer");
    let entry = org.sandbox.journal().pop().expect("an entry");
    assert_eq!((entry.status, entry.took_ms), (0, 3_600_000));
    assert_eq!((org.sandbox.counts().in_flight, org.sandbox.counts().max_in_flight), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_ignored_disconnect_is_accepted_and_nobody_leaves() {
    let org = org_with(vec![Fault::new(On::Any, Action::IgnoreEffect)]);
    assert_eq!(org.patch(org.agent()).await.status, 202);
    assert_eq!(org.post(org.agent(), "").await.status, 204);
    pass(Duration::from_secs(60)).await;
    assert!(org.live(org.agent()));
    assert_eq!(org.sandbox.counts().effects, 0);
}

#[tokio::test(start_paused = true)]
async fn bodies_come_truncated_as_garbage_as_html_empty_endless_and_of_any_size() {
    let org = org_with(vec![]);
    let real = org.read().await.body;
    let read_with = async |kind| {
        org.sandbox.set_faults(vec![Fault::new(On::Read, body(kind))]).expect("a rule");
        org.read().await
    };
    let truncated = read_with(BodyKind::Truncated).await;
    assert_eq!(truncated.number("content-length"), real.len() as u64);
    assert!(truncated.body_failed && truncated.body.len() == real.len() / 2 && real.starts_with(&truncated.body));
    assert!(read_with(BodyKind::ChunkError).await.body_failed);
    assert!(std::str::from_utf8(&read_with(BodyKind::Garbage).await.body).is_err());
    let html = read_with(BodyKind::Html).await;
    assert!(
        html.header("content-type").is_some_and(|t| t.starts_with("text/html")) && html.body.starts_with(b"<!DOCTYPE")
    );
    assert!(read_with(BodyKind::Empty).await.body.is_empty());
    assert!(read_with(BodyKind::Endless).await.body.len() > 8 * 1024 * 1024);
    let sized = read_with(BodyKind::Sized).await;
    assert_eq!((sized.body.len(), sized.json()), (100_000, json!({})));
}

#[tokio::test(start_paused = true)]
async fn a_faulty_body_with_a_good_status_has_the_effect_and_with_an_error_it_has_none() {
    let org = org_with(vec![Fault::new(On::Patch, body(BodyKind::Html)).times(1)]);
    assert_eq!(org.patch(org.agent()).await.status, 200);
    pass(Duration::from_millis(301)).await;
    assert!(!org.live(org.agent()));

    let bad = BodyFault { kind: BodyKind::Garbage, status: Some(502), bytes: 0 };
    org.sandbox.set_faults(vec![Fault::new(On::Patch, Action::Body(bad))]).expect("a rule");
    let customer = org.conference.first("customer").expect("a customer");
    assert_eq!(org.patch(customer).await.status, 502);
    pass(Duration::from_secs(1)).await;
    assert!(org.live(customer));
}

#[tokio::test(start_paused = true)]
async fn permissions_users_and_tokens_can_be_refused() {
    let org = org_with(vec![]);
    let forbidden = |permission: &str| Action::Forbidden(Forbidden { permission: permission.to_owned() });
    for (action, status, code, word) in [
        (Action::Unauthorized, 401, "bad.credentials", "Invalid"),
        (forbidden("conversation:communication:view"), 403, "missing.permissions", "conversation:communication:view"),
        (forbidden("a:b:c, d:e:f"), 403, "missing.any.permissions", "a:b:c, d:e:f"),
        (Action::UserContext, 403, "not.authorized", "requires a user context"),
        (Action::NotAUser, 400, "not.a.user", "requires a user context"),
    ] {
        org.sandbox.set_faults(vec![Fault::new(On::Patch, action)]).expect("a rule");
        let answer = org.patch(org.agent()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
        assert!(answer.json()["message"].as_str().is_some_and(|m| m.contains(word)));
    }
}

#[tokio::test(start_paused = true)]
async fn rate_limit_headers_can_be_withheld_and_answers_redirected() {
    let redirect = r#"{"on":"patch","action":{"redirect":{"location":"http://elsewhere.example/x"}}}"#;
    let org =
        org_with(vec![Fault::new(On::Read, Action::NoRateHeaders), serde_json::from_str(redirect).expect("a rule")]);
    let read = org.read().await;
    assert_eq!((read.status.as_u16(), read.header("inin-ratelimit-count")), (200, None));
    assert!(read.header("inin-correlation-id").is_some());
    let moved = org.patch(org.agent()).await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (302, Some("http://elsewhere.example/x")));
}

#[tokio::test(start_paused = true)]
async fn logins_can_be_throttled_refused_and_answered_with_nonsense() {
    let org = org_with(vec![Fault::new(On::Login, Action::ThrottledLogin).times(1)]);
    let throttled = org.good_login().await;
    assert_eq!((throttled.status.as_u16(), &throttled.json()["error"]), (400, &json!("invalid_request")));
    assert!(throttled.json()["description"].as_str().is_some_and(|d| d.contains("rate limit exceeded")));

    for (fault, member, value) in [
        (TokenFault { expires_in: Some(json!(-5)), ..TokenFault::default() }, "expires_in", json!(-5)),
        (TokenFault { expires_in: Some(json!("3600")), ..TokenFault::default() }, "expires_in", json!("3600")),
        (TokenFault { access_token: Some(json!("a\r\nb")), ..TokenFault::default() }, "access_token", json!("a\r\nb")),
        (TokenFault { omit: vec!["access_token".to_owned()], ..TokenFault::default() }, "access_token", json!(null)),
    ] {
        org.sandbox.set_faults(vec![Fault::new(On::Login, Action::Token(fault))]).expect("a rule");
        assert_eq!(org.good_login().await.json()[member], value);
    }
    org.sandbox.set_faults(vec![Fault::status(On::Login, 401)]).expect("a rule");
    assert_eq!(org.good_login().await.json()["error"], "invalid_client");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_cannot_be_carried_out_is_refused_by_its_members_name() {
    let org = org_with(vec![Fault::status(On::Read, 500)]);
    for (rule, word) in [
        (json!({"action": {"answer": {"status": 99}}}), "status"),
        (json!({"action": {"answer": {}}}), "status"),
        (json!({"probability": 2.0, "action": "reset"}), "probability"),
        (json!({"on": "connection", "action": "reset"}), "times"),
        (json!({"on": "connection", "times": 1, "action": "close"}), "connection"),
        (json!({"on": "connection", "action": "refuse"}), "for"),
        (json!({"action": {"answer": {"status": 500, "headers": {"a b": "c"}}}}), "headers"),
        (json!({"action": {"redirect": {"location": "a\nb"}}}), "location"),
    ] {
        let rule: Fault = serde_json::from_value(rule).expect("well formed");
        let said = org.sandbox.set_faults(vec![rule]).expect_err("refused");
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(org.read().await.status, 500, "the old rules stay");
}
