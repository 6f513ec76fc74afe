//! Judging an answer: what the upstream says, what a read shows, what the caller gets, and which calls that took.
//!
//! The tables read like the documentation; the words are those of [`super::org`].

use hangup::config::OperationChoice;
use serde_json::{Value, json};

use super::org::{PERSON, disconnect, run, word};
use crate::support::{Kind, Reply, TestApp};

async fn table(operation: OperationChoice, rows: &[(&'static str, &str, &str)]) {
    for (org, expected, calls) in rows {
        let (answer, took) = disconnect(operation, org, None).await;
        assert_eq!(
            (answer.line().as_str(), took.as_str()),
            (*expected, *calls),
            "{operation:?}, {org}: {}",
            answer.json
        );
    }
}

#[tokio::test(start_paused = true)]
async fn auto_patches_first_and_the_post_is_the_last_resort() {
    table(
        OperationChoice::Auto,
        &[
            ("patch=202", "200 accepted", "patch"),
            ("patch=204", "200 accepted", "patch"),
            // Their own refusals of the PATCH: a missing permission, a request that is at fault.
            ("patch=perm", "403 upstream_forbidden", "patch"),
            ("patch=bad", "422 upstream_rejected", "patch"),
            ("patch=413", "422 upstream_rejected", "patch"),
            ("patch=422", "422 upstream_rejected", "patch"),
            ("patch=302", "502 upstream_invalid_response", "patch"),
            // What may mean "already gone" is looked into.
            ("patch=404 read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=gone read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=inactive read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=cannot read=over", "200 already_disconnected, seen", "patch read"),
            ("patch=405 read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=wrapup read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=nested read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=409 read=ended", "200 conversation_ended, seen", "patch read"),
            ("patch=404 read=absent", "404 participant_not_found", "patch read"),
            // Genesys Cloud itself says that there is no such conversation: analytics is asked, and no one is disconnected.
            ("patch=404 read=unknown analytics=perm", "404 conversation_not_found", "patch read analytics"),
            ("patch=404 read=unknown analytics=404", "404 conversation_not_found", "patch read analytics"),
            ("patch=404 read=unknown analytics=open", "404 conversation_not_found", "patch read analytics"),
            ("patch=404 read=unknown analytics=closed", "200 conversation_ended, seen", "patch read analytics"),
            ("patch=404 read=unknown lenient", "200 conversation_ended", "patch read"),
            // Still there: the PATCH of each live medium, then the POST where the PATCH does not seem to exist.
            ("patch=404 read=live own=202", "200 accepted", "patch read own"),
            ("patch=404 read=twice own=202", "200 accepted", "patch read own"),
            ("patch=wrapup read=live own=202", "200 accepted", "patch read own"),
            ("patch=grant read=live own=202", "200 accepted", "patch read own"),
            ("patch=user read=live own=202", "200 accepted", "patch read own"),
            ("patch=404 read=live own=404 post=204", "200 disconnected", "patch read own post"),
            ("patch=405 read=live own=501 post=204", "200 disconnected", "patch read own post"),
            ("patch=404 read=chat post=204", "200 disconnected", "patch read post"),
            ("patch=404 read=live own=404 post=409 again=204", "200 disconnected", "patch read own post again"),
            ("patch=404 read=live own=404 post=bad again=204", "200 disconnected", "patch read own post again"),
            ("patch=404 read=live own=404 post=perm again=perm", "409 upstream_conflict", "patch read own post again"),
            ("patch=404 read=live own=404 post=404 again=404", "409 upstream_conflict", "patch read own post again"),
            // No POST where the PATCH exists, or is refused for want of something.
            ("patch=404 read=live own=inactive", "409 upstream_conflict", "patch read own"),
            ("patch=409 read=live own=409", "409 upstream_conflict", "patch read own"),
            ("patch=404 read=live own=409", "409 upstream_conflict", "patch read own"),
            ("patch=inactive read=live own=404", "409 upstream_conflict", "patch read own"),
            ("patch=wrapup read=live own=wrapup", "409 wrapup_required", "patch read own"),
            ("patch=404 read=live own=wrapup", "409 wrapup_required", "patch read own"),
            ("patch=user read=live own=user", "403 upstream_user_context", "patch read own"),
            ("patch=404 read=live own=grant", "403 upstream_user_context", "patch read own"),
            ("patch=odd read=live own=odd", "403 upstream_forbidden", "patch read own"),
            ("patch=odd read=chat", "403 upstream_forbidden", "patch read"),
            // Only published media are tried: a screen share that remains ends with its call.
            ("patch=409 read=screen own=202", "200 accepted", "patch read own"),
            // Not permitted to read: the last request that was sent must tell.
            ("patch=404 read=hidden post=204", "200 disconnected", "patch read post"),
            ("patch=404 read=hidden post=404", "200 already_disconnected", "patch read post"),
            ("patch=404 read=hidden post=409", "200 already_disconnected", "patch read post"),
            ("patch=404 read=hidden post=405", "403 upstream_forbidden", "patch read post"),
            ("patch=409 read=hidden", "403 upstream_forbidden", "patch read"),
            ("patch=gone read=hidden", "403 upstream_forbidden", "patch read"),
            ("patch=odd read=hidden", "403 upstream_forbidden", "patch read"),
            // A read that shows nothing sensible.
            ("patch=404 read=html", "502 upstream_invalid_response", "patch read"),
            ("patch=404 read=other", "502 upstream_invalid_response", "patch read"),
            ("patch=404 read=302", "502 upstream_invalid_response", "patch read"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn post_never_patches() {
    table(
        OperationChoice::Post,
        &[
            ("post=204", "200 disconnected", "post"),
            ("post=404 read=gone", "200 already_disconnected, seen", "post read"),
            ("post=409 read=ended", "200 conversation_ended, seen", "post read"),
            ("post=404 read=hidden", "200 already_disconnected", "post read"),
            ("post=404 read=live again=204", "200 disconnected", "post read again"),
            ("post=404 read=live again=404", "409 upstream_conflict", "post read again"),
            ("post=405 read=live again=405", "409 upstream_conflict", "post read again"),
            ("post=409 read=live again=bad", "409 upstream_conflict", "post read again"),
            ("post=501 read=hidden", "403 upstream_forbidden", "post read"),
            ("post=user read=live again=user", "403 upstream_user_context", "post read again"),
            ("post=perm", "403 upstream_forbidden", "post"),
            ("post=bad", "422 upstream_rejected", "post"),
            // The seeds' upstream: the POST and nothing else, whatever else there is.
            ("post=404json read=404json", "200 already_disconnected", "post read"),
            ("post=409json read=404json", "200 already_disconnected", "post read"),
            ("post=404nginx read=404nginx", "502 upstream_invalid_response", "post read"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn patch_never_posts() {
    table(
        OperationChoice::Patch,
        &[
            ("patch=202", "200 accepted", "patch"),
            ("patch=404 read=gone", "200 already_disconnected, seen", "patch read"),
            ("patch=inactive read=absent", "404 participant_not_found", "patch read"),
            ("patch=404 read=unknown analytics=perm", "404 conversation_not_found", "patch read analytics"),
            ("patch=grant read=live own=202", "200 accepted", "patch read own"),
            ("patch=404 read=chat", "409 upstream_conflict", "patch read"),
            ("patch=409 read=live own=409", "409 upstream_conflict", "patch read own"),
            ("patch=404nginx read=404nginx", "502 upstream_invalid_response", "patch read"),
            ("patch=perm", "403 upstream_forbidden", "patch"),
            ("patch=bad", "422 upstream_rejected", "patch"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_genesys_cloud_did_not_write_is_never_a_claim_about_anybody() {
    table(
        OperationChoice::Auto,
        &[
            // A gateway that knows none of our paths.
            ("patch=404nginx read=404nginx post=404nginx", "502 upstream_invalid_response", "patch read post"),
            ("patch=404json read=404json post=404json", "502 upstream_invalid_response", "patch read post"),
            ("patch=404plain read=404plain post=404plain", "502 upstream_invalid_response", "patch read post"),
            ("patch=403nginx read=403nginx post=403nginx", "502 upstream_invalid_response", "patch read post"),
            ("patch=409json read=404json", "502 upstream_invalid_response", "patch read"),
            ("patch=400nginx", "502 upstream_invalid_response", "patch"),
            ("patch=413nginx", "502 upstream_invalid_response", "patch"),
            // The read counts, no matter what refused the disconnect.
            ("patch=404nginx read=gone", "200 already_disconnected, seen", "patch read"),
            (
                "patch=404nginx read=live own=404nginx post=404nginx again=404nginx",
                "409 upstream_conflict",
                "patch read own post again",
            ),
            ("patch=403nginx read=live own=403nginx post=204", "200 disconnected", "patch read own post"),
            // The minimal upstream: the POST, and nothing else.
            ("patch=404json read=404json post=204", "200 disconnected", "patch read post"),
            // Its word on the POST counts where it is Genesys Cloud's.
            ("patch=404json read=404json post=404", "200 already_disconnected", "patch read post"),
            // Any refusal of theirs says more than a gateway's.
            ("patch=409 read=404json", "422 upstream_rejected", "patch read"),
            ("patch=odd read=404nginx", "403 upstream_forbidden", "patch read"),
        ],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_success_with_a_page_or_an_error_as_its_body_is_looked_into() {
    for (org, expected, calls) in [
        ("patch=error read=gone", "200 already_disconnected, seen", "patch read"),
        ("patch=error read=live", "502 upstream_invalid_response", "patch read"),
        ("patch=404json read=404json post=error", "502 upstream_invalid_response", "patch read post read"),
        // "See the result elsewhere" does not say that nothing was done.
        ("patch=303 read=gone", "200 already_disconnected, seen", "patch read"),
        ("patch=303 read=live", "502 upstream_invalid_response", "patch read"),
        ("patch=html read=gone", "200 already_disconnected, seen", "patch read"),
        ("patch=html read=ended", "200 conversation_ended, seen", "patch read"),
        ("patch=html read=absent", "404 participant_not_found", "patch read"),
        ("patch=html read=unknown analytics=404", "502 upstream_invalid_response", "patch read analytics"),
        ("patch=html read=live", "502 upstream_invalid_response", "patch read"),
        ("patch=html read=html", "502 upstream_invalid_response", "patch read"),
        ("patch=html read=404nginx", "502 upstream_invalid_response", "patch read"),
        ("patch=html read=hidden", "502 upstream_invalid_response", "patch read"),
    ] {
        let (answer, took) = run(OperationChoice::Auto, org, None).await;
        assert_eq!((answer.line().as_str(), took.as_str()), (expected, calls), "{org}: {}", answer.json);
        if answer.status == 502 {
            assert_eq!(answer.effect(), "unknown", "{org}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_answers_the_last_resort_is_looked_behind_as_well() {
    for (then, told, effect) in
        [("gone", "200 already_disconnected, seen", ""), ("live", "502 upstream_invalid_response", "unknown")]
    {
        let service = TestApp::auto()
            .script(move |asked| {
                let said = match (asked.kind, asked.nth) {
                    (Kind::Login, _) => return None,
                    (Kind::Patch, _) => "404nginx",
                    (Kind::Read, 1) => "live",
                    (Kind::Read, _) => then,
                    (Kind::Post, _) => "html",
                };
                Some(word(said, asked))
            })
            .ready()
            .await;
        let answer = service.disconnect_id(PERSON.parse().unwrap()).send().await;
        assert_eq!(answer.line(), told, "{}", answer.json);
        assert_eq!(service.counts()[1..], [1, 2, 2], "{then}");
        if answer.status == 502 {
            assert_eq!((answer.effect(), answer.json["gone"].as_bool()), (effect, Some(false)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_the_attempts_a_participant_that_was_seen_is_not_gone() {
    for (own, told) in
        [("perm", "403 upstream_forbidden"), ("302", "502 upstream_invalid_response"), ("409", "409 upstream_conflict")]
    {
        let org = format!("patch=409 read=live own={own}").leak();
        let (answer, _) = disconnect(OperationChoice::Auto, org, None).await;
        assert_eq!((answer.line().as_str(), answer.json["gone"].as_bool()), (told, Some(false)), "{own}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_carries_the_first_refusal_and_a_missing_permission_its_name() {
    let (answer, _) = disconnect(OperationChoice::Auto, "patch=409 read=live own=inactive", None).await;
    assert_eq!(
        answer.json["upstream"],
        json!({
            "status": 409, "code": "conflict", "message": "about conflict", "correlationId": "c-1",
        })
    );
    let (answer, _) = disconnect(OperationChoice::Patch, "patch=perm", None).await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("conversation:communication:disconnect"), "{detail}");
    let (answer, _) = disconnect(OperationChoice::Auto, "patch=gone read=hidden", None).await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("conversation:communication:view"), "{detail}");
    let (answer, _) = disconnect(OperationChoice::Auto, "patch=413", None).await;
    assert_eq!(answer.json["upstream"]["code"], "too.large");
    let (answer, _) = disconnect(OperationChoice::Patch, "patch=404nginx read=404nginx", None).await;
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("not Genesys Cloud") && detail.contains("api_url"), "{detail}");
    assert_eq!(answer.json["upstream"]["status"], 404);
}

#[tokio::test(start_paused = true)]
async fn the_retry_of_the_post_has_both_members_and_is_left_out_where_both_were_sent() {
    let both = Some(json!({"reason": "r", "cause": "c"}));
    let (answer, calls) = disconnect(OperationChoice::Post, "post=409 read=live again=204", both).await;
    assert_eq!((answer.line().as_str(), calls.as_str()), ("409 upstream_conflict", "post read"));

    let service = TestApp::post_only().ready().await;
    service.sandbox.change_settings(&json!({"post_needs_reason_and_cause": true})).unwrap();
    let answer = service.disconnect(0).send().await;
    assert_eq!((answer.line().as_str(), answer.attempts()), ("200 disconnected", 2));
    let bodies: Vec<Value> = service
        .seen()
        .iter()
        .filter(|s| s.asked.kind == Kind::Post)
        .map(|s| serde_json::from_slice(&s.asked.body).unwrap())
        .collect();
    assert_eq!(bodies, [json!({"reason": "user_request"}), json!({"reason": "user_request", "cause": "user_request"})]);
    assert!(!service.live(0));
}

#[tokio::test(start_paused = true)]
async fn a_teardown_that_a_gateway_refuses_says_nothing_about_the_conversation() {
    for status in [403, 404, 405] {
        let service = TestApp::auto()
            .config(|c| c.auth.anonymous_permissions.0.push("teardown".to_owned()))
            .script(move |asked| {
                (asked.kind != Kind::Login).then(|| Reply::foreign(status, "<html><body>nginx</body></html>"))
            })
            .ready()
            .await;
        let answer = service.teardown().send().await;
        assert_eq!(answer.line(), "502 upstream_invalid_response", "{status}");
        assert_eq!(answer.json["gone"], Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_taken_is_no_end_of_a_participant_who_also_chats() {
    let (answer, took) = run(OperationChoice::Auto, "patch=409 read=both own=202", None).await;
    assert_eq!((answer.line().as_str(), took.as_str()), ("409 upstream_conflict", "patch read own"), "{}", answer.json);
    assert_eq!((answer.effect(), answer.json["gone"].as_bool()), ("unknown", Some(false)));
}
