//! Holds `openapi.yaml` against the code: its paths, its words, its examples, and the answers of the running service.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests stop the test that cannot go on")]

mod answers;
mod documents;
mod examples;
mod file;
mod problems;
mod service;
mod words;
