//! What Genesys Cloud's own words are worth: which permission it names, and what a refusal is about.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Asked, Kind, Reply, TestApp, s};

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    match Reply::status(status, code) {
        Reply::Http { status, headers, .. } => {
            let body = json!({"code": code, "message": message, "status": status}).to_string();
            Reply::Http { status, headers, body: body.into() }
        }
        other => other,
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_called_by_the_name_that_genesys_cloud_gives_it() {
    for (code, message, named) in [
        (
            "missing.permissions",
            "You are missing the following permission(s): conversation:call:edit",
            "the permission conversation:call:edit,",
        ),
        (
            "missing.any.permissions",
            "You must have at least one of the following permissions assigned: [conversation:call:edit, conversation:call:*]",
            "one of the permissions conversation:call:edit, conversation:call:*,",
        ),
        (
            "missing.permissions",
            "You are missing: routing:queue:view, conversation:call:edit.",
            "the permissions routing:queue:view, conversation:call:edit,",
        ),
        ("not.authorized", "At 12:34:56 you were not a:b", "the permission conversation:communication:disconnect,"),
    ] {
        let script = move |asked: &Asked| (asked.kind == Kind::Patch).then(|| refusal(403, code, message));
        let service = TestApp::patch().script(script).ready().await;
        let answer = service.disconnect(0).send().await;
        assert_eq!(answer.verdict(), "403 upstream_forbidden", "{message}");
        let detail = answer.get("detail");
        assert!(detail.as_str().unwrap().contains(named), "{detail}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_analytics_about_one_conversation_leaves_it_open_for_the_others() {
    const REFUSED: Uuid = Uuid::from_u128(0x0bad_0000_0000_4000_8000_0000_0000_0001);
    const OTHER: Uuid = Uuid::from_u128(0x0600_d000_0000_4000_8000_0000_0000_0001);
    const PERSON: Uuid = Uuid::from_u128(7);
    for (reply, asked_again) in [
        (refusal(400, "bad.request", "Invalid conversation"), true),
        (refusal(422, "unprocessable", "Invalid conversation"), true),
        (refusal(403, "missing.division.permission", "not in its division"), true),
        (refusal(403, "missing.permissions", "analytics:conversationDetail:view"), false),
        (Reply::foreign(404, "<html>nginx</html>"), false),
    ] {
        let case = format!("{reply:?}");
        let service = TestApp::auto().script(move |asked| match asked.kind {
            Kind::Login => None,
            _ if !asked.path.starts_with("/api/v2/analytics/") => Some(Reply::status(404, "not.found")),
            _ if asked.path.contains(&REFUSED.to_string()) => Some(reply.clone()),
            _ => Some(Reply::json(&json!({"conversationId": OTHER, "conversationEnd": "2026-01-01T00:00:00Z"}))),
        });
        let service = service.ready().await;
        let asked = || service.seen().iter().filter(|seen| seen.asked.path.starts_with("/api/v2/analytics/")).count();
        let refused = service.disconnect_in(REFUSED, PERSON).send().await;
        assert_eq!((refused.line().as_str(), asked()), ("404 conversation_not_found", 1), "{case}");
        let other = service.disconnect_in(OTHER, PERSON).send().await;
        let expected = if asked_again { "200 conversation_ended, seen" } else { "404 conversation_not_found" };
        assert_eq!(other.line(), expected, "{case}");
        tokio::time::sleep(s(11)).await;
        let asked_before = asked();
        service.disconnect_in(REFUSED, PERSON).send().await;
        assert_eq!(asked(), asked_before, "not asked again within a minute: {case}");
    }
}
