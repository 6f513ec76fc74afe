//! Every problem code, provoked in the running service, is answered as the file says.

use std::collections::BTreeSet;
use std::time::Duration;

use hangup::callers::new_key;
use hangup::config::{Config, UnknownConversation};
use hangup::http::routes;
use hangup::problem::Code;
use http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::contract::service::{Answer, Service};

const ANY: (&str, &str) = ("accept", "*/*");

/// Codes that this test does not provoke: a defect of ours cannot be provoked, `observe_mode` is only answered by the drop-in,
/// in the upstream's form, and the others have tests of their own (the store, jobs, `If-Match`).
const NOT_HERE: [Code; 10] = [
    Code::Internal,
    Code::ObserveMode,
    Code::Changed,
    Code::WrapupRequired,
    Code::JobNotFound,
    Code::JobState,
    Code::IdempotencyKeyReused,
    Code::JobsNeedStore,
    Code::StoreUnavailable,
    Code::AuditUnavailable,
];

/// The codes that were answered.
#[derive(Default)]
struct Seen(BTreeSet<&'static str>);

impl Seen {
    /// The answer is this problem, and says so in the content type that the caller admits.
    fn add(&mut self, answer: &Answer, expected: Code) {
        assert_eq!(answer.word("code"), expected.name(), "{:#}", answer.body);
        assert_eq!(answer.body["retryable"], expected.retryable());
        self.0.insert(expected.name());
    }
}

#[tokio::test]
async fn every_problem_code_is_answered_as_the_file_says() {
    let mut seen = Seen::default();
    wrong_requests(&mut seen).await;
    refused_callers(&mut seen).await;
    upstream_trouble(&mut seen).await;
    our_own_limits(&mut seen).await;
    let all: BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    let not_here: BTreeSet<_> = NOT_HERE.iter().map(|code| code.name()).collect();
    assert_eq!(all.difference(&seen.0).copied().collect::<BTreeSet<_>>(), not_here);
}

async fn wrong_requests(seen: &mut Seen) {
    let service = Service::start(|config| {
        config.disconnect.unknown_conversation = UnknownConversation::Error;
    })
    .await;
    let conference = service.conference();
    let (id, nobody) = (conference.id.to_string(), Uuid::from_u128(7).to_string());
    let customer = (conference.id, conference.first("customer").expect("a customer"));
    let post =
        async |template, ids: &[&str], body: &str| service.ask(Method::POST, template, ids, "", &[ANY], body).await;
    seen.add(&post(routes::DISCONNECT, &["4711", &nobody], "").await, Code::InvalidConversationId);
    seen.add(&post(routes::DISCONNECT, &["", &nobody], "").await, Code::InvalidConversationId);
    seen.add(&post(routes::DISCONNECT, &[&id, "customer"], "").await, Code::InvalidParticipantId);
    seen.add(&post(routes::DISCONNECT, &[&id, &nobody], "").await, Code::ParticipantNotFound);
    seen.add(&post(routes::DISCONNECT, &[&nobody, &nobody], "").await, Code::ConversationNotFound);
    seen.add(&post(routes::CONVERSATION, &[&id], "").await, Code::MethodNotAllowed);
    seen.add(&post(routes::SELECTOR, &[&id], r#"{"purpose":""}"#).await, Code::InvalidSelector);
    seen.add(&post(routes::SELECTOR, &[&id], r#"{"purpose":"agent"}"#).await, Code::SelectorAmbiguous);
    seen.add(&service.disconnect(customer, "", &[], "[]").await, Code::InvalidBody);
    seen.add(&service.disconnect(customer, "?dryrun=true", &[], "").await, Code::InvalidQuery);
    seen.add(&service.disconnect(customer, "", &[], &" ".repeat(20_000)).await, Code::BodyTooLarge);
    let elsewhere = ("origin", "https://elsewhere.example");
    seen.add(&service.disconnect(customer, "", &[elsewhere, ANY], "").await, Code::ForbiddenOrigin);
    // No operation has an empty path segment, so this one is held against a path that is in the file.
    let dots = service.ask(Method::GET, routes::CONVERSATION, &["a/b/c"], "", &[ANY], "").await;
    seen.add(&dots, Code::NoSuchRoute);
    assert!(service.sandbox.is_live(customer.0, customer.1));
}

async fn refused_callers(seen: &mut Seen) {
    let mut file = String::new();
    let mut key = |name: &str, extra: &str| {
        let made = new_key(name).expect("a key");
        let record =
            made.toml.lines().filter(|line| !extra.contains("permissions") || !line.starts_with("permissions"));
        file.extend(record.chain([extra]).flat_map(|line| [line, "\n"]));
        made.text
    };
    let reader = key("reader", "permissions = [\"read\"]");
    let agents_only = key("agents-only", "purposes = [\"agent\"]");
    let seldom = key("seldom", "rate = \"1/m\"");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.toml");
    std::fs::write(&path, file).expect("a keys file");
    let service = Service::start(|config| config.auth.keys_file = Some(path)).await;

    let with = async |key: &str| service.disconnect_a_customer(&[("x-api-key", key)]).await;
    seen.add(&service.disconnect_a_customer(&[]).await, Code::Unauthenticated);
    seen.add(&with("hk_of_somebody_else").await, Code::Unauthenticated);
    seen.add(&with(&reader).await, Code::ForbiddenCaller);
    seen.add(&with(&agents_only).await, Code::ForbiddenParticipant);
    assert_eq!(with(&seldom).await.status, 200);
    seen.add(&with(&seldom).await, Code::CallerRateLimited);
}

async fn upstream_trouble(seen: &mut Seen) {
    let quick = |config: &mut Config| {
        config.disconnect.attempt_timeout = Duration::from_millis(600);
        config.disconnect.deadline = Duration::from_millis(2_400);
    };
    let service = Service::start(quick).await;
    let answer = |status: u16| json!({"answer": {"status": status, "retry_after": "30"}});
    let permission = "conversation:communication:disconnect";
    let faults: [(&str, Value, Code); 9] = [
        ("disconnect", json!({"forbidden": {"permission": permission}}), Code::UpstreamForbidden),
        ("disconnect", json!("user_context"), Code::UpstreamUserContext),
        ("disconnect", answer(409), Code::UpstreamConflict),
        ("disconnect", answer(400), Code::UpstreamRejected),
        ("disconnect", json!({"redirect": {"location": "http://127.0.0.1/"}}), Code::UpstreamInvalidResponse),
        ("disconnect", answer(503), Code::UpstreamUnavailable),
        ("api", json!("half_open"), Code::UpstreamTimeout),
        ("api", json!("unauthorized"), Code::UpstreamRejectedCredentials),
        ("disconnect", answer(429), Code::UpstreamRateLimited),
    ];
    for (on, action, code) in faults {
        service.fault(json!({"on": on, "action": action}));
        for accept in ["application/json", "*/*"] {
            seen.add(&service.disconnect_a_customer(&[("accept", accept)]).await, code);
        }
        service.sandbox.clear_faults();
    }
}

async fn our_own_limits(seen: &mut Seen) {
    let service = Service::start(|config| config.limits.max_in_flight = 1).await;
    // The first disconnect waits for a second attempt.
    service.fault(json!({"on": "disconnect", "action": {"answer": {"status": 503, "retry_after": "5"}}}));
    let waiting = tokio::spawn({
        let service = service.clone();
        async move { service.disconnect_a_customer(&[]).await }
    });
    while service.sandbox.journal().iter().all(|entry| entry.status != 503) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen.add(&service.disconnect_a_customer(&[]).await, Code::Overloaded);
    service.stop();
    seen.add(&waiting.await.expect("an answer"), Code::ShuttingDown);
}
