//! A conversation that the upstream does not know: how often analytics is asked about it.

use super::org::word;
use crate::support::{Kind, Reply, TestApp, s};

/// A service before an org that knows no conversation: it refuses each disconnect and read, and analytics answers like `analytics`.
async fn org_that_knows_none(analytics: &'static str) -> TestApp {
    let app = TestApp::auto().crowd(3).script(move |asked| match asked.kind {
        Kind::Login => None,
        _ if asked.path.starts_with("/api/v2/analytics/") => Some(word(analytics, asked)),
        _ => Some(Reply::status(404, "not.found")),
    });
    app.ready().await
}

fn asked_of_analytics(app: &TestApp) -> usize {
    app.seen().iter().filter(|seen| seen.asked.path.starts_with("/api/v2/analytics/")).count()
}

#[tokio::test(start_paused = true)]
async fn analytics_is_asked_once_a_minute_about_a_conversation_and_left_alone_for_five_after_a_refusal() {
    let knows = org_that_knows_none("404").await;
    for (after, asked) in [(0, 1), (30, 1), (31, 2)] {
        tokio::time::sleep(s(after)).await;
        assert_eq!(knows.disconnect(0).send().await.line(), "404 conversation_not_found");
        assert_eq!(asked_of_analytics(&knows), asked, "after {after} s more");
    }
    let refuses = org_that_knows_none("perm").await;
    for (after, asked) in [(0, 1), (200, 1), (101, 2)] {
        tokio::time::sleep(s(after)).await;
        assert_eq!(refuses.disconnect(1).send().await.line(), "404 conversation_not_found");
        assert_eq!(asked_of_analytics(&refuses), asked, "after {after} s more");
    }
}
