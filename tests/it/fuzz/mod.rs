//! The whole router, whatever it is asked: it never panics, answers in its own words, and forwards nothing invalid.
//!
//! `cargo test --test it fuzz::`; more cases with `PROPTEST_CASES`. `corpus/*.http` are requests worth keeping, replayed first;
//! `main.proptest-regressions` is proptest's own memory.

#![expect(clippy::expect_used, reason = "a failure ends the test")]

mod request;
mod service;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use request::Request;
use service::Service;

/// One service for all cases of a test: what one request leaves behind must not harm the next.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn requests_of_the_corpus_are_answered_in_our_own_words() {
    let runtime = runtime();
    runtime.block_on(async {
        let service = Service::start().await;
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fuzz/corpus");
        let mut files: Vec<_> =
            std::fs::read_dir(directory).expect("a corpus").map(|f| f.expect("a file").path()).collect();
        files.sort();
        assert!(files.len() >= 20, "the corpus has shrunk to {}", files.len());
        for file in files {
            let text = std::fs::read(&file).expect("a request");
            let Some(request) = Request::read(&text, &service.ids()) else {
                panic!("{} is no request", file.display());
            };
            service.judge(&request).await.unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        }
    });
}

#[test]
fn any_request_is_answered_in_our_own_words_and_nothing_invalid_is_forwarded() {
    let runtime = runtime();
    let service = runtime.block_on(Service::start());
    let config = ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::SourceParallel("fuzz-regressions"))),
        ..ProptestConfig::with_cases(std::env::var("PROPTEST_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(3_000))
    };
    proptest!(config, |(request in request::requests(service.ids()))| {
        runtime.block_on(service.judge(&request)).map_err(TestCaseError::fail)?;
    });
    service.met_many_kinds();
}
