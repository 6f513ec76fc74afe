//! What all suites share: one [`TestApp`], in front of the stand-in, in three modes.
//!
//! | | |
//! |---|---|
//! | `TestApp::patch()`, `post()`, `auto()` | in this process on a paused clock, over an upstream that notes every call and may be scripted |
//! | `TestApp::sockets()` | in this process on free ports, with real connections on both sides |
//! | [`Process`] | the real binary, with its environment, files, signals and log |
//!
//! The first two are put together by the same [`Builder`] and asked by the same [`Ask`].

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests stop the test that cannot go on"
)]

mod app;
mod ask;
mod builder;
pub(crate) mod process;
mod upstream;

use std::time::Duration;

use hangup::disconnect::Origin;
use hangup::genesys::requester::Requester;

use crate::shared;

pub(crate) use crate::shared::stand_in::StandIn;
pub(crate) use app::TestApp;
pub(crate) use ask::{Answer, Ask, all_are, tally, together};
pub(crate) use builder::Builder;
pub(crate) use upstream::{Asked, Kind, Reply, Seen};

/// Members that every problem has.
pub(crate) const PROBLEM_MEMBERS: [&str; 12] = [
    "ok",
    "type",
    "title",
    "status",
    "detail",
    "code",
    "requestId",
    "retryable",
    "retryAfterSeconds",
    "effect",
    "gone",
    "upstream",
];

/// An id that no conversation and no participant has.
pub(crate) const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until something holds; longer than anything here takes.
pub(crate) async fn until(what: impl AsyncFnMut() -> bool) {
    shared::until(s(60), what).await.expect("it never came to that");
}

/// Who asks, for requests that do not come by HTTP.
pub(crate) fn origin(caller: &str) -> Origin {
    Origin {
        requester: Requester::new(caller.into(), "r-1".into()).into(),
        guards: None,
        observe: false,
        scope: Default::default(),
        deadline: None,
    }
}
